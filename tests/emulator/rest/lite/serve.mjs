// Serves a PostgreSQL database with @supabase/lite; prints its port, ends when stdin does.
import { serve } from "@hono/node-server";
import { App } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";

const { host, port, user, database, publishable, secret, jwtSecret } = JSON.parse(process.argv[2]);
const connection = createPostgresConnection({
  url: "postgres://localhost",
  postgresOptions: { host, port, user, database, max: 2 },
});
const app = new App({
  connection,
  api: { schemas: ["public"], pg_safe_update: true },
  auth: { enabled: true, publishable_key: publishable, secret_key: secret, jwt_secret: jwtSecret },
});
const ready = (address) => console.log(address.port);
serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ready);
process.stdin.resume().on("end", () => process.exit(0));
