import '@graphiql/plugin-explorer/style.css';
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { examples } from './examples';
import { EXPLAIN } from './explain';
import favicon from './favicon.svg';
import { createAccess } from './fetcher';
import { type Config, IdentitySelect, loadConfig, rememberedIdentity } from './identity';

const EXPLORER = explorerPlugin({ showAttribution: false });
const PLUGINS = [HISTORY_PLUGIN, EXPLORER, EXPLAIN];

function App({ config }: { config: Config }) {
  const [identity, setIdentity] = useState(() => rememberedIdentity(config));
  // A new fetcher makes GraphiQL read the schema again, as the identity now chosen.
  const { fetcher, close } = useMemo(() => createAccess(identity), [identity]);
  useEffect(() => close, [close]);
  return (
    <>
      <header className="bar">
        <img src={favicon} alt="" width="24" height="24" />
        <h1>Cartograph</h1>
        <IdentitySelect identities={config.identities} chosen={identity} onChoose={setIdentity} />
      </header>
      <GraphiQL
        fetcher={fetcher}
        plugins={PLUGINS}
        visiblePlugin={EXPLORER}
        defaultTabs={examples}
        defaultEditorToolsVisibility="variables"
      >
        <GraphiQL.Logo>{null}</GraphiQL.Logo>
      </GraphiQL>
    </>
  );
}

const root = createRoot(document.getElementById('explorer')!);
loadConfig().then(
  (config) => root.render(<App config={config} />),
  (error: Error) =>
    root.render(
      <p className="notice" role="alert">
        The explorer could not read its settings ({error.message}). Is the service running?
      </p>,
    ),
);
