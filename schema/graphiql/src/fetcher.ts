import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import type { Identity } from './identity';

/** How GraphiQL reaches the service; a websocket client for subscriptions belongs here too. */
export function createFetcher({ token }: Identity): Fetcher {
  return createGraphiQLFetcher({
    url: '/graphql',
    enableIncrementalDelivery: false,
    // Header names know no case, the toolkit's merging of them does: "authorization" typed in
    // the headers editor would be sent beside ours rather than instead of it.
    fetch: (input, init) => {
      const headers = new Headers(init?.headers);
      if (token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
      return fetch(input, { ...init, headers });
    },
  });
}
