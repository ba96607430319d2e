import assert from "node:assert/strict";
import test from "node:test";
import { RelayClient } from "../src/client.js";
import { Commands } from "../src/commands.js";
import { parse } from "../src/json.js";
import { inSession } from "../src/storage.js";
import { storeOf } from "../src/store.js";
import { Clock, Sockets, deletion, hello, resumed, synced, upsert } from "./fake.mjs";

const settled = () => new Promise((resolve) => setImmediate(resolve));

class Storage {
  items = new Map();
  getItem = (name) => this.items.get(name) ?? null;
  setItem = (name, text) => void this.items.set(name, text);
  removeItem = (name) => void this.items.delete(name);
}

class Page extends EventTarget {
  visibilityState = "visible";
  show(state) {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

async function page(options = {}) {
  const [sockets, clock, told] = [new Sockets(), new Clock(), []];
  const [window, document] = [new EventTarget(), new Page()];
  const client = new RelayClient({
    url: "http://relay.example/up",
    WebSocket: sockets.Class,
    timers: clock,
    random: () => 1,
    now: () => 1_000,
    tabs: false,
    window,
    document,
    onError: (error) => assert.fail(error),
    ...options,
  });
  const stop = client.subscribe("hotspots", (frame) => told.push(frame));
  client.connect();
  await settled();
  const state = () => client.status.hotspots.state;
  return { client, sockets, clock, told, window, document, stop, state };
}

const brief = (told) => told.map(({ type, record, id, old_record }) => [type, record?.id ?? id ?? old_record?.id]);

test("a reload goes on from the cursor with the rows that were held", async () => {
  const storage = inSession(new Storage());
  const before = await page({ storage });
  await settled();
  before.sockets.newest.accept();
  before.sockets.newest.tell(hello, upsert(1, 1), upsert(2, 1), synced("c1"), deletion(1, 2));
  before.window.dispatchEvent(new Event("pagehide"));
  const after = await page({ storage });
  await settled();
  assert.deepEqual(brief(after.told), [["INSERT", 2]]);
  assert.equal(new URL(after.sockets.newest.url).search, "?cursor=c1");
  after.sockets.newest.accept();
  after.sockets.newest.tell(resumed, deletion(1, 2), upsert(2, 1), upsert(3, 1), synced("c2"));
  assert.deepEqual(brief(after.told), [["INSERT", 2], ["INSERT", 3], ["synced", undefined]]);
});

test("what was kept is discarded where the relay cannot go on from it", async () => {
  const storage = inSession(new Storage());
  const before = await page({ storage });
  await settled();
  before.sockets.newest.accept();
  before.sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  before.client.disconnect();
  const after = await page({ storage });
  await settled();
  after.sockets.newest.accept();
  after.sockets.newest.tell({ ...hello, reason: "expired" }, upsert(2, 1), synced("c2"));
  assert.deepEqual(brief(after.told), [["INSERT", 1], ["reset", undefined], ["INSERT", 2], ["synced", undefined]]);
});

test("a storage that is full or broken costs nothing but the rows of the next reload", async () => {
  const errors = [];
  const storage = { get: () => { throw new Error("get") }, set: () => { throw new Error("full") }, delete() {} };
  const { sockets, clock, told, state } = await page({ storage, onError: (error) => errors.push(error.message) });
  await settled();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  clock.advance(2);
  await settled();
  assert.deepEqual([state(), told.length, errors], ["open", 2, ["get", "full"]]);
});

test("the network that is back, or the page that wakes, ends the wait", async () => {
  for (const [place, event] of [["window", "online"], ["window", "pageshow"], ["document", "resume"]]) {
    const parts = await page();
    parts.sockets.newest.cut();
    assert.deepEqual([parts.state(), parts.client.status.hotspots.retryAt], ["waiting", 1_500]);
    parts[place].dispatchEvent(new Event(event));
    assert.equal(parts.sockets.all.length, 2);
  }
});

test("a network that goes is missed within the time for a reply, one that carries on is not", async () => {
  for (const carriesOn of [true, false]) {
    const { sockets, clock, window, state } = await page();
    sockets.newest.accept();
    sockets.newest.tell(hello, synced());
    window.dispatchEvent(new Event("offline"));
    assert.deepEqual(sockets.newest.sent, [{ type: "ping" }]);
    if (carriesOn) sockets.newest.tell({ type: "pong" });
    clock.advance(10);
    assert.equal(state(), carriesOn ? "open" : "waiting");
  }
});

test("a page that wakes asks at once whether its connection still lives", async () => {
  const { sockets, clock, document, state } = await page();
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  document.show("hidden");
  document.show("visible");
  assert.deepEqual(sockets.newest.sent, [{ type: "ping" }]);
  clock.advance(10);
  assert.equal(state(), "waiting");
});

test("a hidden page pauses by choice and resumes when it is seen", async () => {
  const { sockets, clock, document, state } = await page({ pauseHiddenSeconds: 60 });
  sockets.newest.accept();
  sockets.newest.tell(hello, synced("c1"));
  document.show("hidden");
  for (const seconds of [25, 25, 9]) {
    clock.advance(seconds);
    sockets.newest.tell({ type: "pong" });
  }
  assert.equal(state(), "open");
  clock.advance(1);
  assert.deepEqual([state(), sockets.open.length], ["closed", 0]);
  document.show("visible");
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c1");
});

test("retryNow() does not wait for the back-off", async () => {
  const { client, sockets, clock } = await page();
  for (let attempt = 0; attempt < 6; attempt++) {
    sockets.newest.cut();
    client.retryNow();
  }
  assert.deepEqual([sockets.all.length, clock.pending], [7, 1]);
});

test("a token that is set is shown at once, on an open connection and after a refusal", async () => {
  const { client, sockets, state } = await page({ token: "one" });
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  client.setToken("two");
  await settled();
  assert.deepEqual(sockets.newest.sent, [{ type: "auth", token: "one" }, { type: "auth", token: "two" }]);
  sockets.newest.cut(4500, "revoked");
  assert.equal(state(), "refused");
  client.setToken("two"); // which was refused
  await settled();
  assert.equal(state(), "refused");
  client.setToken("three");
  await settled();
  sockets.newest.accept();
  assert.deepEqual(sockets.newest.sent, [{ type: "auth", token: "three" }]);
});

test("another filter begins anew, without the cursor that was of the former one", async () => {
  const { client, sockets, told } = await page();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  client.setFilter("hotspots", { entity: ["Acme, Inc."] });
  assert.deepEqual(brief(told).at(-1), ["reset", undefined]);
  assert.equal(sockets.open.length, 1);
  const { searchParams } = new URL(sockets.newest.url);
  assert.deepEqual(searchParams.getAll("entity"), ["Acme, Inc.", "Acme, Inc."]);
  assert.equal(searchParams.get("cursor"), null);
});

test("a loop over the frames gets them in order, and its end closes the socket", async () => {
  const { client, sockets, stop } = await page();
  stop();
  const found = [];
  const loop = (async () => {
    for await (const frame of client.frames("hotspots")) {
      found.push([frame.type, frame.version]);
      if (found.length === 3) break;
    }
  })();
  await settled();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced());
  await settled();
  sockets.newest.tell(upsert(1, 2));
  await loop;
  assert.deepEqual(found, [["INSERT", 1], ["synced", undefined], ["UPDATE", 2]]);
  assert.equal(sockets.open.length, 0);
});

test("a loop that is slower than the changes gets the newest of each row", async () => {
  const { client, sockets } = await page();
  const frames = client.frames("hotspots");
  const first = frames.next();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1));
  await first;
  for (let version = 2; version < 1000; version++) sockets.newest.tell(upsert(1, version));
  sockets.newest.tell(synced());
  sockets.newest.tell(upsert(1, 1000)); // told before `synced` all the same: it is one of all the rows
  const rest = [(await frames.next()).value, (await frames.next()).value];
  assert.deepEqual(rest.map(({ type, version }) => [type, version]), [["UPDATE", 1000], ["synced", undefined]]);
});

test("a signal ends a subscription, and a loop", async () => {
  const { client, sockets, stop } = await page();
  const abort = new AbortController();
  const told = [];
  client.subscribe("hotspots", (frame) => told.push(frame), { signal: abort.signal });
  stop();
  const loop = client.frames("alerts", { signal: abort.signal }).next();
  abort.abort();
  assert.deepEqual(await loop, { value: undefined, done: true });
  assert.equal(sockets.open.length, 0);
  assert.deepEqual(told, []);
});

test("ids are strings by option, beyond 2^53 too, and nothing else changes", () => {
  const text =
    '{"type":"INSERT","table":"hotspots","record":{"id":9007199254740993,"event_id": 9007199254740995,' +
    '"paid":12,"note":"\\"id\\": 7, {\\"id\\":8}","kg":1.5e3},"old_record":null,"version":9}';
  const frame = parse(text, "string");
  assert.deepEqual(frame.record, {
    id: "9007199254740993", event_id: "9007199254740995", paid: 12, note: '"id": 7, {"id":8}', kg: 1500,
  });
  assert.equal(frame.version, 9);
  assert.equal(parse(text, "number").record.paid, 12);
});

test("rows whose ids differ beyond 2^53 stay apart", async () => {
  const { sockets, told } = await page({ ids: "string" });
  sockets.newest.accept();
  sockets.newest.tell(hello);
  for (const id of ["9007199254740992", "9007199254740993"]) {
    const frame = JSON.stringify(upsert(1, 1)).replace('"id":1', `"id":${id}`);
    sockets.newest.tellText(frame);
  }
  assert.deepEqual(told.map(({ record }) => record.id), ["9007199254740992", "9007199254740993"]);
});

test("a command goes to the relay under the user's token, and an error says what it said", async () => {
  const requests = [];
  const replies = [
    new Response('{"id":7,"status":"queued"}', { status: 202 }),
    new Response('{"detail":"recommendation 3 is already rejected"}', { status: 409 }),
  ];
  const fetch = async (url, { method, headers, body }) => {
    requests.push([method, url.href, headers.Authorization, body]);
    return replies.shift();
  };
  const { client } = await page({ token: async () => "jwt", fetch });
  const commands = new Commands(client);
  assert.deepEqual(await commands.scan(), { id: 7, status: "queued" });
  await assert.rejects(commands.approve(3, { notes: "yes" }), {
    name: "RelayError", status: 409, message: "recommendation 3 is already rejected",
  });
  assert.deepEqual(requests, [
    ["POST", "http://relay.example/up/hotspots/scan", "Bearer jwt", undefined],
    ["POST", "http://relay.example/up/recommendations/3/approve", "Bearer jwt", '{"notes":"yes"}'],
  ]);
});

test("a store tells once of what comes at once, and keeps its socket over a short absence", async () => {
  const { client, sockets, stop } = await page();
  stop();
  const store = storeOf(client, "hotspots");
  assert.equal(storeOf(client, "hotspots"), store);
  let calls = 0;
  const leave = store.subscribe(() => calls++);
  leave();
  const leaveAgain = store.subscribe(() => calls++);
  await settled();
  assert.equal(sockets.open.length, 1);
  calls = 0;
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), upsert(2, 1), deletion(1, 2), synced());
  await settled();
  assert.equal(calls, 1);
  const { rows, synced: done, complete, status } = store.getSnapshot();
  assert.deepEqual([rows.map(({ id }) => id), done, complete, status.state], [[2], true, true, "open"]);
  assert.equal(store.getSnapshot(), store.getSnapshot());
  leaveAgain();
});
