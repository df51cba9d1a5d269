// Apollo Server 5 as its pages teach it: behind Express, subscriptions by graphql-ws.

import { createServer } from "node:http";
import { ApolloServer } from "@apollo/server";
import { ApolloServerPluginDrainHttpServer } from "@apollo/server/plugin/drainHttpServer";
import { expressMiddleware } from "@as-integrations/express5";
import { makeExecutableSchema } from "@graphql-tools/schema";
import express from "express";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";
import { contextOf, publish, resolvers, typeDefs } from "./shop.mjs";

const schema = makeExecutableSchema({ typeDefs, resolvers });
const app = express();
const server = createServer(app);
const sockets = new WebSocketServer({ server, path: "/graphql" });
const cleanup = useServer(
  { schema, context: ({ connectionParams }) => contextOf(connectionParams?.authorization) },
  sockets,
);
const apollo = new ApolloServer({
  schema,
  plugins: [
    ApolloServerPluginDrainHttpServer({ httpServer: server }),
    { serverWillStart: async () => ({ drainServer: () => cleanup.dispose() }) },
  ],
});
await apollo.start();
app.post("/changed", async (request, response) => {
  await publish(request);
  response.sendStatus(204);
});
app.use(
  "/graphql",
  express.json(),
  expressMiddleware(apollo, {
    context: async ({ req }) => contextOf(req.headers.authorization),
  }),
);
server.listen(Number(process.env.PORT), "127.0.0.1");
