import assert from "node:assert/strict";
import test from "node:test";
import { RelayClient } from "../../relay/web/client.js";
import { Clock, Sockets, deletion, hello, leave, resumed, synced, upsert } from "./fake.mjs";

function relay(options = {}) {
  const sockets = new Sockets();
  const clock = new Clock();
  const errors = [];
  const client = new RelayClient({
    url: "http://relay.example:8003",
    WebSocket: sockets.Class,
    timers: clock,
    random: () => 1, // the longest wait: 0.5, 1, 2, ... seconds
    onError: (error) => errors.push(error),
    ...options,
  });
  return { client, sockets, clock, errors };
}

// A client with one subscriber of hotspots, connected and synced.
async function following(options) {
  const parts = relay(options);
  const told = [];
  const stop = parts.client.subscribe("hotspots", (frame) => told.push(frame));
  parts.client.connect();
  await settled();
  greet(parts.sockets.newest);
  return { ...parts, told, stop, state: () => parts.client.status.hotspots.state };
}

function greet(socket, ...frames) {
  socket.accept();
  socket.tell(hello, ...frames, synced());
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const brief = (frames) => frames.map(({ type, record, version }) => [type, record?.id, version]);

test("an endpoint is opened once, however many subscribe and connect", async () => {
  const { client, sockets } = relay();
  client.connect();
  assert.equal(sockets.all.length, 0);
  client.subscribe("hotspots", () => {});
  client.subscribe("hotspots", () => {});
  client.connect();
  client.subscribe("alerts", () => {});
  client.connect();
  assert.deepEqual(sockets.all.map(({ url, protocols }) => [url, protocols]), [
    ["ws://relay.example:8003/ws/hotspots", ["relay.v1"]],
    ["ws://relay.example:8003/ws/alerts", ["relay.v1"]],
  ]);
});

test("the address keeps a path in front, is secure where the page is, and carries the filter", () => {
  const { client, sockets } = relay({
    url: "https://relay.example/up/?x=1#y",
    filters: { hotspots: { severity: "warn,critical" } },
    last: 50,
  });
  client.subscribe("hotspots", () => {});
  client.connect();
  const expected = "wss://relay.example/up/ws/hotspots?last=50&severity=warn%2Ccritical";
  assert.equal(sockets.newest.url, expected);
});

test("every subscriber gets each change once, in order", async () => {
  const { client, sockets, told } = await following();
  const second = [];
  client.subscribe("hotspots", (frame) => second.push(frame));
  await settled();
  sockets.newest.tell(upsert(1, 1), upsert(1, 1), upsert(1, 2), deletion(1, 3), upsert(1, 2));
  const changes = [["INSERT", 1, 1], ["UPDATE", 1, 2], ["DELETE", undefined, 3]];
  assert.deepEqual(brief(told), [["synced", undefined, undefined], ...changes]);
  assert.deepEqual(brief(second), brief(told));
});

test("a subscriber that comes late is given the rows held, then what follows", async () => {
  const { client, sockets } = await following();
  sockets.newest.tell(upsert(1, 1), upsert(2, 1), leave(2, 2), upsert(3, 1));
  const late = [];
  client.subscribe("hotspots", (frame) => late.push(frame));
  sockets.newest.tell(upsert(3, 2)); // before the subscriber has heard anything
  assert.deepEqual(late, []);
  await settled();
  sockets.newest.tell(upsert(4, 1));
  assert.deepEqual(brief(late), [
    ["INSERT", 1, 1], ["INSERT", 3, 1], ["synced", undefined, undefined], ["UPDATE", 3, 2],
    ["INSERT", 4, 1],
  ]);
});

test("a lost connection resumes from the cursor of the last synced or cursor frame", async () => {
  const { sockets, clock, told } = await following({ last: 10 });
  sockets.newest.tell(upsert(1, 1), { type: "cursor", cursor: "c2" }, upsert(2, 1));
  sockets.newest.cut();
  clock.advance(0.5);
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c2&seq=201");
  sockets.newest.accept();
  sockets.newest.tell({ ...resumed, cursor: "not this" }, upsert(2, 1), upsert(2, 2));
  sockets.newest.cut(); // before synced: the old cursor and place stay
  clock.advance(1);
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c2&seq=201");
  sockets.newest.accept();
  sockets.newest.tell(resumed, upsert(2, 1), upsert(2, 2), upsert(3, 1), synced("c3"));
  assert.deepEqual(brief(told).filter(([type]) => type !== "synced"), [
    ["INSERT", 1, 1], ["INSERT", 2, 1], ["UPDATE", 2, 2], ["INSERT", 3, 1],
  ]);
});

test("the place on a relay is that of the newest change of any kind, and goes with its cursor", async () => {
  const { sockets, clock } = await following();
  const places = async (...frames) => {
    sockets.newest.tell(...frames);
    sockets.newest.cut();
    clock.advance(60);
    const { searchParams } = new URL(sockets.newest.url);
    sockets.newest.accept();
    return [searchParams.get("cursor"), searchParams.get("seq")];
  };
  assert.deepEqual(await places(), ["c1", null]);
  assert.deepEqual(await places(resumed, upsert(1, 1), synced("c2")), ["c2", "101"]);
  const gone = { ...deletion(1, 2), seq: 102 };
  assert.deepEqual(await places(resumed, synced("c3"), gone), ["c3", "102"]);
  assert.deepEqual(await places(resumed, synced("c4"), { ...leave(2, 2), seq: 103 }), ["c4", "103"]);
  // Read from the database, it has no place.
  assert.deepEqual(await places(resumed, { ...upsert(3, 1), seq: 0 }, synced("c5")), ["c5", null]);
  // A change that is known already has one all the same.
  assert.deepEqual(await places(resumed, synced("c6"), { ...upsert(3, 1), seq: 104 }), ["c6", "104"]);
  assert.deepEqual(await places({ type: "reset", reason: "overflow" }), [null, null]);
});

test("a reset tells subscribers to discard, and rows may be told again", async () => {
  const { sockets, clock, told, state } = await following();
  sockets.newest.tell(upsert(1, 2), upsert(2, 1), { type: "reset", reason: "overflow" });
  assert.equal(state(), "syncing");
  sockets.newest.tell(upsert(1, 2), synced("c9", false));
  assert.equal(state(), "open");
  assert.deepEqual(told.slice(-3).map(({ type, reason, complete }) => [type, reason, complete]), [
    ["reset", "overflow", undefined], ["UPDATE", undefined, undefined], ["synced", undefined, false],
  ]);
  sockets.newest.cut();
  clock.advance(0.5);
  assert.equal(new URL(sockets.newest.url).searchParams.get("cursor"), "c9");
});

test("a cursor that is refused is followed by one reset and the state", async () => {
  const { sockets, clock, told } = await following();
  sockets.newest.tell(upsert(1, 1));
  sockets.newest.cut(1012);
  clock.advance(0.5);
  sockets.newest.accept();
  const refused = { ...hello, reason: "expired" };
  sockets.newest.tell(refused, { type: "reset", reason: "expired" }, upsert(1, 1), synced());
  assert.deepEqual(told.map((frame) => frame.type), ["synced", "INSERT", "reset", "INSERT", "synced"]);
});

test("a first state that was cut off is discarded before it is told again", async () => {
  const { client, sockets, clock } = relay();
  const told = [];
  client.subscribe("hotspots", (frame) => told.push(frame));
  client.connect();
  await settled();
  sockets.newest.accept();
  sockets.newest.tell(hello, upsert(1, 1));
  sockets.newest.cut();
  clock.advance(0.5);
  greet(sockets.newest, upsert(2, 1));
  assert.deepEqual(told.map((frame) => frame.type), ["INSERT", "reset", "INSERT", "synced"]);
});

for (const code of [1001, 1006, 1011, 1012, 1013, 4000, 4001, 4002]) {
  test(`after ${code} the client comes back`, async () => {
    const { sockets, clock, state, client } = await following();
    sockets.newest.cut(code, "why");
    assert.equal(state(), "waiting");
    assert.equal(client.status.hotspots.code, code);
    assert.equal(client.status.hotspots.reason, "why");
    clock.advance(0.5);
    assert.equal(sockets.all.length, 2);
  });
}

for (const code of [4500, 4501, 4502, 4999]) {
  test(`after ${code} the client stays away until it is told to connect`, async () => {
    const { client, sockets, clock, state } = await following();
    sockets.newest.cut(code);
    clock.advance(3600);
    assert.equal(sockets.all.length, 1);
    assert.equal(state(), "refused");
    assert.equal(clock.pending, 0);
    client.connect();
    assert.equal(sockets.all.length, 2);
  });
}

test("attempts are spaced further and further, and near again once the state was received", async () => {
  const { sockets, clock } = await following();
  const waits = () => {
    for (let tenths = 0; ; tenths++) {
      const before = sockets.all.length;
      if (tenths > 0) clock.advance(0.1);
      if (sockets.all.length > before) return tenths / 10;
    }
  };
  const found = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    sockets.newest.cut();
    found.push(waits());
  }
  assert.deepEqual(found, [0.5, 1, 2, 4, 8, 16, 30, 30]);
  greet(sockets.newest);
  sockets.newest.cut();
  assert.equal(waits(), 0.5);
});

test("disconnect closes every socket, clears every timer, and nothing follows", async () => {
  const { client, sockets, clock, told } = await following();
  client.subscribe("alerts", () => {});
  const before = told.length;
  client.disconnect();
  assert.deepEqual(sockets.open, []);
  assert.equal(clock.pending, 0);
  sockets.all[0].tell(upsert(1, 1));
  sockets.all.forEach((socket) => socket.cut());
  clock.advance(3600);
  client.subscribe("recommendations", () => {});
  assert.equal(sockets.all.length, 2);
  assert.equal(told.length, before);
  assert.deepEqual(Object.values(client.status).map(({ state }) => state), Array(3).fill("closed"));
});

test("disconnect also ends an attempt that is waited for, and connect resumes where it was", async () => {
  const { client, sockets, clock } = await following();
  sockets.newest.cut();
  client.disconnect();
  assert.equal(clock.pending, 0);
  client.connect();
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c1");
});

for (const state of ["connecting", "syncing", "open", "waiting", "refused"]) {
  test(`disconnect when told of "${state}" leaves no socket and no timer`, async () => {
    const { client, sockets, clock } = relay();
    client.subscribe("hotspots", () => {});
    client.onStatus((_, status) => status.state === state && client.disconnect());
    client.connect();
    if (client.status.hotspots.state === "connecting") greet(sockets.newest);
    if (client.status.hotspots.state === "open") sockets.newest.cut(state === "refused" ? 4500 : 1006);
    assert.equal(client.status.hotspots.state, "closed");
    assert.deepEqual(sockets.open, []);
    assert.equal(clock.pending, 0);
  });
}

test("the last one who unsubscribes closes the socket; the next begins from the beginning", async () => {
  const { client, sockets, stop } = await following();
  const stopSecond = client.subscribe("hotspots", () => {});
  sockets.newest.tell(upsert(1, 1));
  stop();
  stop();
  assert.equal(sockets.open.length, 1);
  stopSecond();
  assert.equal(sockets.open.length, 0);
  const told = [];
  client.subscribe("hotspots", (frame) => told.push(frame.type));
  await settled();
  assert.equal(new URL(sockets.newest.url).search, "");
  greet(sockets.newest, upsert(1, 1));
  assert.deepEqual(told, ["INSERT", "synced"]);
});

test("a callback that throws keeps nothing from the others, nor from the client", async () => {
  const { client, sockets, told, errors } = await following();
  client.subscribe("hotspots", () => {
    throw new Error("broken");
  });
  client.onStatus(() => {
    throw new Error("also broken");
  });
  const after = [];
  client.subscribe("hotspots", (frame) => after.push(frame.type));
  await settled();
  sockets.newest.tell(upsert(1, 1), { type: "status", upstream: "degraded" }, upsert(2, 1));
  assert.deepEqual(after, ["synced", "INSERT", "INSERT"]);
  assert.equal(told.length, 3);
  assert.equal(client.status.hotspots.upstream, "degraded");
  const messages = errors.map((error) => error.message);
  assert.deepEqual(messages, ["broken", "broken", "also broken", "broken"]);
});

test("a callback may unsubscribe others and itself while a change is handed out", async () => {
  const { client, sockets } = await following();
  const told = [];
  const stops = [];
  stops.push(client.subscribe("hotspots", () => stops.forEach((stop) => stop())));
  stops.push(client.subscribe("hotspots", (frame) => told.push(frame.type)));
  await settled();
  assert.deepEqual(told, []);
  sockets.newest.tell(upsert(1, 1));
  assert.deepEqual(told, []);
});

test("what cannot be understood is counted and passed over", async () => {
  const { client, sockets, told } = await following();
  for (const text of ["", "{", "null", "7", '"x"', "[]", "{}", '{"type":7}']) {
    sockets.newest.tellText(text);
  }
  sockets.newest.tell({ ...upsert(1, 1), version: "1" }, { ...upsert(1, 2), record: {} });
  sockets.newest.tell({ type: "of a later relay" }, upsert(1, 1));
  assert.equal(client.status.hotspots.badFrames, 10);
  assert.deepEqual(told.map((frame) => frame.type), ["synced", "INSERT"]);
});

test("a ping goes out every 25 seconds, and a silent connection is given up", async () => {
  const { sockets, clock, state } = await following();
  const [socket] = sockets.all;
  clock.advance(24);
  assert.deepEqual(socket.sent, []);
  clock.advance(1);
  assert.deepEqual(socket.sent, [{ type: "ping" }]);
  socket.tell({ type: "pong" });
  clock.advance(25);
  socket.tell(upsert(1, 1)); // proves as much as a pong
  clock.advance(25);
  assert.equal(socket.sent.length, 3);
  clock.advance(9);
  assert.equal(state(), "open");
  clock.advance(1);
  assert.equal(state(), "waiting");
  assert.equal(socket.closedWith, 1000);
  clock.advance(0.5);
  assert.equal(sockets.all.length, 2);
});

test("a connection that cannot be made is tried again, with or without a close event", () => {
  const { client, sockets, clock } = relay();
  client.subscribe("hotspots", () => {});
  client.connect();
  const [socket] = sockets.all;
  socket.onerror({});
  socket.cut();
  assert.equal(client.status.hotspots.state, "waiting");
  assert.equal(clock.pending, 1);
  clock.advance(0.5);
  assert.equal(sockets.all.length, 2);
});

test("an error of a connection that was made waits for the close event and its code", async () => {
  const { sockets, state, client } = await following();
  sockets.newest.onerror({});
  assert.equal(state(), "open");
  sockets.newest.cut(4500);
  assert.equal(client.status.hotspots.code, 4500);
});

test("a server that never greets is given up", () => {
  const { client, sockets, clock } = relay();
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept();
  clock.advance(10);
  assert.equal(client.status.hotspots.state, "waiting");
  clock.advance(0.5);
  assert.equal(sockets.all.length, 2);
});

test("a server that does not speak relay.v1 is refused", () => {
  const { client, sockets, clock } = relay();
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept("");
  assert.equal(client.status.hotspots.state, "refused");
  assert.match(client.status.hotspots.reason, /relay\.v1/);
  assert.equal(clock.pending, 0);
});

test("each new status is told with its channel, until the watcher is removed", () => {
  const { client, sockets, clock } = relay();
  const seen = [];
  const stop = client.onStatus((channel, { state, upstream }) => seen.push([channel, state, upstream]));
  client.subscribe("alerts", () => {});
  client.connect();
  sockets.newest.accept();
  sockets.newest.tell(hello, { type: "status", upstream: "live" }, synced());
  sockets.newest.cut(4000);
  clock.advance(0.5);
  stop();
  client.disconnect();
  assert.deepEqual(seen, [
    ["alerts", "connecting", null], ["alerts", "syncing", null], ["alerts", "syncing", "live"],
    ["alerts", "open", "live"], ["alerts", "waiting", null], ["alerts", "connecting", null],
  ]);
});

test("an unknown channel and an address that is none are said at once", () => {
  assert.throws(() => relay().client.subscribe("emissions", () => {}), /unknown channel: emissions/);
  assert.throws(() => relay({ url: "relay" }), TypeError);
});

test("a token is sent first, before anything is expected", async () => {
  const { client, sockets } = relay({ token: () => Promise.resolve("jwt-1") });
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept();
  await settled();
  assert.deepEqual(sockets.newest.sent, [{ type: "auth", token: "jwt-1" }]);
  sockets.newest.tell(hello, synced());
  assert.equal(client.status.hotspots.state, "open");
});

test("a token that expires is replaced on the open connection", async () => {
  let count = 0;
  const { client, sockets } = relay({ token: () => `jwt-${++count}` });
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept();
  await settled();
  sockets.newest.tell(hello, synced(), { type: "token_expiring", seconds: 30 });
  await settled();
  sockets.newest.tell({ type: "authenticated", expires_in: 3600 });
  assert.deepEqual(sockets.newest.sent.map(({ token }) => token), ["jwt-1", "jwt-2"]);
  assert.equal(client.status.hotspots.state, "open");
});

test("an expired token brings the client back with a fresh one, a refused one does not", async () => {
  let count = 0;
  const { client, sockets, clock } = relay({ token: () => `jwt-${++count}` });
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept();
  await settled();
  sockets.newest.tell(hello, synced());
  sockets.newest.cut(4001, "the token expired");
  clock.advance(1);
  sockets.newest.accept();
  await settled();
  assert.deepEqual(sockets.newest.sent, [{ type: "auth", token: "jwt-2" }]);
  sockets.newest.cut(4500, "revoked");
  clock.advance(60);
  assert.equal(sockets.all.length, 2);
  assert.deepEqual([client.status.hotspots.state, client.status.hotspots.code], ["refused", 4500]);
});

test("a token that cannot be had is told, and nothing is sent", async () => {
  const broken = new Error("signed out");
  const { client, sockets, errors } = relay({ token: () => Promise.reject(broken) });
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept();
  await settled();
  assert.deepEqual([sockets.newest.sent, errors], [[], [broken]]);
});

test("a token that comes after its connection is gone is not sent anywhere", async () => {
  let hand;
  const { client, sockets, clock } = relay({ token: () => new Promise((done) => (hand = done)) });
  client.subscribe("hotspots", () => {});
  client.connect();
  const first = sockets.newest;
  first.accept();
  first.cut();
  clock.advance(1);
  hand("jwt-1");
  await settled();
  assert.deepEqual([first.sent, sockets.newest.sent], [[], []]);
});
