import assert from "node:assert/strict";
import test from "node:test";
import { cellsOf, headOf, Insights, runOf, seriesOf, summaryOf, timelineOf, unitOf } from "../../relay/web/model/insights.js";
import { moment } from "../../relay/web/format.js";
import { Health } from "../../relay/web/model/health.js";
import { SeriesCache, sparksOf } from "../../relay/web/model/series.js";

test("windows are found by their length, with the excess of each of their days", () => {
  const window = (days, kg) => ({ days, kg, excess_kg: kg / 10, events: 3, judged: 3 });
  const days = Array.from({ length: 30 }, (_, day) => ({ day, kg: 9, excess_kg: day }));
  const { windows, asOf } = summaryOf({ as_of: "2026-03-12", windows: [window(1, 10), window(7, 70), window(30, 300)], by_day: days });
  assert.equal(asOf, "2026-03-12");
  assert.deepEqual(windows["7d"], { kg: 70, excess: 7, events: 3, judged: 3, bars: [23, 24, 25, 26, 27, 28, 29] });
  assert.equal(windows["30d"].bars.length, 30);
  assert.deepEqual(windows["24h"].bars, []);
});

test("whether anything was judged is told, so that a start is not taken for calm", () => {
  const told = (judged) => summaryOf({ as_of: "2026-03-12", windows: [{ days: 30, kg: 1, excess_kg: 0, events: 5, judged }], by_day: [] });
  assert.equal(told(0).judged, 0);
  assert.equal(told(4).judged, 4);
});

test("the limits of the severities are those that the worker has told", () => {
  const limits = { info: 1.2, warn: 1.4, critical: 2 };
  const told = { as_of: null, windows: [], by_day: null };
  assert.deepEqual(summaryOf({ ...told, limits }).limits, limits);
  assert.deepEqual(summaryOf({ ...told, limits: null }).limits, { info: 1.1, warn: 1.3, critical: 1.5 });
  const [spark] = sparksOf({ 7: [1, 1.15, 1.25] }, 1.2).values();
  assert.deepEqual(spark.points.map(({ hot }) => hot), [false, false, true]);
});

test("a database without events is told from one without excess", () => {
  assert.equal(summaryOf({ as_of: null, windows: [], by_day: null }).events, 0);
  assert.equal(summaryOf({ as_of: "2026-03-12", windows: [], by_day: [] }).events, 1);
});

test("a supplier's work that is young or silent has a word in its cell", () => {
  const rows = [{ entity: "A", event_type: "factory", kg: "12.500", excess_kg: "2.5", judged: 4 }];
  const cells = cellsOf({ rows, warming: [{ entity: "B", event_type: "delivery", learned: 7 }], silent: [{ entity: "A", event_type: "factory", since: "2026-03-09" }] });
  assert.deepEqual(cells.map(({ entity, activity, kg, note }) => [entity, activity, kg, note]),
    [["A", "factory", 12.5, "silent"], ["B", "delivery", 0, "7/12"]]);
});

test("a series keeps what was measured, and its band is that of the newest that was compared", () => {
  const points = [
    { at: "2026-03-01T00:00:00Z", value: 5, usual: null, low: null, high: null, hot: false, event_id: 1 },
    { at: "2026-03-02T00:00:00Z", value: null, usual: 4, low: 3, high: 5, hot: false, event_id: 2 },
    { at: "2026-03-03T00:00:00Z", value: 8, usual: 4, low: 3, high: 5, hot: true, event_id: 3 },
  ];
  const series = seriesOf({ points, basis: "output:t" });
  assert.deepEqual([series.unit, series.usual, series.low, series.high], ["t", 4, 3, 5]);
  assert.deepEqual(series.points.map(({ id }) => id), [1, 3]);
  assert.deepEqual(["t_km_road", "km_road", "deliveries", "none"].map(unitOf), ["tonne-km", "km", "delivery", ""]);
});

test("a history reads newest first, with who said what", () => {
  const until = "2026-03-30T06:00:00Z";
  const history = [
    { at: "1", kind: "hotspot", what: "found", text: "why", level: "warn", by: null, id: 1 },
    { at: "2", kind: "alert", what: "opened", text: "A: 50 % more", level: "warn", by: null, id: 2 },
    { at: "3", kind: "recommendation", what: "proposed", text: "Check the burner", level: null, by: "rules", id: 3 },
    { at: "4", kind: "hotspot", what: "acknowledged", text: "booked", level: null, by: "user-1", id: 1 },
    { at: "5", kind: "recommendation", what: "approved", text: "before winter", level: null, by: "user-2", id: 3, about: "Check the burner" },
    { at: "6", kind: "recommendation", what: "undone", text: "taken back: approved", level: null, by: "user-2", id: 3, about: "Check the burner" },
    { at: "7", kind: "silence", what: "silenced", text: "it is relined", level: null, by: "user-1", id: 4, until },
    { at: "8", kind: "silence", what: "ended", text: null, level: null, by: "user-2", id: 4, until },
    { at: "9", kind: "alert", what: "acknowledged", text: "on it", level: null, by: "user-1", id: 2 },
  ];
  assert.deepEqual(timelineOf(history, "user-2").map(({ text, who, note }) => [text, who, note || null]), [
    ["Alert acknowledged", "user-1", "on it"],
    ["Silence ended", "you", null],
    [`Silenced until ${moment(until)}`, "user-1", "it is relined"],
    ["Recommendation taken back: approved", "you", null],
    ["Advice approved: Check the burner", "you", "before winter"],
    ["Acknowledged", "user-1", "booked"],
    ["Advice: Check the burner", "rules", null],
    ["Alert, opened: A: 50 % more", "", null],
    ["Found", "engine", null],
  ]);
});

test("what the engine found is told with the time of its event where that is another", () => {
  const [alert, same, found] = timelineOf([
    { at: "2026-11-30T06:54:00Z", event_at: "2026-01-31T06:36:00Z", kind: "hotspot", what: "found", text: "A: 50 % more", level: "warn", by: null, id: 1 },
    { at: "2026-11-30T06:55:00Z", event_at: "2026-11-30T06:54:30Z", kind: "alert", what: "opened", text: "A", level: "warn", by: null, id: 2 },
    { at: "2026-11-30T06:56:00Z", event_at: "2026-02-01T08:00:00Z", kind: "alert", what: "escalated", text: "A", level: "critical", by: null, id: 3 },
  ]);
  assert.deepEqual([found, same, alert].map(({ eventAt }) => eventAt), ["2026-01-31T06:36:00Z", null, "2026-02-01T08:00:00Z"]);
});

test("what the worker did is not said to be the reader's, with or without a user", () => {
  const entry = { level: null, by: null, id: 1 };
  const history = [
    { ...entry, at: "1", kind: "alert", what: "opened", text: "A: 50 % more", level: "warn" },
    { ...entry, at: "2", kind: "notice", what: "improved", text: "improved: now usually 3 kg per t" },
    { ...entry, at: "3", kind: "hotspot", what: "resolved", text: "recovered" },
  ];
  for (const reader of [null, undefined, "user-1"]) {
    assert.deepEqual(timelineOf(history, reader).map(({ text, who }) => [text, who]),
      [["Resolved: back to its usual", "engine"], ["improved: now usually 3 kg per t", ""], ["Alert, opened: A: 50 % more", ""]]);
  }
});

test("an end that a person has made is not the engine's", () => {
  const said = (what, by) => ({ at: "4", kind: "hotspot", what, text: null, level: null, by, id: 1 });
  const end = (text) => ({ at: "4", kind: "hotspot", what: "resolved", text, level: null, by: null, id: 1 });
  const ends = (...history) => timelineOf(history, "me").map(({ text, who }) => [text, who]);
  assert.deepEqual(ends(said("accepted", "me"), end("new_normal")), [["Resolved: the new normal", ""], ["Accepted", "you"]]);
  assert.deepEqual(ends(said("resolved", "me"), end("by a person")), [["Resolved", ""], ["Resolved", "you"]]);
  assert.deepEqual(ends(end("superseded")), [["Resolved: not pursued any more", "engine"]]);
});

test("the figures of a run are those of all of its observations, where all are told", () => {
  const row = { occurred_at: "2026-05-04T09:00:00Z", last_seen_at: "2026-05-06T09:00:00Z" };
  const point = (day, kg, hot = true) => ({ at: `2026-05-0${day}T09:00:00Z`, kg, expected_kg: 100, value: kg, usual: 100, hot });
  const points = [point(3, 104, false), point(4, 150), point(5, 103, false), point(6, 170), point(7, 190)];
  assert.deepEqual(runOf({ points }, row), { count: 2, ratio: 1.6 });
  assert.equal(runOf({ points: points.slice(2) }, row), null); // its beginning is not told
  assert.equal(runOf(null, row), null);
});

test("what a chart tells first is the observation that the reason is about, else the newest and where that is", () => {
  const points = [{ id: 3, at: "2026-05-04T09:00:00Z", kg: 90 }, { id: 4, at: "2026-05-05T09:00:00Z", kg: 60 }];
  const opened = { occurred_at: "2026-05-04T09:00:00Z" };
  const newest = { name: "newest", point: points[1] };
  assert.deepEqual(headOf({ points }, { ...opened, event_id: 3, predicted_co2: 90 }), { name: "worst", point: points[0], more: "" });
  assert.deepEqual(headOf({ points }, { ...opened, event_id: 3, predicted_co2: 80 }), { ...newest, more: "" });
  const before = { occurred_at: "2026-04-01T09:00:00Z", event_id: 1, predicted_co2: 80 };
  assert.deepEqual(headOf({ points }, before), { ...newest, more: "; the worst is older" });
});

test("small series are drawn from ratios, and say whether the excess grows", () => {
  const told = sparksOf({ 7: [1, null, 1.02, 1.2, 1.21, 1.22, 1.4, 1.41, 1.45], 8: [] });
  const { points, trend } = told.get(7);
  assert.deepEqual(points.map(({ hot }) => hot), [false, false, true, true, true, true, true, true]);
  assert.equal(trend, "growing");
  assert.equal(told.get(8).trend, null);
});

test("series are asked for together, the ones on the screen first, and not again while they are young", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = [];
  let now = 0;
  const cache = new SeriesCache(async (ids) => {
    asked.push(ids);
    return new Map(ids.map((id) => [id, { points: [id] }]));
  }, () => now);
  cache.want([1, 2]);
  cache.want([3]);
  t.mock.timers.tick(1000);
  await new Promise(setImmediate);
  assert.deepEqual(asked, [[1, 2, 3]]);
  assert.deepEqual(cache.of(3), { points: [3] });
  cache.want([1, 2, 3]);
  t.mock.timers.tick(1000);
  assert.equal(asked.length, 1);
  now = 60_000;
  cache.want([2]);
  t.mock.timers.tick(1000);
  assert.deepEqual(asked.at(-1), [2]);
});

test("the worker's age goes on while the relay tells nothing new", async () => {
  let now = 0;
  const answer = { worker: { age_seconds: 1, last_scan_seconds: 2, pending: 0 }, endpoints: { hotspots: { lag_seconds: 0.4 } } };
  const health = new Health(async () => ({ json: async () => answer }), () => now);
  await health.ask();
  health.connection({ state: "open", upstream: "live" });
  assert.equal(health.worker.value.tone, "good");
  assert.match(health.relay.value.detail, /^complete until \d\d:\d\d:\d\d$/);
  answer.worker.age_seconds = 50;
  await health.ask();
  now = 15_000;
  health.tick();
  assert.deepEqual([health.worker.value.text, health.worker.value.tone], ["Worker silent", "bad"]);
  health.connection({ state: "waiting", retryAt: 17_500 });
  assert.equal(health.relay.value.text, "Relay lost, again in 3 s");
});

test("a relay that lets attempts time out stays lost while the next one is under way", () => {
  const health = new Health(async () => ({}), () => 0);
  const said = (status) => {
    health.connection(status);
    return health.relay.value.text;
  };
  assert.equal(said({ state: "connecting" }), "Connecting");
  said({ state: "waiting", retryAt: 1000 });
  assert.equal(said({ state: "connecting" }), "Relay lost, trying again");
  assert.equal(health.relay.value.tone, "bad");
  said({ state: "syncing", upstream: "live" });
  said({ state: "open", upstream: "live" });
  assert.equal(said({ state: "connecting" }), "Connecting");
});

test("a relay that is cut off from the database cannot tell that the worker is silent", async () => {
  const worker = { age_seconds: 90, last_scan_seconds: 91, pending: 0 };
  const health = new Health(async () => ({ json: async () => ({ upstream: "down", worker }) }), () => 0);
  await health.ask();
  assert.deepEqual(health.worker.value, { text: "Worker", detail: "not known: the relay is cut off", tone: "idle" });
});

test("a relay that does not answer is no sign that the worker is silent", async () => {
  let now = 0;
  let answers = async () => ({ json: async () => ({ worker: { age_seconds: 1, last_scan_seconds: 2, pending: 0 } }) });
  const health = new Health(() => answers(), () => now);
  await health.ask();
  answers = () => Promise.reject(new TypeError("Failed to fetch"));
  now = 90_000;
  await health.ask();
  assert.deepEqual(health.worker.value, { text: "Worker", detail: "not known: the relay does not answer", tone: "idle" });
});

test("figures stay marked as old while a lost relay is tried again, until all is told anew", () => {
  const health = new Health(async () => ({}), () => 0);
  const stale = (status) => {
    health.connection(status);
    return health.stale.value;
  };
  assert.equal(stale({ state: "connecting" }), false); // nothing is shown yet
  assert.equal(stale({ state: "open", upstream: "live" }), false);
  assert.equal(stale({ state: "waiting", retryAt: 1000 }), true);
  assert.equal(stale({ state: "connecting" }), true);
  assert.equal(stale({ state: "syncing", upstream: "live" }), true);
  assert.equal(stale({ state: "open", upstream: "live" }), false);
  assert.equal(stale({ state: "open", upstream: "down" }), true);
});

test("what is shown is as of the time up to which the relay last said it complete", async () => {
  let now = 60_000;
  const health = new Health(async () => ({ json: async () => ({ worker: null, endpoints: { hotspots: { lag_seconds: 2 } } }) }), () => now);
  health.connection({ state: "open", upstream: "live" });
  await health.ask();
  now = 90_000;
  health.connection({ state: "waiting", retryAt: 91_000 });
  assert.equal(health.asOf, 58_000);
});

test("a relay that has just begun has not heard of the worker, which is no reason to drop it from the header", async () => {
  const answer = { worker: { age_seconds: 1, last_scan_seconds: 2, pending: 0 } };
  const health = new Health(async () => ({ json: async () => answer }), () => 0);
  await health.ask();
  answer.worker = null;
  await health.ask();
  assert.deepEqual(health.worker.value, { text: "Worker", detail: "not known: the relay has just begun", tone: "idle" });
});

test("an episode that was opened while the database was away is told once it is back", async () => {
  let away = true;
  const answers = [["summary", { as_of: null }], ["contributors", { rows: [] }], ["waiting", {}], ["series", { points: [] }], ["history", []]];
  const insights = new Insights(async (path) => {
    if (away) throw new Error("Supabase cannot be reached.");
    return answers.find(([name]) => path.includes(name))[1];
  });
  insights.follow(7);
  await new Promise(setImmediate);
  assert.equal(insights.episode.value.trouble, "Supabase cannot be reached.");
  away = false;
  await insights.refresh();
  await new Promise(setImmediate);
  assert.deepEqual([insights.episode.value.trouble, insights.episode.value.timeline], [undefined, []]);
});
