import assert from "node:assert/strict";
import test from "node:test";
import { Rows, isChange } from "../src/rows.js";
import { deletion, leave, upsert } from "./fake.mjs";

function taken(changes, limit = 100) {
  const rows = new Rows(limit);
  return changes.map((change) => rows.take(change));
}

test("a version is news once, and an older one never", () => {
  assert.deepEqual(taken([upsert(7, 2), upsert(7, 2), upsert(7, 1), upsert(7, 3)]), [
    true, false, false, true,
  ]);
});

test("a deletion is a version like any other: a row that is put back is shown again", () => {
  const changes = [upsert(7, 4), deletion(7, 5), deletion(7, 5), upsert(7, 4), upsert(7, 6)];
  assert.deepEqual(taken(changes), [true, true, false, false, true]);
  assert.deepEqual(taken([upsert(7, 6), deletion(7, 5)]), [true, false]);
});

test("a row is told as inserted when it is not held, else as updated", () => {
  const changes = [upsert(7, 3), upsert(7, 4), deletion(7, 5), upsert(7, 6), leave(7, 7), upsert(7, 8)];
  taken(changes);
  assert.deepEqual(changes.map(({ type, old_record }) => [type, old_record?.id ?? null]), [
    ["INSERT", null], ["UPDATE", 7], ["DELETE", 7], ["INSERT", null], ["LEAVE", null], ["INSERT", null],
  ]);
});

test("who comes late is told of held rows as inserted, and the others' frames stay as they were", () => {
  const rows = new Rows(100);
  const changes = [upsert(7, 1), upsert(7, 2)];
  changes.forEach((change) => rows.take(change));
  assert.deepEqual(rows.present().map(({ type, old_record }) => [type, old_record]), [["INSERT", null]]);
  assert.equal(changes[1].type, "UPDATE");
});

test("a row that left comes back with a later version only", () => {
  assert.deepEqual(taken([upsert(7, 1), leave(7, 2), upsert(7, 2), upsert(7, 3)]), [
    true, true, false, true,
  ]);
});

test("rows of different tables do not meet", () => {
  assert.deepEqual(taken([upsert(7, 1), { ...upsert(7, 1), table: "alerts" }]), [true, true]);
});

test("present are the rows that were neither deleted nor left, in the order of their changes", () => {
  const rows = new Rows(100);
  [upsert(1, 1), upsert(2, 1), upsert(3, 1), deletion(2, 2), leave(3, 2), upsert(1, 2), upsert(4, 1)]
    .forEach((change) => rows.take(change));
  assert.deepEqual(rows.present().map((change) => [change.record.id, change.version]), [
    [1, 2], [4, 1],
  ]);
});

test("beyond the limit the row that has not changed for the longest is forgotten", () => {
  const rows = new Rows(2);
  [upsert(1, 1), upsert(2, 1), upsert(1, 2), upsert(3, 1)].forEach((change) => rows.take(change));
  assert.deepEqual(rows.present().map((change) => change.record.id), [1, 3]);
  assert.equal(rows.size, 2);
});

test("a change needs a table, an id and a version, and a row where it says so", () => {
  assert.ok(isChange(upsert(1, 1)));
  assert.ok(isChange(deletion(1, 1)));
  assert.ok(isChange(leave(1, 1)));
  const { version, ...unversioned } = upsert(1, 1);
  assert.ok(!isChange(unversioned));
  assert.ok(!isChange({ ...upsert(1, 2), record: null }));
  assert.ok(!isChange({ ...deletion(1, 1), old_record: null }));
  assert.ok(!isChange({ ...leave(1, 1), table: undefined }));
});

test("an id beyond 2^53 is no number that can be told from its neighbour", () => {
  assert.ok(!isChange(upsert(2 ** 53, 1)));
  assert.ok(isChange({ ...upsert(1, 1), record: { id: "9007199254740993" } }));
});
