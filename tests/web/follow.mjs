// Follows the hotspots of the relay at the given address and prints each frame and state.
// TOKENS: what its getter hands out in turn, the last one for ever. Needs node --experimental-websocket before Node 22.
import { RelayClient } from "../../clients/js/src/client.js";

const tokens = process.env.TOKENS?.split(" ");
let asked = 0;
const token = tokens && (() => tokens[Math.min(asked++, tokens.length - 1)]);
const client = new RelayClient({ url: process.argv[2], random: () => 0.1, token });
const say = (what) => console.log(JSON.stringify(what));
client.onStatus((_, { state, code }) => say({ state, code, asked }));
client.subscribe("hotspots", ({ type, record, old_record, version }) =>
  say({ type, id: record?.id ?? old_record?.id, version, severity: record?.severity }),
);
client.connect();
process.stdin.on("end", () => client.disconnect()).resume(); // the process then ends by itself
