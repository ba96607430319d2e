import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { viewOf } from "../../relay/web/model/address.js";
import { arrange, census, matches, monthlyKg, silencedUntil, stateOf } from "../../relay/web/model/hotspots.js";
import { at, DAY, hotspot, NOW } from "./hotspots.mjs";

const ids = (lines) => lines.map((line) => line.id ?? line.group);
const shown = (rows, search) => ids(arrange(rows, viewOf(search), NOW));

test("a hotspot is open, acknowledged, recovering, silenced or closed, in this order of what counts most", () => {
  const seen = { acknowledged_at: at(1) };
  const states = [{}, seen, { ...seen, phase: "recovering" }, { phase: "recovering", silenced_until: at(-1) },
    { status: "ignored", silenced_until: at(-1) }, { silenced_until: at(1) }];
  assert.deepEqual(states.map((change) => stateOf(hotspot(1, change), NOW)),
    ["open", "acknowledged", "recovering", "silenced", "closed", "open"]);
});

test("the worst is what wastes most in a month at its rate, whatever its severity", () => {
  const small = hotspot(1, { severity: "critical", excess_kg: 100 });
  const large = hotspot(2, { severity: "info", excess_kg: 900 });
  const young = hotspot(3, { excess_kg: 100, occurred_at: at(2) });
  assert.deepEqual(shown([small, large, young], ""), [2, 3, 1]);
  assert.deepEqual(shown([small, large, young], "?sort=severity"), [1, 3, 2]);
  assert.equal(census([small, large, young], NOW).worst, large);
});

const monthly = JSON.parse(readFileSync(new URL("monthly.json", import.meta.url)));
for (const { said, rule, excess_kg, days, monthly_kg } of monthly) {
  test(`kg a month: ${said}`, () => {
    const row = hotspot(1, { rule, excess_kg, occurred_at: at(days), last_seen_at: at(0) });
    assert.ok(Math.abs(monthlyKg(row) - monthly_kg) < 1e-9);
  });
}

test("filters narrow the list, and closed ones are shown only when asked for", () => {
  const rows = [hotspot(1), hotspot(2, { event_type: "delivery", reason: "Emptier vans" }), hotspot(3, { status: "resolved" }),
    hotspot(4, { series: "period", severity: "critical", excess_kg: 1 })];
  assert.deepEqual(shown(rows, ""), [1, 2, 4]);
  assert.deepEqual(shown(rows, "?activity=delivery"), [2]);
  assert.deepEqual(shown(rows, "?q=emptier+VANS"), [2]);
  assert.deepEqual(shown(rows, "?q=%234"), [4]);
  assert.deepEqual(shown(rows, "?severity=critical&series=period"), [4]);
  assert.deepEqual(shown(rows, "?supplier=Supplier+1"), [1]);
  assert.deepEqual(shown(rows, "?is=closed"), [3]);
});

test("groups come by what they cost, each with its rows below it", () => {
  const rows = [hotspot(1, { entity: "A", excess_kg: 10 }), hotspot(2, { entity: "B", excess_kg: 30 }), hotspot(3, { entity: "A", excess_kg: 25 })];
  assert.deepEqual(shown(rows, "?group=supplier"), ["A", 3, 1, "B", 2]);
  const [head] = arrange(rows, viewOf("?group=supplier"), NOW);
  assert.deepEqual(head, { group: "A", count: 2, kg: 35 });
});

test("counts are of what is active, whatever the view", () => {
  const rows = [hotspot(1, { severity: "critical" }), hotspot(2, { acknowledged_at: at(1) }), hotspot(3, { status: "resolved" })];
  const { severities, states, active } = census(rows, NOW);
  assert.deepEqual(severities, { critical: 1, warn: 1, info: 0 });
  assert.deepEqual(states, { open: 1, acknowledged: 1, recovering: 0, silenced: 0 });
  assert.equal(active, 2);
});

test("a count tells the worst severity of each supplier's work, and when the last that has ended was seen", () => {
  const rows = [
    hotspot(1, { entity: "A", severity: "info" }), hotspot(2, { entity: "A", severity: "critical" }), hotspot(3, { entity: "A" }),
    hotspot(4, { entity: "B", status: "resolved", last_seen_at: at(3), resolved_at: at(0) }),
    hotspot(5, { status: "ignored", last_seen_at: at(2), resolved_at: at(1) }),
  ];
  const { worstOf, closed, ended } = census(rows, NOW);
  assert.equal(closed, 2);
  assert.deepEqual([...worstOf], [["A\nfactory", "critical"]]);
  assert.equal(ended, at(2));
  assert.equal(census([], NOW).ended, null);
});

test("ages of an import of the past are counted from its newest event", () => {
  assert.equal(census([hotspot(1, { last_seen_at: at(90) })], NOW).clock, NOW - 90 * DAY);
  assert.equal(census([hotspot(1, { last_seen_at: at(1) })], NOW).clock, NOW);
  assert.equal(census([], NOW).clock, NOW);
});

test("a silence keeps back what it names, up to its severity and until its end", () => {
  const silence = { entity: "Supplier 1", event_type: null, severity: "warn", starts_at: at(1), until: at(-1), ended_at: null };
  const until = (row, change) => silencedUntil(row, [{ ...silence, ...change }], NOW);
  assert.equal(until(hotspot(1), {}), at(-1));
  assert.equal(until(hotspot(2), {}), null);
  assert.equal(until(hotspot(1, { severity: "critical" }), {}), null);
  assert.equal(until(hotspot(1, { severity: "info" }), {}), at(-1));
  assert.equal(until(hotspot(1), { event_type: "delivery" }), null);
  assert.equal(until(hotspot(1), { ended_at: at(0.5) }), null);
  assert.equal(until(hotspot(1), { starts_at: at(-0.5) }), null);
  assert.equal(until(hotspot(1), { until: at(0) }), null);
});

test("what is silenced is listed where it is asked for, and is counted as that alone", () => {
  const loud = hotspot(1, { excess_kg: 1 });
  const silenced = hotspot(2, { excess_kg: 9999, severity: "critical", silenced_until: at(-1) });
  assert.deepEqual(shown([silenced, loud]), [1]);
  assert.deepEqual(shown([silenced, loud], "?severity=critical"), []);
  assert.deepEqual(shown([silenced, loud], "?is=silenced"), [2]);
  const { severities, states, active, worst, worstOf } = census([silenced, loud], NOW);
  assert.deepEqual(severities, { critical: 0, warn: 1, info: 0 });
  assert.deepEqual([states.silenced, active, worst], [1, 1, loud]);
  assert.deepEqual([...worstOf.values()], ["warn"]);
});
