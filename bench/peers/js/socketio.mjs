// Socket.IO under Node with its own broadcast: node socketio.mjs PORT FEED_PORT
import { createServer } from "node:net";
import { Server } from "socket.io";
import { lines } from "./lines.mjs";

const [port, feedPort] = process.argv.slice(2).map(Number);
const io = new Server(port, { transports: ["websocket"] });

createServer((feed) => feed.on("data", lines((row) => io.emit("row", JSON.parse(row))))).listen(
  feedPort,
  "127.0.0.1",
);
