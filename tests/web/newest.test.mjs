import assert from "node:assert/strict";
import test from "node:test";
import { Newest } from "../../relay/web/newest.js";

function holding(limit, ...rows) {
  const newest = new Newest(limit, (row) => row.open);
  rows.forEach(([id, open]) => newest.set({ id, open }));
  return newest;
}

const ids = (newest) => newest.inOrder().map((row) => row.id);

test("rows are in order of their ids, the newest first, however they came", () => {
  assert.deepEqual(ids(holding(9, [2, true], [10, true], [1, false])), [10, 2, 1]);
});

test("a row that is set again takes the place of the old one", () => {
  const newest = holding(9, [1, true], [2, true], [1, false]);
  assert.equal(newest.get(1).open, false);
  assert.equal(newest.openCount, 1);
});

test("beyond the limit the oldest row that is not open goes, and an open one only if all are", () => {
  assert.deepEqual(ids(holding(3, [1, true], [2, false], [3, false], [4, true])), [4, 3, 1]);
  assert.deepEqual(ids(holding(2, [1, true], [2, true], [3, true])), [3, 2]);
});

test("open rows count although they are beyond the limit, until they are closed or deleted", () => {
  const newest = holding(2, [1, true], [2, true], [3, true], [4, true]);
  assert.equal(newest.openCount, 4);
  newest.set({ id: 1, open: false });
  newest.delete(2);
  assert.equal(newest.openCount, 2);
  newest.clear();
  assert.equal(newest.openCount, 0);
});

test("deleted and cleared rows are gone", () => {
  const newest = holding(9, [1, true], [2, true]);
  newest.delete(1);
  newest.delete(7);
  assert.deepEqual(ids(newest), [2]);
  newest.clear();
  assert.deepEqual(ids(newest), []);
});
