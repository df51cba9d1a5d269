// The shop over DynamoDB as the pages of `dataloader` and the AWS SDK v3 teach it: loaders made
// for each request, BatchGet behind them, a document client for the whole process.

import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  DynamoDBDocumentClient,
  QueryCommand,
  TransactWriteCommand,
} from "@aws-sdk/lib-dynamodb";
import DataLoader from "dataloader";
import { GraphQLError } from "graphql";
import { createPubSub } from "graphql-yoga";
import jwt from "jsonwebtoken";

const TABLE = "cartograph";
const TENANT = "default";
const SHARDS = 4;
const CURRENCY = "JPY";

export const typeDefs = readFileSync(new URL("shop.graphql", import.meta.url), "utf8");

const dynamo = DynamoDBDocumentClient.from(
  new DynamoDBClient({ endpoint: process.env.STORE, region: "ap-northeast-1" }),
);

export const changes = createPubSub();

// Keys and IDs, as the table and the clients of the service have them.

const userKey = (id) => ({ PK: `${TENANT}#USER#${id}`, SK: "PROFILE" });
const productKey = (id) => ({ PK: `${TENANT}#PRODUCT#${id}`, SK: "METADATA" });
const categoryKey = (slug) => ({ PK: `${TENANT}#CATEGORY#${slug}`, SK: "METADATA" });
const globalId = (...parts) => Buffer.from(parts.join(":")).toString("base64url");

function idOf(kind, text) {
  const [found, ...parts] = Buffer.from(text, "base64url").toString().split(":");
  if (found !== kind) throw new GraphQLError(`not the ID of a ${kind}`);
  return parts[0];
}

// What a request reads with.

async function batchGet(keys) {
  const answer = await dynamo.send(
    new BatchGetCommand({ RequestItems: { [TABLE]: { Keys: keys } } }),
  );
  const found = new Map(answer.Responses[TABLE].map((row) => [`${row.PK}|${row.SK}`, row]));
  return keys.map((key) => found.get(`${key.PK}|${key.SK}`) ?? null);
}

async function page(parameters, first = 20) {
  const answer = await dynamo.send(
    new QueryCommand({ TableName: TABLE, ScanIndexForward: false, Limit: first + 1, ...parameters }),
  );
  const nodes = answer.Items.slice(0, first);
  return { nodes, pageInfo: { hasNextPage: answer.Items.length > first } };
}

export function contextOf(authorization) {
  const items = new DataLoader(batchGet, {
    cacheKeyFn: (key) => `${key.PK}|${key.SK}`,
    maxBatchSize: 100,
  });
  let viewer = null;
  if (authorization) {
    try {
      viewer = jwt.verify(authorization.replace(/^Bearer /, ""), process.env.SECRET, {
        algorithms: ["HS256"],
      }).sub;
    } catch {
      throw new GraphQLError("the token is refused", { extensions: { code: "UNAUTHENTICATED" } });
    }
  }
  return { items, viewer };
}

const money = (minor) => ({ amount: String(minor), currencyCode: CURRENCY });
const notErased = (user) => (user?.status === "DELETED" ? null : user);
const notDraft = (product) => (product?.status === "DRAFT" ? null : product);

// Placing an order.

const crcTable = Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function shardOf(id) {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(id)) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff];
  return ((crc ^ 0xffffffff) >>> 0) % SHARDS;
}

async function placeOrder(_, { input }, { items, viewer }) {
  if (!viewer) throw new GraphQLError("sign in", { extensions: { code: "UNAUTHENTICATED" } });
  const ids = input.items.map((line) => idOf("Product", line.productId));
  const [profile, ...products] = await items.loadMany([userKey(viewer), ...ids.map(productKey)]);
  if (profile?.status !== "ACTIVE") {
    throw new GraphQLError("this needs an account", { extensions: { code: "FORBIDDEN" } });
  }
  const userErrors = input.items.flatMap(({ quantity }, at) => {
    const field = ["input", "items", String(at)];
    if (quantity < 1 || quantity > 999) return [{ code: "INVALID", message: "1 to 999", field }];
    if (products[at]?.status !== "ACTIVE") {
      return [{ code: "PRODUCT_UNAVAILABLE", message: "not for sale", field }];
    }
    const short = products[at].inventory < quantity;
    return short ? [{ code: "OUT_OF_STOCK", message: "not enough left", field }] : [];
  });
  if (userErrors.length) return { order: null, replayed: false, userErrors };
  const order = orderOf(viewer, input, products);
  await dynamo.send(new TransactWriteCommand({ TransactItems: actions(order, input, products) }));
  return { order, replayed: false, userErrors: [] };
}

function orderOf(viewer, input, products) {
  const id = randomUUID();
  const number = randomUUID();
  const now = new Date().toISOString();
  const lines = input.items.map(({ quantity }, at) => ({
    productId: products[at].id,
    productName: products[at].name,
    quantity,
    unitPrice: products[at].price,
  }));
  const shard = shardOf(id);
  return {
    PK: `${TENANT}#USER#${viewer}`,
    SK: `ORDER#${id}`,
    GSI1PK: `${TENANT}#ORDERNO#${number}`,
    GSI1SK: "ORDER",
    GSI2PK: `${TENANT}#ORDERS#PENDING#${shard}`,
    GSI2SK: `${now}#${id}`,
    GSI3PK: `${TENANT}#ORDERS#${now.slice(0, 7)}#${shard}`,
    GSI3SK: `${now}#${id}`,
    entity: "Order",
    id,
    userId: viewer,
    number,
    status: "PENDING",
    items: lines,
    total: lines.reduce((sum, line) => sum + line.quantity * line.unitPrice, 0),
    history: [{ status: "PENDING", at: now }],
    placedAt: now,
    updatedAt: now,
    version: 1,
  };
}

function actions(order, input, products) {
  const now = Math.floor(Date.now() / 1000);
  const claim = {
    PK: `${TENANT}#IDEMPOTENCY#${order.userId}#placeOrder#${input.idempotencyKey}`,
    SK: "RESULT",
    entity: "Idempotency",
    fingerprint: createHash("sha256").update(JSON.stringify(input.items)).digest("hex"),
    result: order.id,
    ttl: now + 86400,
  };
  return [
    {
      Put: {
        TableName: TABLE,
        Item: claim,
        ConditionExpression: "attribute_not_exists(PK) OR #ttl <= :now",
        ExpressionAttributeNames: { "#ttl": "ttl" },
        ExpressionAttributeValues: { ":now": now },
      },
    },
    { Put: { TableName: TABLE, Item: order, ConditionExpression: "attribute_not_exists(PK)" } },
    ...input.items.map(({ quantity }, at) => ({
      Update: {
        TableName: TABLE,
        Key: productKey(products[at].id),
        UpdateExpression: "SET #inventory = #inventory - :quantity",
        ConditionExpression:
          "#inventory >= :quantity AND #status = :active AND #price = :price",
        ExpressionAttributeNames: {
          "#inventory": "inventory",
          "#status": "status",
          "#price": "price",
        },
        ExpressionAttributeValues: {
          ":quantity": quantity,
          ":active": "ACTIVE",
          ":price": products[at].price,
        },
      },
    })),
  ];
}

export const resolvers = {
  Query: {
    viewer: async (_, __, { items, viewer }) =>
      viewer ? notErased(await items.load(userKey(viewer))) : null,
    product: async (_, { id }, { items }) =>
      notDraft(await items.load(productKey(idOf("Product", id)))),
    products: (_, { categoryId, first }) =>
      page(
        {
          IndexName: "GSI1",
          KeyConditionExpression: "GSI1PK = :pk",
          ExpressionAttributeValues: {
            ":pk": `${TENANT}#CATEGORY#${idOf("Category", categoryId)}#ACTIVE`,
          },
        },
        first,
      ),
  },
  Mutation: { placeOrder },
  Subscription: {
    productChanged: {
      subscribe: (_, { productId }) => changes.subscribe(idOf("Product", productId)),
      resolve: (change) => change,
    },
  },
  Node: { __resolveType: (row) => row.entity },
  User: {
    id: ({ id }) => globalId("User", id),
    orders: ({ id }, { first }) => page(within(`${TENANT}#USER#${id}`, "ORDER#"), first),
  },
  Category: { id: ({ slug }) => globalId("Category", slug) },
  Product: {
    id: ({ id }) => globalId("Product", id),
    price: ({ price }) => money(price),
    inStock: ({ inventory }) => inventory > 0,
    category: ({ category }, _, { items }) => category && items.load(categoryKey(category)),
    reviews: ({ id }, { first }) => page(within(`${TENANT}#PRODUCT#${id}`, "REVIEW#"), first),
  },
  Review: {
    id: ({ productId, id }) => globalId("Review", productId, id),
    author: async ({ userId }, _, { items }) => notErased(await items.load(userKey(userId))),
  },
  Order: {
    id: ({ userId, id }) => globalId("Order", userId, id),
    itemCount: (order) => order.items.reduce((sum, line) => sum + line.quantity, 0),
    total: ({ total }) => money(total),
  },
  OrderItem: {
    unitPrice: ({ unitPrice }) => money(unitPrice),
    lineTotal: ({ unitPrice, quantity }) => money(unitPrice * quantity),
    product: async ({ productId }, _, { items }) =>
      notDraft(await items.load(productKey(productId))),
  },
};

function within(pk, prefix) {
  return {
    KeyConditionExpression: "PK = :pk AND begins_with(SK, :prefix)",
    ExpressionAttributeValues: { ":pk": pk, ":prefix": prefix },
  };
}

// The change that whoever measures makes known: the body of POST /changed.
export async function publish(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const change = JSON.parse(Buffer.concat(chunks).toString());
  changes.publish(change.product.id, change);
}
