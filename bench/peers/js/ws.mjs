// The ws package under Node, sending to each client in turn: node ws.mjs PORT FEED_PORT
import { createServer } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { lines } from "./lines.mjs";

const [port, feedPort] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ host: "127.0.0.1", port });

function broadcast(row) {
  for (const client of server.clients) if (client.readyState === WebSocket.OPEN) client.send(row);
}

createServer((feed) => feed.on("data", lines(broadcast))).listen(feedPort, "127.0.0.1");
