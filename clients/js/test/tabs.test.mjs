import assert from "node:assert/strict";
import test from "node:test";
import { RelayClient } from "../src/client.js";
import { Clock, Locks, Sockets, broadcasting, deletion, hello, resumed, synced, upsert } from "./fake.mjs";

const settled = () => new Promise((resolve) => setImmediate(resolve));

function jwt(sub) {
  const part = (value) => btoa(JSON.stringify(value)).replace(/=+$/, "");
  return `${part({ alg: "none" })}.${part({ sub, role: "authenticated" })}.x`;
}

// Tabs of one origin, each with a client; `sockets` are those of all of them.
function origin() {
  const [locks, channels, clock, sockets] = [new Locks(), broadcasting(), new Clock(), new Sockets()];
  const tabs = [];
  async function open(options = {}) {
    const told = [];
    const client = new RelayClient({
      url: "http://relay.example",
      WebSocket: sockets.Class,
      timers: clock,
      random: () => 0.5,
      now: () => 0,
      locks,
      BroadcastChannel: channels.Channel,
      onError: (error) => assert.fail(error),
      ...options,
    });
    client.subscribe("hotspots", (frame) => told.push(frame));
    client.connect();
    await settled();
    const channel = [...channels.all].at(-1);
    const tab = { client, told, channel, state: () => client.status.hotspots.state };
    tabs.push(tab);
    return tab;
  }
  return { open, locks, channels, clock, sockets, tabs };
}

// What an application holds that applies all that it was told; fails when something comes twice.
function rows(told) {
  const held = new Map();
  for (const frame of told) {
    if (frame.type === "reset") held.clear();
    else if (frame.record) {
      assert.notEqual(held.get(frame.record.id), frame.version, "told twice");
      held.set(frame.record.id, frame.version);
    } else if (frame.type !== "synced") held.delete(frame.id ?? frame.old_record.id);
  }
  return Object.fromEntries(held);
}

test("ten tabs have one socket, and all of them the rows", async () => {
  const { open, sockets, tabs } = origin();
  await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), upsert(2, 1), synced("c1"));
  for (let tab = 1; tab < 10; tab++) await open();
  sockets.newest.tell(upsert(3, 1), deletion(1, 2));
  await settled();
  assert.equal(sockets.all.length, 1);
  for (const { told, state } of tabs) {
    assert.deepEqual([rows(told), state()], [{ 2: 1, 3: 1 }, "open"]);
  }
});

test("a tab that is alone tells nobody what it receives; who comes later has it all", async () => {
  const { open, sockets, channels } = origin();
  const first = await open();
  sockets.newest.accept();
  const before = channels.posted;
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"), upsert(2, 1));
  assert.equal(channels.posted, before);
  const second = await open();
  sockets.newest.tell(upsert(3, 1));
  await settled();
  assert.deepEqual(rows(second.told), { 1: 1, 2: 1, 3: 1 });
  second.client.disconnect();
  await settled();
  const alone = channels.posted;
  sockets.newest.tell(upsert(4, 1), { type: "cursor", cursor: "c4" });
  assert.equal(channels.posted, alone);
  const third = await open();
  assert.deepEqual([rows(third.told), third.state()], [{ 1: 1, 2: 1, 3: 1, 4: 1 }, "open"]);
  first.client.disconnect();
  await settled();
  sockets.newest.accept();
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c4");
});

test("when the leading tab is closed the next resumes from its cursor", async () => {
  const { open, sockets } = origin();
  const first = await open();
  const second = await open();
  const third = await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"), upsert(2, 1), { type: "cursor", cursor: "c2" });
  await settled();
  first.client.disconnect();
  await settled();
  assert.equal(sockets.open.length, 1);
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c2");
  sockets.newest.accept();
  sockets.newest.tell(resumed, upsert(2, 1), upsert(2, 2), synced("c3"));
  await settled();
  for (const { told, state } of [second, third]) {
    assert.deepEqual([rows(told), state()], [{ 1: 1, 2: 2 }, "open"]);
  }
});

test("a leader that the browser has frozen is replaced, and steps down when it wakes", async () => {
  const { open, sockets, clock, channels, tabs } = origin();
  const first = await open();
  const second = await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  await settled();
  channels.freeze(first.channel);
  clock.advance(10); // the follower asks
  await settled();
  clock.advance(7.5); // nobody answers
  await settled();
  assert.equal(sockets.all.length, 2);
  assert.equal(sockets.all[0].closedWith, 1000); // the lock was stolen
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c1");
  sockets.newest.accept();
  sockets.newest.tell(resumed, upsert(2, 1), synced("c2"));
  await settled();
  channels.thaw(first.channel);
  first.client.retryNow();
  await settled();
  clock.advance(10);
  await settled();
  await settled();
  sockets.newest.tell(upsert(3, 1));
  await settled();
  assert.equal(sockets.open.length, 1);
  for (const { told } of tabs) assert.deepEqual(rows(told), { 1: 1, 2: 1, 3: 1 });
  assert.equal(second.state(), "open");
});

// A leader that has received rows which its successor has not received yet, and has stepped down.
async function replacedAhead() {
  const parts = origin();
  const { open, sockets, clock, channels } = parts;
  const first = await open();
  await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  await settled();
  channels.freeze(first.channel);
  sockets.newest.tell(upsert(2, 1), upsert(3, 1));
  for (const seconds of [10, 7.5]) {
    clock.advance(seconds);
    await settled();
  }
  sockets.newest.accept();
  sockets.newest.tell(resumed, synced("c1"));
  channels.thaw(first.channel);
  first.client.retryNow();
  clock.advance(1);
  sockets.newest.tell(upsert(4, 1)); // of which the former leader hears
  await settled();
  await settled();
  return { ...parts, first };
}

test("what a replaced leader has received before its successor is told once", async () => {
  const { sockets, clock, tabs, first } = await replacedAhead();
  sockets.newest.tell(upsert(2, 1), upsert(3, 1));
  await settled();
  clock.advance(5);
  await settled();
  for (const { told } of tabs) assert.deepEqual(rows(told), { 1: 1, 2: 1, 3: 1, 4: 1 });
  assert.equal(first.told.filter(({ type }) => type === "LEAVE").length, 0);
});

test("what only a replaced leader has received is taken back", async () => {
  const { sockets, clock, tabs } = await replacedAhead();
  sockets.newest.tell(upsert(3, 1));
  clock.advance(5);
  await settled();
  for (const { told } of tabs) assert.deepEqual(rows(told), { 1: 1, 3: 1, 4: 1 });
});

test("what a former leader still says is passed over", async () => {
  const { open, sockets, channels, tabs } = origin();
  const first = await open();
  await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  await settled();
  const former = new channels.Channel(first.channel.name);
  former.postMessage({ from: "former", kind: "frame", term: 0, n: 4, frame: { type: "reset", reason: "old" } });
  former.postMessage({ from: "former", kind: "alive", term: 0, n: 4 });
  await settled();
  for (const { told, state } of tabs) assert.deepEqual([rows(told), state()], [{ 1: 1 }, "open"]);
});

test("a leader that answers is left alone, however long nothing happens", async () => {
  const { open, sockets, clock } = origin();
  await open();
  await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  for (let second = 0; second < 300; second++) {
    clock.advance(1);
    sockets.newest.tell({ type: "pong" });
    await settled();
  }
  assert.equal(sockets.all.length, 1);
});

test("tabs of different users, and of different filters, share nothing", async () => {
  const { open, sockets } = origin();
  const anna = await open({ token: () => jwt("anna") });
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced());
  const ben = await open({ token: () => jwt("ben") });
  const critical = await open({ token: () => jwt("anna"), filters: { hotspots: { severity: "critical" } } });
  await settled();
  assert.equal(sockets.open.length, 3);
  assert.deepEqual(rows(anna.told), { 1: 1 });
  assert.deepEqual([ben.told, critical.told], [[], []]);
});

test("who becomes another user sees nothing of the former one", async () => {
  const { open, sockets } = origin();
  const tab = await open({ token: () => jwt("anna") });
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced());
  tab.client.setToken(() => jwt("ben"));
  await settled();
  await settled();
  assert.deepEqual(rows(tab.told), {});
  assert.equal(tab.told.at(-1).type, "reset");
  assert.equal(sockets.open.length, 1);
  assert.equal(new URL(sockets.newest.url).search, "");
});

test("who comes back as another user sees nothing of the former one", async () => {
  const { open, sockets } = origin();
  let user = "anna";
  const { client, told } = await open({ token: () => jwt(user) });
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1), synced("c1"));
  client.disconnect();
  user = "ben";
  client.connect();
  await settled();
  assert.deepEqual(rows(told), {});
  assert.equal(new URL(sockets.newest.url).search, "");
  client.disconnect();
  client.connect();
  await settled();
  assert.equal(told.filter(({ type }) => type === "reset").length, 1); // the same user again
});

test("a reset of the leader reaches every tab", async () => {
  const { open, sockets, tabs } = origin();
  await open();
  await open();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 5), synced(), { type: "reset", reason: "epoch" }, upsert(1, 1), synced("n"));
  await settled();
  for (const { told } of tabs) assert.deepEqual(rows(told), { 1: 1 });
});

test("a refusal is told to every tab, and any of them may try again", async () => {
  const { open, sockets, tabs } = origin();
  await open();
  const second = await open();
  sockets.newest.cut(4500, "no");
  await settled();
  assert.deepEqual(tabs.map(({ state }) => state()), ["refused", "refused"]);
  second.client.connect();
  await settled();
  assert.equal(sockets.all.length, 2);
});

test("closing every tab leaves no socket, no timer and no lock", async () => {
  const { open, sockets, clock, locks, channels, tabs } = origin();
  for (let tab = 0; tab < 3; tab++) await open();
  for (const { client } of tabs) client.disconnect();
  await settled();
  assert.deepEqual([sockets.open.length, clock.pending, locks.names.length, channels.all.size], [0, 0, 0, 0]);
});
