import assert from "node:assert/strict";
import test from "node:test";
import { viewOf } from "../../relay/web/model/address.js";
import { Decisions } from "../../relay/web/model/decisions.js";
import { breadthOf } from "../../relay/web/model/hotspots.js";
import { HotspotList } from "../../relay/web/model/list.js";
import { Rows } from "../../relay/web/model/rows.js";
import { at, hotspot, NOW } from "./hotspots.mjs";

// A list whose frames are drawn when the test says so.
function scene(search = "", send = async () => ({ done: [], refused: [] })) {
  const due = [];
  const rows = new Rows((draw) => due.push(draw));
  const decisions = new Decisions(send, () => NOW);
  const list = new HotspotList(rows, decisions, viewOf(search), () => NOW);
  const tell = (...records) => {
    for (const record of records) rows.take({ type: "UPDATE", record, version: 1 });
    draw();
  };
  const draw = () => due.splice(0).forEach((act) => act());
  const sync = () => {
    rows.take({ type: "synced", complete: true });
    draw();
  };
  const gone = (id) => {
    rows.take({ type: "DELETE", record: null, old_record: { id }, version: 9 });
    draw();
  };
  return { rows, list, decisions, tell, sync, gone, shown: () => list.lines.value.map((line) => line.id) };
}

test("a first screen of rows is shown before all are told, and all in order once they are", () => {
  const { list, tell, sync, shown } = scene();
  tell(hotspot(1));
  assert.deepEqual(shown(), [1]);
  tell(...Array.from({ length: 50 }, (_, index) => hotspot(index + 2, { excess_kg: 500 + index })));
  assert.equal(shown().length, 51); // one row alone is no screen
  tell(hotspot(99, { excess_kg: 900 }));
  assert.equal(shown().includes(99), false);
  assert.equal(list.loaded.value, false);
  sync();
  assert.deepEqual(shown().slice(0, 2), [99, 51]);
  assert.equal(list.loaded.value, true);
});

test("a changed row changes in its place, however bad it becomes", () => {
  const { list, tell, sync, shown } = scene();
  tell(hotspot(1, { excess_kg: 900 }), hotspot(2));
  sync();
  let fired = -1;
  const stop = list.watch(2).subscribe(() => (fired += 1));
  tell(hotspot(2, { excess_kg: 9e6, severity: "critical" }));
  assert.deepEqual(shown(), [1, 2]);
  assert.equal(list.row(2).excess_kg, 9e6);
  assert.equal(fired, 1);
  stop();
});

test("new rows wait until they are taken in; the counts have them at once", () => {
  const { list, tell, sync, shown } = scene();
  tell(hotspot(1));
  sync();
  tell(hotspot(2, { excess_kg: 900 }), hotspot(3, { status: "resolved" }));
  assert.deepEqual(shown(), [1]);
  assert.equal(list.waiting.value, 1);
  list.tick();
  assert.equal(list.counts.value.active, 2);
  list.show();
  assert.deepEqual(shown(), [2, 1]);
  assert.equal(list.waiting.value, 0);
});

test("in an empty list nothing waits: there is nothing to move", () => {
  const { list, tell, sync, shown } = scene();
  sync();
  tell(hotspot(2));
  assert.deepEqual([shown(), list.waiting.value], [[2], 0]);
});

test("a new worst row shows by itself where the screen holds the whole list", () => {
  const { list, tell, sync, shown } = scene();
  tell(hotspot(1, { excess_kg: 50 }), hotspot(2, { excess_kg: 40 }));
  sync();
  list.room = 4;
  tell(hotspot(3, { excess_kg: 900 }), hotspot(4, { excess_kg: 45 }));
  assert.deepEqual([shown(), list.waiting.value], [[3, 1, 4, 2], 0]);
  tell(hotspot(5, { excess_kg: 999 }));
  assert.deepEqual([shown(), list.waiting.value], [[3, 1, 4, 2], 1]); // it would push one off the screen
  list.room = 5;
  list.settle();
  assert.deepEqual([shown(), list.waiting.value], [[5, 3, 1, 4, 2], 0]);
});

test("a new row never moves what is pointed at, and shows once nothing is", () => {
  const { list, tell, sync, shown } = scene();
  tell(hotspot(1, { excess_kg: 50 }), hotspot(2, { excess_kg: 40 }));
  sync();
  list.room = 9;
  list.held = () => 0;
  tell(hotspot(3, { excess_kg: 900 }), hotspot(4, { excess_kg: 45 }));
  assert.deepEqual([shown(), list.waiting.value], [[1, 4, 2], 1]);
  list.held = () => -1;
  list.settle();
  assert.deepEqual([shown(), list.waiting.value], [[3, 1, 4, 2], 0]);
});

test("groups are put in order anew for a new row only while nothing is pointed at", () => {
  const { list, tell, sync, shown } = scene("?group=supplier");
  tell(hotspot(1, { entity: "A", excess_kg: 50 }));
  sync();
  list.room = 9;
  list.held = () => 1;
  tell(hotspot(2, { entity: "B", excess_kg: 900 }));
  assert.deepEqual([shown(), list.waiting.value], [[undefined, 1], 1]);
  list.held = () => -1;
  list.settle();
  assert.deepEqual([shown(), list.waiting.value], [[undefined, 2, undefined, 1], 0]);
});

test("one that waits and is over before anybody looked waits no more", () => {
  const { list, tell, sync } = scene();
  tell(hotspot(1));
  sync();
  tell(hotspot(2));
  tell(hotspot(2, { status: "resolved" }));
  assert.equal(list.waiting.value, 0);
});

test("a row that is deleted or resolved stays in its place, marked, until the list is put in order", () => {
  const { list, tell, sync, gone, shown } = scene();
  tell(hotspot(1), hotspot(2), hotspot(3));
  sync();
  gone(1);
  tell(hotspot(2, { status: "resolved" }));
  assert.deepEqual(shown(), [1, 2, 3]);
  assert.deepEqual([1, 2, 3].map((id) => list.belongs(id)), [false, false, true]);
  assert.equal(list.row(1).entity, "Supplier 1");
  list.show();
  assert.deepEqual(shown(), [3]);
});

test("a decision shows at once and gives way to what the relay tells", async () => {
  const asked = [];
  const { list, decisions, tell, sync } = scene("", async (...request) => {
    asked.push(request);
    return { done: [1], refused: [] };
  });
  tell(hotspot(1));
  sync();
  const decided = decisions.decide("acknowledge", [list.row(1)]);
  assert.notEqual(list.row(1).acknowledged_at, null);
  await decided;
  assert.deepEqual(asked, [["POST", "hotspots/decide", { ids: [1], decision: "acknowledged" }]]);
  tell(hotspot(1, { acknowledged_at: at(0.001) }));
  assert.equal(list.row(1).acknowledged_at, at(0.001));
});

test("a decision that is refused is taken off again and told", async () => {
  const { list, decisions, tell, sync } = scene("", async () => ({ done: [], refused: [{ id: 1, reason: "hotspot 1 is resolved" }] }));
  tell(hotspot(1));
  sync();
  await decisions.decide("ignore", [list.row(1)]);
  assert.equal(list.row(1).status, "active");
  assert.deepEqual(decisions.last.value, { text: "Not done: hotspot 1 is resolved", error: true, undo: null, until: NOW + 60_000 });
});

test("a relay that cannot be reached leaves the row as it was", async () => {
  const { list, decisions, tell, sync } = scene("", async () => {
    throw new Error("The relay cannot be reached.");
  });
  tell(hotspot(1));
  sync();
  await decisions.decide("resolve", [list.row(1)]);
  assert.equal(list.row(1).status, "active");
  assert.equal(decisions.last.value.text, "Not done: The relay cannot be reached.");
});

test("a decision on more than the relay takes at once is made in parts, and undone in parts", async () => {
  const asked = [];
  let away = false;
  const { list, decisions, tell, sync } = scene("", async (method, path, { ids }) => {
    asked.push([path, ids.length]);
    if (away && asked.length === 2) throw new Error("The relay cannot be reached.");
    return { done: ids, refused: [] };
  });
  tell(...Array.from({ length: 1203 }, (_, index) => hotspot(index + 1)));
  sync();
  const all = Array.from({ length: 1203 }, (_, index) => list.row(index + 1));
  await decisions.decide("acknowledge", all);
  assert.deepEqual(asked, [["hotspots/decide", 500], ["hotspots/decide", 500], ["hotspots/decide", 203]]);
  assert.equal(decisions.last.value.text, "Acknowledged: 1203 hotspots");
  asked.length = 0;
  await decisions.undo();
  assert.deepEqual(asked, [["undo", 500], ["undo", 500], ["undo", 203]]);
  asked.length = 0;
  away = true;
  await decisions.decide("acknowledge", all);
  assert.equal(decisions.last.value.text, "Acknowledged: 1203 hotspots; not 703: The relay cannot be reached.");
  assert.equal(decisions.last.value.undo.ids.length, 500);
  assert.equal(list.row(501).acknowledged_at, null);
});

test("so many silences that nobody can have meant them are not begun", async () => {
  const asked = [];
  const { list, decisions, tell, sync } = scene("", async (...request) => asked.push(request));
  tell(...Array.from({ length: 101 }, (_, index) => hotspot(index + 1, { entity: `Supplier ${index}` })));
  sync();
  await decisions.decide("silence", Array.from({ length: 101 }, (_, index) => list.row(index + 1)), { until: at(-1), why: "why" });
  assert.deepEqual(asked, []);
  assert.match(decisions.last.value.text, /^Not done: that would be 101 silences/);
  assert.equal(list.row(1).silenced_until, undefined);
});

test("a decision on several is undone for those that were decided", async () => {
  const asked = [];
  const { list, decisions, tell, sync } = scene("", async (method, path, body) => {
    asked.push([path, body]);
    return path === "undo" ? { done: [1], refused: [] } : { done: [1], refused: [{ id: 2, reason: "hotspot 2 is resolved" }] };
  });
  tell(hotspot(1), hotspot(2));
  sync();
  await decisions.decide("resolve", [list.row(1), list.row(2)]);
  assert.equal(list.row(1).status, "resolved");
  assert.equal(list.row(2).status, "active");
  await decisions.undo();
  assert.deepEqual(asked.at(-1), ["undo", { kind: "hotspot", ids: [1] }]);
  assert.equal(list.row(1).status, "active");
  await decisions.undo(); // once
  assert.equal(asked.length, 2);
});

test("a silence is of the supplier's kind of work, once for each", async () => {
  const asked = [];
  const { list, decisions, tell, sync } = scene("", async (method, path, body) => {
    asked.push(body);
    return { id: asked.length };
  });
  tell(hotspot(1, { entity: "A" }), hotspot(2, { entity: "A", series: "period" }), hotspot(3, { entity: "B" }));
  sync();
  await decisions.decide("silence", [1, 2, 3].map((id) => list.row(id)), { until: at(-1), why: "roof works" });
  assert.deepEqual(asked, ["A", "B"].map((entity) => ({ entity, event_type: "factory", until: at(-1), why: "roof works" })));
  assert.deepEqual(decisions.last.value.undo.ids, [1, 2]);
  assert.equal(list.row(2).silenced_until, at(-1));
});

test("a silence that stands marks its rows", () => {
  const { list, tell, sync } = scene("?is=silenced");
  tell(hotspot(1), hotspot(2));
  sync();
  list.silence([{ entity: "Supplier 2", event_type: null, severity: null, starts_at: at(1), until: at(-1), ended_at: null }]);
  list.show();
  assert.deepEqual(list.lines.value, [{ id: 2 }]);
  assert.equal(list.counts.value.states.silenced, 1);
});

const silenceOf = (entity) => ({ entity, event_type: null, severity: null, starts_at: at(1), until: at(-1), ended_at: null });

test("the first silences that are told take their rows out of the list; later ones leave them where they are", () => {
  const { list, tell, sync, shown } = scene();
  tell(hotspot(1), hotspot(2), hotspot(3));
  sync();
  list.silence([silenceOf("Supplier 2")]);
  assert.deepEqual(shown(), [1, 3]);
  list.silence([silenceOf("Supplier 2"), silenceOf("Supplier 1")]);
  assert.deepEqual(shown(), [1, 3]);
  assert.deepEqual([list.belongs(1), list.belongs(3)], [false, true]);
  list.show();
  assert.deepEqual(shown(), [3]);
  list.reset();
  sync();
  list.silence([silenceOf("Supplier 3")]);
  assert.deepEqual(shown(), [1, 2]);
});

test("who signs out leaves nothing behind", () => {
  const { rows, list, tell, sync, shown } = scene();
  tell(hotspot(1));
  sync();
  rows.clear();
  list.reset();
  assert.deepEqual([shown(), list.row(1), list.counts.value.active], [[], undefined, 0]);
  tell(hotspot(2));
  assert.deepEqual(shown(), [2]);
});

test("what was said of advice is undone like any decision", async () => {
  const asked = [];
  const { decisions } = scene("", async (method, path, body) => {
    asked.push([path, body]);
    return { done: [7], refused: [] };
  });
  await decisions.advise("approve", { id: 7, action: "Drive slower" });
  assert.equal(decisions.last.value.text, "Approved: Drive slower");
  await decisions.undo();
  assert.deepEqual(asked, [["recommendations/7/approve", undefined], ["undo", { kind: "recommendation", ids: [7] }]]);
});

test("what was decided last is undone, whichever answer came first", async () => {
  const asked = [];
  const answers = new Map();
  const { decisions } = scene("", (method, path, body) => {
    asked.push([path, body]);
    if (path === "undo") return Promise.resolve({ done: body.ids, refused: [] });
    return new Promise((resolve) => answers.set(path, resolve));
  });
  const first = decisions.advise("approve", { id: 1, action: "Fill the trucks" });
  const second = decisions.advise("reject", { id: 2, action: "Fly less" });
  const undone = decisions.undo();
  answers.get("recommendations/2/reject")();
  await second;
  answers.get("recommendations/1/approve")();
  await Promise.all([first, undone]);
  assert.deepEqual(asked.at(-1), ["undo", { kind: "recommendation", ids: [2] }]);
  assert.equal(decisions.last.value.text, "Undone: Fly less");
});

test("an earlier decision that fails is told, and the later one can still be undone", async () => {
  const answers = new Map();
  const { decisions } = scene("", (method, path) => new Promise((resolve, reject) => answers.set(path, { resolve, reject })));
  const first = decisions.advise("approve", { id: 1, action: "Fill the trucks" });
  const second = decisions.advise("reject", { id: 2, action: "Fly less" });
  answers.get("recommendations/2/reject").resolve();
  await second;
  answers.get("recommendations/1/approve").reject(new Error("The relay cannot be reached."));
  await assert.rejects(first, /cannot be reached/);
  assert.equal(decisions.last.value.text, "Not done: The relay cannot be reached.");
  assert.deepEqual(decisions.last.value.undo.ids, [2]);
});

test("an answer that comes after the reader has signed out is told to nobody", async () => {
  for (const late of [(answer) => answer.resolve({ done: [1], refused: [] }), (answer) => answer.reject(new Error("Signed out."))]) {
    const answers = [];
    const { decisions, list, tell, sync } = scene("", () => new Promise((resolve, reject) => answers.push({ resolve, reject })));
    tell(hotspot(1));
    sync();
    const deciding = decisions.decide("resolve", [list.row(1)]);
    decisions.clear();
    late(answers[0]);
    await deciding;
    assert.equal(decisions.last.value, null);
    assert.equal(decisions.of(hotspot(1)).status, "active");
    await decisions.undo();
    assert.equal(answers.length, 1);
  }
});

test("silences of which some fail are undone for those that were made", async () => {
  const asked = [];
  const { list, decisions, tell, sync } = scene("", async (method, path, body) => {
    asked.push([path, body]);
    if (body.entity === "B") throw new Error("The relay cannot be reached.");
    return path === "undo" ? { done: body.ids, refused: [] } : { id: 7 };
  });
  tell(hotspot(1, { entity: "A" }), hotspot(2, { entity: "B" }), hotspot(3, { entity: "B", series: "period" }));
  sync();
  await decisions.decide("silence", [1, 2, 3].map((id) => list.row(id)), { until: at(-1), why: "roof works" });
  assert.equal(list.row(1).silenced_until, at(-1));
  assert.ok(!list.row(2).silenced_until && !list.row(3).silenced_until);
  assert.equal(decisions.last.value.text, "Silenced: 3 hotspots; not 2: The relay cannot be reached.");
  await decisions.undo();
  assert.deepEqual(asked.at(-1), ["undo", { kind: "silence", ids: [7] }]);
});

// One that is in force, of all that supplier 2 does unless it says otherwise.
const silence = (id, columns = {}) => ({
  id,
  entity: "Supplier 2",
  event_type: null,
  severity: null,
  starts_at: at(1),
  until: at(-1),
  ended_at: null,
  ...columns,
});

test("ending a silence says so only where there was one", async () => {
  const sent = [];
  const decisions = new Decisions(async (...asked) => sent.push(asked.join(" ")), () => NOW);
  await decisions.endSilences(hotspot(2), []);
  assert.deepEqual([sent, decisions.last.value.error], [[], true]);
  const both = [silence(7, { event_type: "logistics" }), silence(8)];
  await decisions.endSilences(hotspot(2), both);
  assert.deepEqual(sent, ["POST silences/7/end", "POST silences/8/end"]);
  assert.equal(decisions.last.value.text, "Silence ended: Supplier 2 logistics; Supplier 2 with all its work");
});

test("of silences of which one could not be ended it says which have", async () => {
  const decisions = new Decisions(async (_, path) => {
    if (path !== "silences/7/end") throw new Error("The relay cannot be reached.");
  }, () => NOW);
  await decisions.endSilences(hotspot(2), [silence(7, { event_type: "logistics" }), silence(8)]);
  const { text, error } = decisions.last.value;
  assert.deepEqual([text, error], ["Silence ended: Supplier 2 logistics. Not done: The relay cannot be reached.", true]);
});

test("a silence is told by what it keeps back, and by how many hotspots that is", () => {
  const { list, tell, sync } = scene();
  tell(
    hotspot(1, { entity: "Mill", event_type: "logistics", severity: "info" }),
    hotspot(2, { entity: "Mill", event_type: "factory", severity: "critical" }),
    hotspot(3, { entity: "Quarry", event_type: "logistics", severity: "warn" }),
    hotspot(4, { entity: "Mill", event_type: "logistics", status: "resolved" }),
  );
  sync();
  const told = (columns) => [breadthOf(silence(1, columns)), list.silencedBy(silence(1, columns))];
  assert.deepEqual(told({ entity: "Mill", event_type: "logistics" }), ["Mill logistics", 1]);
  assert.deepEqual(told({ entity: "Mill" }), ["Mill with all its work", 2]);
  assert.deepEqual(told({ entity: "Mill", severity: "warn" }), ["Mill with all its work, up to warn", 1]);
  assert.deepEqual(told({ entity: null, event_type: "logistics" }), ["every supplier's logistics", 2]);
  assert.deepEqual(told({ entity: null, severity: "critical" }), ["every supplier's work", 3]);
});
