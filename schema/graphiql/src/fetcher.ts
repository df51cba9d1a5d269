import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { type Client, createClient } from 'graphql-ws';
import type { Identity } from './identity';

/** How GraphiQL reaches the service as one identity; `close` ends its subscription, if one runs. */
export type Access = { fetcher: Fetcher; close: () => void };

export function createAccess(identity: Identity): Access {
  let latest: Client | undefined; // GraphiQL runs one operation at a time
  return {
    fetcher(params, options) {
      latest = createSocket(headersAs(identity, options?.headers));
      return createGraphiQLFetcher({
        url: '/graphql',
        enableIncrementalDelivery: false,
        fetch: (input, init) =>
          fetch(input, { ...init, headers: headersAs(identity, init?.headers) }),
        wsClient: latest,
      })(params, options);
    },
    close: () => void latest?.dispose(),
  };
}

/** A websocket for one subscription, opened by it alone and closed with it. */
function createSocket(headers: Headers): Client {
  return createClient({
    url: `${location.origin.replace(/^http/, 'ws')}/graphql`,
    connectionParams: {
      authorization: headers.get('authorization'),
      tenant: headers.get('x-tenant'),
    },
    // From 4000 on a code is the service's own word, which another attempt would hear again.
    shouldRetry: (event) => event instanceof CloseEvent && event.code < 4000,
  });
}

/** Headers that the user typed go before what the identity would send. */
function headersAs({ token }: Identity, typed?: HeadersInit): Headers {
  // Header names know no case, the toolkit's merging of them does: "authorization" typed in
  // the headers editor would be sent beside ours rather than instead of it.
  const headers = new Headers(typed);
  if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
  return headers;
}
