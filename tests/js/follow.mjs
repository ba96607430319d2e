// Follows a table with supabase-js and prints what happens, one JSON line each, until stdin ends.
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const [url, key, token, binding] = process.argv.slice(2);
const print = (entry) => console.log(JSON.stringify(entry));

const client = createClient(url, key, { realtime: { transport: ws } });
if (token) await client.realtime.setAuth(token);
client
  .channel("followed")
  .on("postgres_changes", JSON.parse(binding), (change) => print({ change }))
  .on("system", {}, (system) => print({ system }))
  .subscribe((state, error) => print({ state, error: error?.message }));

process.stdin.resume().on("end", async () => {
  await client.removeAllChannels();
  process.exit(0);
});
