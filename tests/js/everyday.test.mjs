// Everyday features of supabase-js on the project's own schema. The environment names the project, a user and an entity.
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const { SUPABASE_URL, PUBLISHABLE_KEY, SECRET_KEY, EMAIL, PASSWORD, ENTITY } = process.env;
const options = { realtime: { transport: ws }, auth: { persistSession: false, autoRefreshToken: false } };
const clients = [];
const client = (key) => {
  clients.push(createClient(SUPABASE_URL, key, options));
  return clients.at(-1);
};
const service = client(SECRET_KEY);
const anon = client(PUBLISHABLE_KEY);
const hotspot = (more) => ({
  entity: ENTITY,
  entity_type: "supplier",
  event_type: "logistics",
  predicted_co2: 90.5,
  baseline_co2: 60,
  percent_above: 50.8,
  severity: "critical",
  ...more,
});
const of = async (request) => {
  const { data, error } = await request;
  assert.equal(error, null);
  return data;
};

async function user() {
  const signedIn = client(PUBLISHABLE_KEY);
  const { data, error } = await signedIn.auth.signInWithPassword({ email: EMAIL, password: PASSWORD });
  assert.equal(error, null);
  assert.equal(data.user.email, EMAIL);
  return signedIn;
}

// Resolves with the first `count` messages that `bind` passes on; `ready` when the server says so.
function listen(channel, bind, count, isReady) {
  const heard = [];
  let done, ready;
  const all = new Promise((resolve) => (done = resolve));
  const started = new Promise((resolve) => (ready = resolve));
  bind(channel, (message) => heard.push(message) === count && done(heard));
  channel.on("system", {}, (system) => system.status === "ok" && ready());
  channel.subscribe((state) => isReady(state) && ready());
  return { all, started };
}

after(async () => {
  await service.from("hotspots").delete().eq("entity", ENTITY);
  for (const each of clients) await each.removeAllChannels();
});

test("rows are inserted, found, counted, changed and deleted", async () => {
  const kinds = ["logistics", "factory", "delivery"];
  const rows = await of(service.from("hotspots").insert(kinds.map((event_type) => hotspot({ event_type }))).select());
  assert.deepEqual(rows.map((row) => row.event_type), kinds);
  const found = await service
    .from("hotspots")
    .select("event_type", { count: "exact" })
    .eq("entity", ENTITY)
    .or("event_type.eq.factory,event_type.like.deliv*")
    .order("event_type", { ascending: false })
    .range(0, 0);
  assert.deepEqual([found.count, found.data], [2, [{ event_type: "factory" }]]);
  const counted = await service.from("hotspots").select("*", { count: "exact", head: true }).eq("entity", ENTITY);
  assert.deepEqual([counted.count, counted.data], [3, null]);
  const changed = await of(
    service.from("hotspots").update({ severity: "warn" }).eq("id", rows[0].id).select("severity,version").single(),
  );
  assert.deepEqual(changed, { severity: "warn", version: 2 });
  assert.equal((await of(service.from("hotspots").delete().eq("entity", ENTITY).select("id"))).length, 3);
  assert.equal(await of(service.from("hotspots").select("id").eq("entity", ENTITY).maybeSingle()), null);
});

test("tables are embedded in each other", async () => {
  const { id } = await of(service.from("hotspots").insert(hotspot()).select("id").single());
  const levels = ["warn", "critical"].map((level) => ({ hotspot_id: id, level, message: level }));
  const made = await of(service.from("alerts").insert(levels).select("level,hotspots(entity)").order("level"));
  assert.deepEqual(made, ["critical", "warn"].map((level) => ({ level, hotspots: { entity: ENTITY } })));
  const signedIn = await user();
  const mine = (columns) => signedIn.from("hotspots").select(columns).eq("entity", ENTITY);
  const last = await of(
    mine("entity,notices:alerts(level),recommendations(action)")
      .order("id", { referencedTable: "notices", ascending: false })
      .limit(1, { referencedTable: "notices" }),
  );
  assert.deepEqual(last, [{ entity: ENTITY, notices: [{ level: "critical" }], recommendations: [] }]);
  assert.deepEqual(await of(mine("alerts(count)")), [{ alerts: [{ count: 2 }] }]);
  assert.equal((await of(mine("id,alerts!inner(level)").eq("alerts.level", "info"))).length, 0);
  assert.equal((await of(mine("id,alerts()").or("level.eq.warn", { referencedTable: "alerts" }).not("alerts", "is", null))).length, 1);
  assert.deepEqual(
    await of(signedIn.from("alerts").select("level,...hotspots(entity)").eq("hotspot_id", id).order("hotspots(entity)").order("id")),
    ["warn", "critical"].map((level) => ({ level, entity: ENTITY })),
  );
  const lost = await signedIn.from("alerts").select("*,baselines(*)");
  assert.deepEqual([lost.error.code, lost.status], ["PGRST200", 400]);
  await of(service.from("hotspots").delete().eq("id", id));
});

test("refusals carry the database's words", async () => {
  const signedIn = await user();
  const refused = [
    [anon.from("hotspots").select(), "42501", 401],
    [signedIn.from("hotspots").insert(hotspot()), "42501", 403],
    [service.from("hotspots").insert(hotspot({ severity: "mild" })), "23514", 400],
    [service.from("no_such_table").select(), "PGRST205", 404],
    [service.rpc("no_such_function"), "PGRST202", 404],
    [service.from("hotspots").select().eq("entity", "nobody").single(), "PGRST116", 406],
    [signedIn.rpc("decide_recommendation", { id: -1, decision: "approved" }), "PT404", 404],
  ];
  for (const [request, code, status] of refused) {
    const answer = await request;
    assert.deepEqual([answer.error.code, answer.status], [code, status]);
  }
});

test("decisions are made by rpc, alone and at once, and taken back", async () => {
  const signedIn = await user();
  const kinds = ["logistics", "factory", "delivery"];
  const rows = await of(service.from("hotspots").insert(kinds.map((event_type) => hotspot({ event_type }))).select("id"));
  const ids = rows.map((row) => row.id).sort((a, b) => a - b);
  for (const [decision, status] of [["acknowledged", "active"], ["rejected", "active"], ["ignored", "ignored"]]) {
    const row = await of(signedIn.rpc("decide_hotspot", { id: ids[0], decision, notes: "as agreed" }));
    assert.equal(row.status, status);
  }
  const late = await signedIn.rpc("decide_hotspot", { id: ids[0], decision: "accepted" });
  assert.deepEqual([late.error.code, late.status], ["PT409", 409]);
  assert.deepEqual(await of(signedIn.rpc("decide_hotspots", { ids, decision: "accepted" })), {
    done: ids.slice(1),
    refused: [{ id: ids[0], reason: `hotspot ${ids[0]} is ignored` }],
  });
  assert.deepEqual(await of(signedIn.rpc("undo", { kind: "hotspot", ids })), { done: ids, refused: [] });
  const open = await of(signedIn.from("hotspots").select("id,held").eq("entity", ENTITY).eq("status", "active").order("id"));
  assert.deepEqual(open, ids.map((id) => ({ id, held: id === ids[0] })));
  const alert = await of(service.from("alerts").insert({ hotspot_id: ids[0], level: "warn", message: "x" }).select("id").single());
  assert.equal((await of(signedIn.rpc("acknowledge_alert", { id: alert.id }))).acknowledged, true);
  assert.deepEqual((await of(signedIn.rpc("acknowledge_alerts", { ids: [alert.id] }))).done, [alert.id]);
  const until = new Date(Date.now() + 3_600_000).toISOString();
  const silence = await of(signedIn.rpc("silence", { until, why: "works", entity: ENTITY }));
  const told = { entity: ENTITY, event_type: "factory", severity: "warn", at: new Date().toISOString() };
  assert.equal(await of(signedIn.rpc("is_silenced", told)), true);
  await of(signedIn.rpc("end_silence", { id: silence.id }));
  assert.equal(await of(signedIn.rpc("is_silenced", { ...told, at: new Date().toISOString() })), false);
  const unknown = await signedIn.rpc("reset_key", { entity: `nobody ${ENTITY}`, event_type: "factory" });
  assert.deepEqual([unknown.error.code, unknown.status], ["PT404", 404]);
  const strangers = [
    anon.rpc("decide_hotspot", { id: ids[0], decision: "resolved" }),
    anon.rpc("silence", { until, why: "works", entity: ENTITY }),
    anon.rpc("undo", { kind: "hotspot", ids }),
  ];
  for (const request of strangers) assert.equal((await request).error.code, "42501");
  assert.match((await of(service.rpc("undo", { kind: "hotspot", ids }))).refused[0].reason, /not yours/);
  await of(service.from("hotspots").delete().eq("entity", ENTITY));
});

test("a user signs in, is known, refreshes, changes and signs out", async () => {
  const signedIn = await user();
  const before = (await signedIn.auth.getSession()).data.session;
  assert.equal((await signedIn.auth.getUser()).data.user.id, before.user.id);
  const { data, error } = await signedIn.auth.getClaims();
  assert.equal(error, null);
  assert.deepEqual([data.claims.role, data.claims.sub], ["authenticated", before.user.id]);
  const refreshed = (await signedIn.auth.refreshSession()).data.session;
  assert.notEqual(refreshed.refresh_token, before.refresh_token);
  const changed = await signedIn.auth.updateUser({ data: { name: "Ada" } });
  assert.equal(changed.data.user.user_metadata.name, "Ada");
  assert.ok(Array.isArray(await of(signedIn.from("hotspots").select("id").limit(1))));
  assert.equal((await signedIn.auth.signOut()).error, null);
  assert.equal((await signedIn.auth.getSession()).data.session, null);
  assert.equal((await signedIn.from("hotspots").select("id").limit(1)).status, 401);
  const wrong = await signedIn.auth.signInWithPassword({ email: EMAIL, password: `not ${PASSWORD}` });
  assert.deepEqual([wrong.error.code, wrong.error.status], ["invalid_credentials", 400]);
});

test("a signed-in user follows rows, whole ones, in order", async () => {
  const signedIn = await user();
  const binding = { event: "*", schema: "public", table: "hotspots", filter: `entity=eq.${ENTITY}` };
  const { all, started } = listen(
    signedIn.channel("followed"),
    (channel, heard) => channel.on("postgres_changes", binding, heard),
    2,
    () => false,
  );
  await started;
  const row = await of(service.from("hotspots").insert(hotspot()).select().single());
  const changed = await of(service.from("hotspots").update({ status: "ignored" }).eq("id", row.id).select().single());
  const changes = await all;
  assert.deepEqual(changes.map((change) => change.eventType), ["INSERT", "UPDATE"]);
  assert.deepEqual(changes.map((change) => change.new), [row, changed]);
  assert.deepEqual(changes[1].old, { id: row.id });
});

test("clients of a topic hear each other, and themselves on demand", async () => {
  const topic = `room ${ENTITY}`;
  const joined = (state) => state === "SUBSCRIBED";
  const bind = (channel, heard) => channel.on("broadcast", { event: "note" }, heard);
  const own = anon.channel(topic, { config: { broadcast: { self: true, ack: true } } });
  const mine = listen(own, bind, 1, joined);
  const theirs = listen(service.channel(topic), bind, 1, joined);
  await Promise.all([mine.started, theirs.started]);
  assert.equal(await own.send({ type: "broadcast", event: "note", payload: { text: "héllo" } }), "ok");
  for (const [message] of await Promise.all([mine.all, theirs.all])) {
    assert.deepEqual([message.event, message.payload.text], ["note", "héllo"]);
  }
});
