import assert from "node:assert/strict";
import test from "node:test";
import { RelayClient } from "../src/client.js";
import { Commands, RelayError } from "../src/commands.js";
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
    ["INSERT", 1, 1], ["INSERT", 3, 2], ["synced", undefined, undefined], ["INSERT", 4, 1],
  ]);
});

test("a lost connection resumes from the cursor of the last synced or cursor frame", async () => {
  const { sockets, clock, told } = await following({ last: 10 });
  sockets.newest.tell(upsert(1, 1), { type: "cursor", cursor: "c2" }, upsert(2, 1));
  sockets.newest.cut();
  clock.advance(0.5);
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c2");
  sockets.newest.accept();
  sockets.newest.tell({ ...resumed, cursor: "not this" }, upsert(2, 1), upsert(2, 2));
  sockets.newest.cut(); // before synced: the old cursor stays
  clock.advance(1);
  assert.equal(new URL(sockets.newest.url).search, "?cursor=c2");
  sockets.newest.accept();
  sockets.newest.tell(resumed, upsert(2, 1), upsert(2, 2), upsert(3, 1), synced("c3"));
  assert.deepEqual(brief(told).filter(([type]) => type !== "synced"), [
    ["INSERT", 1, 1], ["INSERT", 2, 1], ["UPDATE", 2, 2], ["INSERT", 3, 1],
  ]);
});

test("a reset tells subscribers to discard, and rows may be told again", async () => {
  const { sockets, clock, told, state } = await following();
  sockets.newest.tell(upsert(1, 2), upsert(2, 1), { type: "reset", reason: "overflow" });
  assert.equal(state(), "syncing");
  sockets.newest.tell(upsert(1, 2), synced("c9", false));
  assert.equal(state(), "open");
  assert.deepEqual(told.slice(-3).map(({ type, reason, complete }) => [type, reason, complete]), [
    ["reset", "overflow", undefined], ["INSERT", undefined, undefined], ["synced", undefined, false],
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

test("attempts are spaced further and further, and near again once a connection has lasted", async () => {
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
  sockets.newest.cut(4000); // it never caught up
  assert.equal(waits(), 30);
  greet(sockets.newest);
  clock.advance(25);
  sockets.newest.cut(4000);
  assert.equal(waits(), 0.5);
});

test("a relay that cuts off everybody at once is not stormed", async () => {
  const { sockets, clock } = await following();
  for (let tenths = 0; tenths < 200; tenths++) {
    if (sockets.newest.closedWith === null) {
      if (sockets.all.length > 1) greet(sockets.newest);
      sockets.newest.cut(4000);
    }
    clock.advance(0.1);
  }
  assert.equal(sockets.all.length, 1 + 5); // after 0.5, 1, 2, 4 and 8 seconds
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
    ["alerts", "connecting", null], ["alerts", "syncing", "live"], ["alerts", "syncing", "live"],
    ["alerts", "open", "live"], ["alerts", "waiting", null], ["alerts", "connecting", null],
  ]);
});

test("filters are values with commas between, or an array of values that are taken whole", () => {
  const asked = (entity) => {
    const { client, sockets } = relay({ filters: { hotspots: { entity } } });
    client.subscribe("hotspots", () => {});
    client.connect();
    return new URL(sockets.newest.url).searchParams.getAll("entity");
  };
  assert.deepEqual(asked("North,South"), ["North,South"]);
  assert.deepEqual(asked(["Acme, Inc.", "South"]), ["Acme, Inc.", "South"]);
  assert.deepEqual(asked(["Acme, Inc."]), ["Acme, Inc.", "Acme, Inc."]); // repeated: taken whole
  assert.deepEqual(asked([]), []);
});

test("the upstream is known from the greeting on, live unless the relay says otherwise", async () => {
  const { client, sockets, clock } = await following();
  assert.equal(client.status.hotspots.upstream, "live");
  sockets.newest.tell({ type: "status", upstream: "degraded" });
  sockets.newest.cut();
  assert.equal(client.status.hotspots.upstream, null);
  clock.advance(1);
  sockets.newest.accept();
  sockets.newest.tell(resumed, { type: "status", upstream: "down" }, synced());
  assert.equal(client.status.hotspots.upstream, "down");
});

test("where there is no address or no WebSocket, connecting is refused with the remedy", () => {
  const refusal = (options) => {
    const client = new RelayClient(options);
    client.subscribe("hotspots", () => {});
    client.connect();
    client.disconnect();
    client.connect();
    return [client.status.hotspots.state, client.status.hotspots.reason];
  };
  const sockets = new Sockets();
  const [state, reason] = refusal({ WebSocket: sockets.Class });
  assert.deepEqual([state, /`url`/.test(reason)], ["refused", true]);
  const without = refusal({ url: "http://relay.example", WebSocket: undefined });
  assert.deepEqual([without[0], /`WebSocket`/.test(without[1])], ["refused", true]);
});

test("an unknown channel and an address that is none are said at once", () => {
  assert.throws(() => relay().client.subscribe("emissions", () => {}), /unknown channel: emissions/);
  assert.throws(() => relay({ url: "relay" }), TypeError);
});

test("a misspelt channel in the filters is refused and not left unfiltered", () => {
  const misspelt = { filters: { hotspot: { severity: "critical" } } };
  const says = /filters: unknown channel: hotspot .*hotspots, alerts, recommendations/;
  assert.throws(() => relay(misspelt), (error) => error instanceof RangeError && says.test(error.message));
  assert.throws(() => relay({ filters: { hotspots: "critical" } }), /filters.hotspots: .*an object/);
  assert.throws(() => relay({ filters: [] }), /filters: .*an object/);
  relay({ filters: { hotspots: undefined, alerts: { severity: "critical" } } });
  const { client } = relay();
  assert.throws(() => client.setFilter("hotspots", "critical"), /filters.hotspots: .*an object/);
  assert.throws(() => client.setFilter("hotspot", {}), /unknown channel: hotspot/);
});

test("an option that does not exist is refused and not passed over", () => {
  const says = /unknown option: filter .*url, filters, last, token/;
  assert.throws(() => relay({ filter: { hotspots: { severity: "critical" } } }), says);
});

// A client whose getter hands out these tokens in turn, the last one for ever; settled on a socket.
async function bearing(...tokens) {
  let asked = 0;
  const next = () => tokens[Math.min(asked++, tokens.length - 1)];
  const parts = relay({ token: () => Promise.resolve(next()) });
  parts.client.subscribe("hotspots", () => {});
  parts.client.connect();
  await settled();
  const shown = () =>
    parts.sockets.all.flatMap(({ sent }) => sent).filter(({ type }) => type === "auth");
  return {
    ...parts,
    asked: () => asked,
    shown: () => shown().map(({ token }) => token),
    status: () => parts.client.status.hotspots,
    pass: async (seconds) => {
      for (let tenths = 0; tenths < 10 * seconds; tenths++) {
        parts.clock.advance(0.1);
        await settled();
      }
    },
  };
}

const required = { type: "token_required" };
const expiring = { type: "token_expiring", seconds: 30 };

test("a token is asked for before a connection is made, and sent first", async () => {
  const { sockets, shown, status } = await bearing("jwt-1");
  sockets.newest.accept();
  assert.deepEqual(sockets.newest.sent, [{ type: "auth", token: "jwt-1" }]);
  sockets.newest.tell(required, hello, synced());
  assert.deepEqual([shown(), status().state], [["jwt-1"], "open"]);
});

for (const token of [undefined, null, "", () => null, async () => undefined]) {
  test(`without a token (${token}) a relay that asks for one refuses at once`, async () => {
    const { client, sockets, clock } = relay({ token });
    client.subscribe("hotspots", () => {});
    client.connect();
    await settled();
    sockets.newest.accept();
    sockets.newest.tell(required);
    const { state, code, reason } = client.status.hotspots;
    assert.deepEqual([state, code, reason], ["refused", 4500, "the relay asks for a token"]);
    const asksAgain = typeof token === "function" ? 1 : 0;
    assert.deepEqual([sockets.open.length, clock.pending], [0, asksAgain]);
    client.disconnect();
    assert.equal(clock.pending, 0);
  });
}

test("who signs in after the relay has refused is let in without another call", async () => {
  const { sockets, shown, status, pass } = await bearing(null, null, null, "jwt-1");
  sockets.newest.accept();
  sockets.newest.tell(required);
  await pass(10);
  assert.deepEqual([sockets.all.length, status().state], [1, "refused"]);
  await pass(5);
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  assert.deepEqual([shown(), status().state], [["jwt-1"], "open"]);
});

test("a question for a token that is never answered is asked again, also while refused", async () => {
  const answers = [null, new Promise(() => {}), "jwt-1"];
  const { sockets, shown, status, pass } = await bearing(...answers);
  sockets.newest.accept();
  sockets.newest.tell(required);
  await pass(5 + 60 + 5 + 1);
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  assert.deepEqual([shown(), status().state], [["jwt-1"], "open"]);
});

test("a token that expires is replaced on the open connection", async () => {
  const { sockets, shown, status } = await bearing("jwt-1", "jwt-2");
  sockets.newest.accept();
  sockets.newest.tell(hello, synced(), expiring);
  await settled();
  sockets.newest.tell({ type: "authenticated", expires_in: 3600 });
  assert.deepEqual([shown(), status().state], [["jwt-1", "jwt-2"], "open"]);
});

test("a token of whose end the relay has warned is never sent again", async () => {
  const { sockets, shown, status, asked, pass } = await bearing("jwt-1");
  sockets.newest.accept();
  sockets.newest.tell(hello, synced(), expiring, expiring);
  await settled();
  assert.equal(status().state, "open");
  sockets.newest.cut(4001, "the token expired");
  await pass(120);
  assert.deepEqual([shown(), sockets.all.length], [["jwt-1"], 1]);
  assert.deepEqual([status().state, status().code], ["waiting", 4001]);
  assert.ok(asked() > 4 && asked() < 15, `asked ${asked()} times`);
});

test("a token that had expired before it was shown is followed by another one", async () => {
  const { sockets, shown, status, pass } = await bearing("old", "old", "fresh");
  sockets.newest.accept();
  sockets.newest.tell(required);
  sockets.newest.cut(4001, "the token has expired");
  await pass(5);
  assert.equal(sockets.all.length, 2);
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  assert.deepEqual([shown(), status().state], [["old", "fresh"], "open"]);
});

test("who gets other rows than before comes back with the same token", async () => {
  const { sockets, shown, pass } = await bearing("jwt-1");
  sockets.newest.accept();
  sockets.newest.tell(hello, synced());
  sockets.newest.cut(4001, "what the token gets has changed");
  await pass(1);
  sockets.newest.accept();
  assert.deepEqual(shown(), ["jwt-1", "jwt-1"]);
});

test("a token that was refused is not sent again, another one is", async () => {
  const { client, sockets, shown, status, pass } = await bearing("bad", "bad", "good");
  sockets.newest.accept();
  sockets.newest.cut(4500, "the signature of the token is wrong");
  await pass(4);
  client.connect();
  await settled();
  assert.deepEqual([sockets.all.length, status().state], [1, "refused"]);
  assert.equal(status().reason, "the signature of the token is wrong");
  client.connect();
  await settled();
  sockets.newest.accept();
  assert.deepEqual(shown(), ["bad", "good"]);
});

// What a relay that refuses each token gets of a getter that makes another one at each call.
async function refusing(random) {
  let made = 0;
  const { client, sockets, clock } = relay({ token: async () => `jwt-${++made}`, random });
  client.subscribe("hotspots", () => {});
  client.connect();
  await settled();
  let at = 0;
  const pass = async (seconds, refuse) => {
    const refusals = [];
    for (const end = at + seconds; at < end; at++) {
      const { newest } = sockets;
      if (newest.closedWith === null) {
        refusals.push(at);
        newest.accept();
        refuse(newest);
      }
      clock.advance(1);
      await settled();
    }
    return refusals;
  };
  return { client, sockets, pass, made: () => made };
}

const unknownKey = (socket) => socket.cut(4500, "the key of the token is not known");

test("new tokens that are all refused are shown ever more seldom, at last after two and a half minutes", async () => {
  const { pass, made } = await refusing(() => 1);
  const refusals = await pass(3600, unknownKey);
  const pauses = refusals.slice(1).map((at, index) => at - refusals[index]);
  assert.deepEqual(pauses.slice(0, 6), [10, 15, 25, 45, 85, 155]);
  assert.ok(pauses.slice(6).every((pause) => pause === 155), `${pauses}`);
  assert.equal(made(), refusals.length);
});

test("clients whose tokens were refused together do not come back together", async () => {
  const thirds = [0, 1 / 3, 2 / 3].map(async (random) => {
    const { pass } = await refusing(() => random);
    return (await pass(600, unknownKey))[4];
  });
  const [least, ...later] = await Promise.all(thirds);
  assert.equal(least, 20); // five seconds each time, at least
  assert.equal(new Set([least, ...later]).size, 3);
});

test("a token that is accepted, or handed over, ends the pauses", async () => {
  const { client, sockets, pass } = await refusing(() => 1);
  await pass(120, unknownKey);
  const before = sockets.all.length;
  client.setToken("handed over");
  await settled();
  assert.equal(sockets.all.length, before + 1);
  client.setToken(async () => `later-${sockets.all.length}`);
  await settled();
  const accept = (socket) => socket.tell(hello, synced());
  await pass(1, accept);
  assert.equal(client.status.hotspots.state, "open");
  sockets.newest.cut(4500, "the session has ended");
  const [first, second] = await pass(26, unknownKey);
  assert.equal(second - first, 15);
});

test("a token that never changes is shown once, and its end is final", async () => {
  const { client, sockets, clock } = relay({ token: "jwt-1" });
  client.subscribe("hotspots", () => {});
  client.connect();
  sockets.newest.accept();
  sockets.newest.tell(hello, synced(), expiring);
  sockets.newest.cut(4001, "the token expired");
  clock.advance(3600);
  assert.equal(sockets.all.length, 1);
  assert.deepEqual([client.status.hotspots.state, client.status.hotspots.code], ["refused", 4001]);
});

test("a getter that throws is told of once, and asked again until it gives a token", async () => {
  const broken = new Error("offline");
  let works = false;
  const token = (spent) => {
    if (!works) throw broken;
    return Promise.resolve(spent === "jwt-1" ? "jwt-2" : "jwt-1");
  };
  const { client, sockets, clock, errors } = relay({ token });
  for (const channel of ["hotspots", "alerts"]) client.subscribe(channel, () => {});
  client.connect();
  for (const seconds of [0.5, 1, 2]) {
    await settled();
    assert.equal(client.status.hotspots.state, "waiting");
    assert.equal(client.status.hotspots.reason, "the token could not be had");
    clock.advance(seconds);
  }
  await settled();
  assert.deepEqual(errors.map(({ message, cause }) => [message, cause]), [
    ["the token could not be had and is asked for again: offline", broken],
  ]);
  assert.equal(sockets.all.length, 0);
  works = true;
  clock.advance(4);
  await settled();
  sockets.newest.accept();
  assert.deepEqual(sockets.newest.sent, [{ type: "auth", token: "jwt-1" }]);
  works = false; // it has worked meanwhile: another failure is news
  sockets.newest.tell(hello, synced(), expiring);
  await settled();
  assert.equal(errors.length, 2);
});

test("a getter that throws keeps no endpoint from its storage, and is told of once", async () => {
  const { client, errors } = relay({
    token: () => Promise.reject(new Error("offline")),
    storage: { get: () => undefined, set() {}, delete() {} },
  });
  client.subscribe("hotspots", () => {});
  client.connect();
  await settled();
  assert.deepEqual([client.status.hotspots.state, errors.length], ["waiting", 1]);
  await assert.rejects(new Commands(client).scan(), (error) => {
    return error instanceof RelayError && error.status === 0 && error.cause.message === "offline";
  });
  assert.equal(errors.length, 1);
});

test("a token that never comes, or too late, is not waited for", async () => {
  const hands = [];
  const { client, sockets, clock } = relay({
    token: () => new Promise((done) => hands.push(done)),
  });
  client.subscribe("hotspots", () => {});
  client.connect();
  clock.advance(60);
  assert.equal(client.status.hotspots.state, "waiting");
  clock.advance(1);
  hands[0]("late");
  await settled();
  assert.equal(sockets.all.length, 0);
  client.disconnect();
  hands[1]("later still");
  await settled();
  assert.deepEqual([sockets.all.length, clock.pending], [0, 0]);
});

test("a command that is given up while its answer is read does not pass for an empty answer", async () => {
  const giving = new AbortController();
  const fetch = async () => ({ ok: true, json: async () => giving.abort(new Error("given up")) });
  const commands = new Commands({ http: { base: "http://relay.example:8003/", token: "t", fetch } });
  await assert.rejects(commands.scan({ signal: giving.signal }), /given up/);
});

test("decisions are sent as the relay reads them", async () => {
  const sent = [];
  const fetch = async (url, { method, body }) => {
    sent.push([method, url.pathname, body && JSON.parse(body)]);
    return { ok: true, json: async () => ({}) };
  };
  const commands = new Commands({ http: { base: "http://relay.example:8003/", token: "t", fetch } });
  await commands.acknowledge(7, { notes: "seen" });
  await commands.acknowledgeAlerts([7, "8"]);
  await commands.resolve(9);
  await commands.decideHotspots([9, 10], "accepted", { notes: "a new fleet" });
  await commands.silence({ until: "2030-01-01T00:00:00Z", why: "works", entity: "Acme" });
  await commands.silences();
  await commands.endSilence(3);
  await commands.resetKey("Acme", "factory");
  await commands.undo("hotspot", [9, 10]);
  assert.deepEqual(sent, [
    ["POST", "/alerts/7/acknowledge", { notes: "seen" }],
    ["POST", "/alerts/acknowledge", { ids: [7, "8"] }],
    ["POST", "/hotspots/9/resolve", undefined],
    ["POST", "/hotspots/decide", { ids: [9, 10], decision: "accepted", notes: "a new fleet" }],
    ["POST", "/silences", { until: "2030-01-01T00:00:00Z", why: "works", entity: "Acme" }],
    ["GET", "/silences", undefined],
    ["POST", "/silences/3/end", undefined],
    ["POST", "/keys/reset", { entity: "Acme", event_type: "factory" }],
    ["POST", "/undo", { kind: "hotspot", ids: [9, 10] }],
  ]);
});
