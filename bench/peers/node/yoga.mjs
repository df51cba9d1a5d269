// GraphQL Yoga as its pages teach it: on Node's own server, subscriptions by graphql-ws.

import { createServer } from "node:http";
import { useServer } from "graphql-ws/use/ws";
import { createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";
import { contextOf, publish, resolvers, typeDefs } from "./shop.mjs";

const schema = createSchema({ typeDefs, resolvers });
const yoga = createYoga({
  schema,
  context: ({ request }) => contextOf(request.headers.get("authorization")),
});
const server = createServer(async (request, response) => {
  if (request.url !== "/changed") return yoga(request, response);
  await publish(request);
  response.writeHead(204).end();
});
const sockets = new WebSocketServer({ server, path: yoga.graphqlEndpoint });
useServer(
  {
    schema,
    execute: (operation) => operation.rootValue.execute(operation),
    subscribe: (operation) => operation.rootValue.subscribe(operation),
    onSubscribe: async (socket, _id, params) => {
      const { execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...socket,
        request: socket.extra.request,
        socket: socket.extra.socket,
        params,
        connectionParams: socket.connectionParams,
      });
      const operation = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: contextOf(socket.connectionParams?.authorization),
        rootValue: { execute, subscribe, contextFactory },
      };
      const errors = validate(schema, operation.document);
      return errors.length ? errors : operation;
    },
  },
  sockets,
);
server.listen(Number(process.env.PORT), "127.0.0.1");
