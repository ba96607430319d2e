// Joins a private topic with supabase-js, prints what comes and what becomes of an own message, one JSON line each, until
// stdin ends.
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const [url, key, token, topic, binding] = process.argv.slice(2);
const print = (entry) => console.log(JSON.stringify(entry));

const client = createClient(url, key, { realtime: { transport: ws } });
await client.realtime.setAuth(token);
const channel = client
  .channel(topic, { config: { private: true, broadcast: { ack: true, self: true } } })
  .on("broadcast", { event: "*" }, (message) => print({ broadcast: message }))
  .on("postgres_changes", JSON.parse(binding), (change) => print({ change }))
  .on("system", {}, async (system) => {
    print({ system });
    print({ sent: await channel.send({ type: "broadcast", event: "own", payload: { text: "grüße" } }) });
  })
  .subscribe((state, error) => print({ state, error: error?.message }));

process.stdin.resume().on("end", async () => {
  await client.removeAllChannels();
  process.exit(0);
});
