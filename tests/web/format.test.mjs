import assert from "node:assert/strict";
import test from "node:test";
import { ago, connection, kilograms, later, nothing, percent, scan, worker } from "../../relay/web/format.js";

test("figures have a unit, one decimal and separated thousands", () => {
  assert.equal(kilograms(93.55), "93.6 kg CO₂");
  assert.equal(kilograms(12500), "12,500.0 kg CO₂");
  assert.equal(percent(56), "+56.0 %");
  assert.equal(percent(-0.04), "0.0 %");
});

test("a figure that is missing is unknown, not zero", () => {
  assert.equal(kilograms(null), "unknown");
  assert.equal(percent(undefined), "unknown");
});

test("ages are told in the largest full unit", () => {
  const now = Date.parse("2026-01-05T12:00:00Z");
  const ages = ["2026-01-05T12:00:30Z", "2026-01-05T11:59:01Z", "2026-01-05T11:58:59+00:00",
    "2026-01-05T10:01:00Z", "2026-01-03T12:00:00Z", "never"];
  assert.deepEqual(ages.map((time) => ago(time, now)), [
    "just now", "just now", "1 minute ago", "1 hour ago", "2 days ago", "",
  ]);
});

test("a connection is good only when it is open and the relay up to date", () => {
  const tone = (status) => connection(status).tone;
  assert.equal(tone({ state: "open", upstream: "live" }), "good");
  assert.equal(tone({ state: "open", upstream: null }), "good");
  assert.equal(tone({ state: "open", upstream: "degraded" }), "busy");
  assert.equal(tone({ state: "open", upstream: "down" }), "bad");
  assert.equal(tone({ state: "syncing", upstream: "live" }), "busy");
  assert.equal(tone({ state: "syncing", upstream: "down" }), "bad");
  assert.equal(tone({ state: "closed", upstream: null }), "idle");
  assert.deepEqual(connection({ state: "waiting", retrySeconds: 2.1 }), {
    text: "Lost, again in 3 s", tone: "bad",
  });
  const asked = { state: "refused", code: 4500, reason: "the relay asks for a token" };
  assert.equal(connection({ ...asked, signedOut: true }).text, "Not signed in");
  assert.equal(connection({ state: "refused", code: 4502, reason: "" }).text, "Refused: code 4502");
});

test("a worker that is silent or missing looks bad, and one that nothing is known of is not shown", () => {
  const told = { age_seconds: 12, last_scan_seconds: 130, pending: 0, oldest_pending_seconds: null };
  assert.deepEqual(worker(told), { text: "Worker scanned 2 minutes ago", tone: "good" });
  assert.deepEqual(worker({ ...told, last_scan_seconds: null, pending: 7 }), {
    text: "Worker at its first scan, 7 waiting", tone: "busy",
  });
  assert.deepEqual(worker({ ...told, age_seconds: 1020, pending: 1284 }), {
    text: "Worker last heard of 17 minutes ago, 1284 waiting", tone: "bad",
  });
  assert.equal(worker({ ...told, age_seconds: null }).text, "No worker");
  assert.equal(worker({ ...told, age_seconds: null, pending: 1355 }).text, "No worker, 1355 waiting");
  assert.equal(worker({ ...told, age_seconds: 600, pending: 10_000 }).text.split(", ")[1], "10000 or more waiting");
  assert.equal(worker(null), null);
});

test("a worker that has died does not look good for longer than its next heartbeats take", () => {
  const told = { age_seconds: 2, last_scan_seconds: 4, pending: 3, oldest_pending_seconds: 7 };
  const seen = [0, 10, 34, 50, 118].map((seconds) => worker(later(told, seconds)));
  assert.deepEqual(seen.map(({ text, tone }) => [text, tone]), [
    ["Worker scanned 4 seconds ago, 3 waiting", "good"],
    ["Worker scanned 14 seconds ago, 3 waiting", "good"],
    ["Worker silent for 36 seconds, 3 waiting", "busy"],
    ["Worker silent for 52 seconds, 3 waiting", "busy"],
    ["Worker last heard of 2 minutes ago, 3 waiting", "bad"],
  ]);
  const idle = { ...told, pending: 0 };
  assert.match(nothing(later(idle, 10)), /usual level/);
  assert.equal(nothing(later(idle, 40)), "No hotspots so far.");
  assert.equal(later(null, 5), null);
  assert.deepEqual(later({ ...told, age_seconds: null }, 5).age_seconds, null);
});

test("that nothing is listed is good news only where a worker has looked at everything", () => {
  const told = { age_seconds: 12, last_scan_seconds: 130, pending: 0, oldest_pending_seconds: null };
  assert.match(nothing(told), /usual level/);
  for (const changed of [{ pending: 3 }, { last_scan_seconds: null }]) {
    assert.equal(nothing({ ...told, ...changed }), "No hotspots so far.");
  }
  for (const age_seconds of [null, 600]) {
    assert.match(nothing({ ...told, age_seconds }), /no worker is running/);
  }
  assert.equal(nothing(null), "No hotspots.");
});

test("a scan tells what was quarantined and what has no country", () => {
  const counts = { events: 12, quarantined: 2, country_assumed: 5 };
  assert.equal(
    scan({ id: 4, status: "done", counts }, null),
    "Scan 4 is done: 12 events; 2 implausible, in quarantine; " +
      "5 by the world's average electricity, their country is not known",
  );
  assert.equal(scan({ id: 4, status: "done", counts: { events: 1 } }, null), "Scan 4 is done: 1 event");
});

test("a scan is told from its request to its end, and what it waits for", () => {
  const told = { age_seconds: 12, last_scan_seconds: 130, pending: 0, oldest_pending_seconds: null };
  assert.equal(scan({ id: 4, status: "queued" }, told), "Scan 4 is queued");
  assert.match(scan({ id: 4, status: "queued" }, { ...told, age_seconds: null }), /no worker/);
  assert.equal(scan({ id: 4, status: "running", counts: null }, told), "Scan 4 is running");
  assert.equal(scan({ id: 4, status: "done", counts: { events: 1 } }, told), "Scan 4 is done: 1 event");
  assert.equal(scan({ id: 4, status: "done", counts: null }, null), "Scan 4 is done");
  assert.equal(scan({ id: 4, status: "failed", error: "why" }, null), "Scan 4 failed: why");
});
