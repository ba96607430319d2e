import assert from "node:assert/strict";
import test from "node:test";
import * as format from "../../relay/web/format.js";

test("figures have separated thousands, a true minus, and no digits that say nothing", () => {
  assert.equal(format.whole(12499.6), "12,500");
  assert.equal(format.signed(-1234.4), "−1,234");
  assert.equal(format.excess(342.4), "+342");
  assert.equal(format.excess(0.01234), "+0.0123");
  // In narrow cells a large figure is rounded, never cut.
  assert.deepEqual([9_999, 37_236, -482_000, 1.5e6, 3e14].map(format.brief), ["+9,999", "+37.2K", "−482K", "+1.5M", "+3E14"]);
  assert.equal(format.percent(30.84), "+30.8 %");
  assert.equal(format.ratio(1.522), "×1.52");
  assert.deepEqual(format.amount(445_875), ["445,875", "kg"]);
  assert.deepEqual(format.amount(1_508_813), ["1,509", "t"]);
});

test("a figure that is missing is none, and one that is enormous stays in its box", () => {
  for (const one of [format.whole, format.signed, format.excess, format.percent, format.ratio, format.short]) {
    assert.equal(one(null), "–");
    assert.equal(one(NaN), "–");
    assert.ok(one(1e300).length < 12, one(1e300));
  }
  assert.equal(format.moment("never"), "– –");
});

test("lengths of time are told in the largest full unit", () => {
  const told = [5, 59.6, 40 * 60, 9 * 3600, 6.2 * 86400, 47 * 86400, NaN].map(format.duration);
  assert.deepEqual(told, ["5 s", "60 s", "40 min", "9 h", "6.2 d", "47 d", "–"]);
});

test("a connection is good only when it is open and the relay up to date", () => {
  const tone = (status) => format.connection(status).tone;
  assert.equal(tone({ state: "open", upstream: "live" }), "good");
  assert.equal(tone({ state: "open", upstream: null }), "good");
  assert.equal(tone({ state: "open", upstream: "degraded" }), "busy");
  assert.equal(tone({ state: "open", upstream: "down" }), "bad");
  assert.equal(tone({ state: "syncing", upstream: "live" }), "busy");
  assert.equal(tone({ state: "syncing", upstream: "down" }), "bad");
  assert.equal(tone({ state: "closed", upstream: null }), "idle");
  assert.deepEqual(format.connection({ state: "waiting", retrySeconds: 2.1 }), { text: "Relay lost, again in 3 s", tone: "bad" });
  const asked = { state: "refused", code: 4500, reason: "the relay asks for a token" };
  assert.equal(format.connection({ ...asked, signedOut: true }).text, "Not signed in");
  assert.equal(format.connection({ state: "refused", code: 4502, reason: "" }).text, "Refused: code 4502");
});

test("a worker is good while it is heard of, and its ages go on while nothing new is told", () => {
  const told = { age_seconds: 5, last_scan_seconds: 12, pending: 1355 };
  assert.deepEqual(format.worker(told), { text: "Worker", detail: "scan 12 s ago · queue 1,355", tone: "good" });
  assert.equal(format.worker(told, 30).detail, "scan 42 s ago · queue 1,355");
  assert.deepEqual(format.worker(told, 31), { text: "Worker silent", detail: "for 36 s · queue 1,355", tone: "busy" });
  assert.deepEqual(format.worker(told, 60), { text: "Worker silent", detail: "for 1 min · queue 1,355", tone: "bad" });
  assert.deepEqual(format.worker({ ...told, age_seconds: null }), { text: "No worker", detail: "queue 1,355", tone: "bad" });
  assert.equal(format.worker({ ...told, last_scan_seconds: null }).tone, "busy");
  assert.equal(format.worker(null), null);
});

test("a scan that nobody will run is told as that", () => {
  assert.equal(format.scan({ id: 3, status: "queued" }, { age_seconds: null }), "Scan 3 is queued, but no worker is running");
  assert.equal(format.scan({ id: 3, status: "queued" }, { age_seconds: 2, last_scan_seconds: 2 }), "Scan 3 is queued");
  assert.equal(format.scan({ id: 3, status: "running" }), "Scan 3 is running");
  assert.equal(format.scan({ id: 3, status: "done", counts: { events: 1, quarantined: 2 } }), "Scan 3 is done: 1 event; 2 implausible, in quarantine");
  assert.equal(format.scan({ id: 3, status: "failed", error: "disk full" }), "Scan 3 failed: disk full");
});

test("a part of an amount is in the unit of the amount, however small it is", () => {
  assert.deepEqual(
    [format.partOf(25_818, 379_644), format.partOf(168_117, 1_669_000), format.partOf(-510, 55_757), format.partOf(1_234, 2e6)],
    ["+25,818", "+168", "−510", "+1.23"],
  );
});

test("a worker that has much to judge is busy, whenever its last scan was", () => {
  const told = { age_seconds: 1, last_scan_seconds: 2 };
  assert.deepEqual(format.worker({ ...told, pending: 10_000 }), { text: "Worker", detail: "judging, 10,000 or more events wait", tone: "busy" });
  assert.equal(format.worker({ ...told, pending: 4_999 }).tone, "good");
});

test("the sign of a figure stays on its line", () => {
  assert.equal(format.prose("usual spread ± 6 %; 8,202 kWh instead of 4,967; 358.4 kg CO2e more per t than this"),
    "usual spread ±\u00a06\u00a0%; 8,202\u00a0kWh instead of 4,967; 358.4\u00a0kg CO2e more per t than this");
});
