import { createGraphiQLFetcher, type Fetcher, type Observable } from '@graphiql/toolkit';
import { type ExecutionResult, getOperationAST } from 'graphql';
import { createClient, type Sink } from 'graphql-ws';
import { explainedFetch } from './explain';
import type { Identity } from './identity';

/** How GraphiQL reaches the service as one identity; `close` ends its subscription, if one runs. */
export type Access = { fetcher: Fetcher; close: () => void };

export function createAccess(identity: Identity): Access {
  const overHttp = createGraphiQLFetcher({
    url: '/graphql',
    enableIncrementalDelivery: false,
    fetch: (input, init) =>
      explainedFetch(input, { ...init, headers: headersAs(identity, init?.headers) }),
  });
  let unsubscribe = () => {}; // GraphiQL runs one subscription at a time
  return {
    fetcher(params, options) {
      const document = options?.documentAST;
      const operation = document && getOperationAST(document, params.operationName);
      if (operation?.operation !== 'subscription') return overHttp(params, options);
      const socket = createSocket(headersAs(identity, options?.headers));
      const subscribe = (sink: Sink<ExecutionResult>) => {
        unsubscribe = socket.subscribe(params, {
          ...sink,
          error: (error) => sink.error(error instanceof CloseEvent ? explain(error) : error),
        });
        return { unsubscribe };
      };
      return { subscribe } as Observable<ExecutionResult>;
    },
    close: () => unsubscribe(),
  };
}

/** A websocket that the first subscription opens, and the end of the last closes. */
function createSocket(headers: Headers) {
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

function explain({ code, reason }: CloseEvent) {
  return { message: `The websocket was closed with ${code}: ${reason || 'no reason given'}` };
}

/** Headers that the user typed go before what the identity would send. */
function headersAs({ token }: Identity, typed?: HeadersInit): Headers {
  // Header names know no case, the toolkit's merging of them does: "authorization" typed in
  // the headers editor would be sent beside ours rather than instead of it.
  const headers = new Headers(typed);
  if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
  return headers;
}
