// Bun's own server with its topics: bun bun.mjs PORT FEED_PORT
import { lines } from "./lines.mjs";

const [port, feedPort] = process.argv.slice(2).map(Number);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 400 });
  },
  websocket: {
    open: (socket) => socket.subscribe("rows"),
    message: () => {},
  },
});

const take = lines((row) => server.publish("rows", row));
Bun.listen({ hostname: "127.0.0.1", port: feedPort, socket: { data: (_, piece) => take(piece) } });
