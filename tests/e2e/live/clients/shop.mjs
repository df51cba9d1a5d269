// What a page of the shop does, with one of the clients that pages use: `node shop.mjs ws` or
// `sse`. Takes its task as JSON, tells as JSON what it has seen.
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";

const [kind, task] = process.argv.slice(2);
const { url, token, operations } = JSON.parse(task);

const clients = {
  ws: (authorization) =>
    createWs({
      url: url.replace("http", "ws"),
      webSocketImpl: WebSocket,
      connectionParams: { authorization },
      lazyCloseTimeout: 60_000,
      retryAttempts: 0,
    }),
  sse: (authorization) => createSse({ url, headers: { authorization }, retryAttempts: 0 }),
};

const open = (token) => clients[kind](`Bearer ${token}`);
const first = async (client, operation) => (await client.iterate(operation).next()).value;

// A socket has a message for errors, an event stream an event like any other.
const errors = async (client, operation) => {
  try {
    return (await first(client, operation)).errors;
  } catch (thrown) {
    return thrown;
  }
};

const client = open(token);
const answer = await first(client, operations.query);
const after = answer.data.changeCursor;
const { query, variables } = operations.subscription;
const events = client.iterate({ query, variables: { ...variables, after } });
const coming = events.next();
const mutation = await first(client, operations.mutation);
const event = (await coming).value;
const refused = await errors(client, operations.refused);
console.log(JSON.stringify({ answer, mutation, event, refused }));

// Whoever runs this looks whether the service has let go of it, and says so.
await events.return();
await new Promise((resolve) => process.stdin.once("data", resolve));

const forged = open(`${token}x`);
const thrown = await first(forged, operations.query).catch((thrown) => thrown);
console.log(JSON.stringify({ forged: thrown.code ?? thrown.response?.status }));
process.exit();
