import type { HISTORY_PLUGIN } from 'graphiql';
import { useSyncExternalStore } from 'react';

/** What the service says in `extensions.explain` (schema/operations/explain.py); times are in milliseconds. */
type Explanation = { rounds: Round[]; repeated: Repeated[]; cached: number };
type Round = { at: number; milliseconds: number; calls: Call[] };
type Call = {
  operation: string;
  index: string | null;
  keys: number;
  items: number;
  units: number;
  at: number;
  milliseconds: number;
  attempt: number;
  error: string | null;
  askedBy: { field: string; path: string; times: number }[];
};
type Repeated = { field: string; path: string; operation: string; calls: number; times: number };

/** `last` is null where the service did not explain. */
type State = { on: boolean; last?: Explanation | null };

const REMEMBERED = 'cartograph:explain';

let state: State = { on: sessionStorage.getItem(REMEMBERED) === 'on' };
const listeners = new Set<() => void>();

function change(to: Partial<State>) {
  state = { ...state, ...to };
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** `fetch` for GraphiQL: while explaining is on it asks for an explanation, and keeps it for the
 * tab, out of the answer that is shown. */
export async function explainedFetch(url: RequestInfo | URL, init: RequestInit): Promise<Response> {
  if (!state.on || isIntrospection(init.body)) return fetch(url, init);
  const headers = new Headers(init.headers);
  headers.set('x-explain', '1');
  const response = await fetch(url, { ...init, headers });
  const body = await response.clone().json().catch(() => undefined);
  const { explain, ...extensions } = body?.extensions ?? {};
  // What did not run has no data, and nothing to explain.
  change({ last: explain ?? (body && 'data' in body ? null : undefined) });
  if (!explain) return response;
  return new Response(JSON.stringify({ ...body, extensions }), {
    status: response.status,
    headers: response.headers,
  });
}

function isIntrospection(body: RequestInit['body']): boolean {
  return typeof body === 'string' && JSON.parse(body).operationName === 'IntrospectionQuery';
}

export const EXPLAIN: typeof HISTORY_PLUGIN = { title: 'Explain', icon: Icon, content: Panel };

function Icon() {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden>
      <path d="M2 2v12M2 4h6M5 8h6M8 12h6" strokeLinecap="round" />
    </svg>
  );
}

function Panel() {
  const { on, last } = useSyncExternalStore(subscribe, () => state);
  const turn = (to: boolean) => {
    sessionStorage.setItem(REMEMBERED, to ? 'on' : 'off');
    change({ on: to, last: undefined });
  };
  return (
    <section className="explain" aria-label="Explain">
      <h2>Explain</h2>
      <label>
        <input type="checkbox" checked={on} onChange={(event) => turn(event.target.checked)} />
        Explain what is run
      </label>
      {on && last === undefined && <p>Run a query: what it asks of DynamoDB is drawn here.</p>}
      {on && last === null && <p role="status">The service explains to staff alone.</p>}
      {on && last && <Rounds {...last} />}
    </section>
  );
}

function Rounds({ rounds, repeated, cached }: Explanation) {
  const calls = rounds.flatMap((round) => round.calls);
  const end = Math.max(0, ...rounds.map((round) => round.at + round.milliseconds));
  const units = calls.reduce((sum, call) => sum + call.units, 0);
  return (
    <>
      <p role="status">
        {plural(rounds.length, 'round')}, {plural(calls.length, 'call')}, {units} units,{' '}
        {end.toFixed(1)} ms{cached > 0 && `, ${plural(cached, 'item')} from the cache`}
      </p>
      {repeated.map(({ field, path, operation, calls, times }) => (
        <p className="repeated" key={`${path} ${operation}`} title={path}>
          N+1? <b>{field}</b> stands {times} times in the answer and took {calls} calls of{' '}
          {operation}.
        </p>
      ))}
      <ol>
        {rounds.map((round, index) => (
          <li key={index} aria-label={`Round ${index + 1}`}>
            <h3>
              Round {index + 1} <small>{round.milliseconds.toFixed(1)} ms</small>
            </h3>
            {grouped(round.calls).map((group) => (
              <Group key={keyOf(group[0]!)} calls={group} end={end} />
            ))}
          </li>
        ))}
      </ol>
    </>
  );
}

/** Calls that differ in nothing but their keys, as one line. */
function Group({ calls, end }: { calls: Call[]; end: number }) {
  const first = calls[0]!;
  const sum = (of: (call: Call) => number) => calls.reduce((total, call) => total + of(call), 0);
  const begin = Math.min(...calls.map((call) => call.at));
  const finish = Math.max(...calls.map((call) => call.at + call.milliseconds));
  return (
    <div className={calls.length > 1 ? 'calls several' : 'calls'}>
      <div>
        {calls.length > 1 && <b>{calls.length} × </b>}
        {first.operation}
        {first.index && ` on ${first.index}`}
        {first.attempt > 1 && `, attempt ${first.attempt}`}
        {first.error && <em> {first.error}</em>}
      </div>
      <div className="bar-track">
        <div
          className="bar-filled"
          style={{
            marginLeft: `${(100 * begin) / (end || 1)}%`,
            width: `${(100 * (finish - begin)) / (end || 1)}%`,
          }}
        />
      </div>
      <div className="figures">
        {plural(sum((call) => call.keys), 'key')}, {plural(sum((call) => call.items), 'item')},{' '}
        {sum((call) => call.units)} units, {(finish - begin).toFixed(1)} ms
      </div>
      <div className="asked" title={first.askedBy.map(({ path }) => path).join('\n')}>
        {[...new Set(first.askedBy.map(({ field }) => field))].join(', ')}
      </div>
    </div>
  );
}

function grouped(calls: Call[]): Call[][] {
  const groups = new Map<string, Call[]>();
  for (const call of calls) {
    const key = keyOf(call);
    groups.set(key, [...(groups.get(key) ?? []), call]);
  }
  return [...groups.values()];
}

function keyOf({ operation, index, attempt, error, askedBy }: Call): string {
  return [operation, index, attempt, error, ...askedBy.map(({ path }) => path)].join(' ');
}

function plural(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
