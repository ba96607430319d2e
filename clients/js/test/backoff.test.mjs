import assert from "node:assert/strict";
import test from "node:test";
import { delay } from "../src/backoff.js";

test("the ceiling doubles with each attempt, up to the cap", () => {
  const ceiling = (attempt) => delay(attempt, { first: 100, cap: 1_000, random: () => 1 });
  assert.deepEqual([0, 1, 2, 3, 4, 5000].map(ceiling), [100, 200, 400, 800, 1_000, 1_000]);
});

test("the delay is anywhere between nothing and the ceiling", () => {
  assert.equal(delay(3, { random: () => 0 }), 0);
  assert.equal(delay(3, { first: 100, random: () => 0.25 }), 200);
});

test("a thousand clients that lost the same server come back spread over the whole time", () => {
  const delays = Array.from({ length: 1_000 }, () => delay(0, { first: 1_000 }));
  const tenths = new Set(delays.map((wait) => Math.floor(wait / 100)));
  assert.equal(tenths.size, 10);
});
