// What the page needs to know of a hotspot: its state, whether it is in the view, and its place. Pure.
import { SEVERITIES } from "./address.js";

// Ratios to the usual from which on something is called info, warn and critical: those that a worker has
// without other settings, which count until it has said its own.
export const LIMITS = Object.freeze({ info: 1.1, warn: 1.3, critical: 1.5 });

const DAY_MS = 86_400_000;
const DAYS_OF_A_MONTH = 30;
const LEAST_DAYS = 7;

// open, acknowledged, recovering, silenced, or closed.
export function stateOf(row, now) {
  if (row.status !== "active") return "closed";
  if (isSilenced(row, now)) return "silenced";
  if (row.phase === "recovering") return "recovering";
  return row.acknowledged_at ? "acknowledged" : "open";
}

export function isSilenced(row, now) {
  return row.silenced_until != null && Date.parse(row.silenced_until) > now;
}

// kg CO2e above the usual in 30 days at the rate of the episode so far. What lasts is watched for a week
// before it is taken for thirty days; what is no run counts as often as it has happened, so that one bad
// trip is not taken for thirty. The worker and the SQL function monthly_excess_kg say the same.
export function monthlyKg(row) {
  const days = (Date.parse(row.last_seen_at) - Date.parse(row.occurred_at)) / DAY_MS + 1;
  const least = row.rule === "shift" || row.rule === "drift" ? LEAST_DAYS : DAYS_OF_A_MONTH;
  return (Math.max(0, row.excess_kg) / Math.max(least, days || 0)) * DAYS_OF_A_MONTH;
}

export function ratioOf(row) {
  return row.baseline_co2 > 0 ? row.predicted_co2 / row.baseline_co2 : NaN;
}

const UNASKED = ["closed", "silenced"]; // states that are shown only where they are asked for

// Whether the view shows the row.
export function matches(row, view, now) {
  const state = stateOf(row, now);
  if (view.is === "" ? UNASKED.includes(state) : state !== view.is) return false;
  if (view.severity !== "" && row.severity !== view.severity) return false;
  if (view.activity !== "" && row.event_type !== view.activity) return false;
  if (view.supplier !== "" && row.entity !== view.supplier) return false;
  if (view.series !== "" && row.series !== view.series) return false;
  if (view.q === "") return true;
  const text = `${row.entity} ${row.event_type} ${row.reason} #${row.id}`.toLowerCase();
  return view.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

const descending = (measure) => (a, b) => {
  const [x, y] = [measure(a), measure(b)];
  return (Number.isFinite(y) ? y : -Infinity) - (Number.isFinite(x) ? x : -Infinity) || 0;
};
const COMPARE = {
  worst: descending(monthlyKg),
  severity: (a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || descending(monthlyKg)(a, b),
  excess: descending((row) => row.excess_kg),
  ratio: descending(ratioOf),
  new: descending((row) => Date.parse(row.occurred_at)),
};

// Ties go to the older hotspot, so that an order never flickers.
const ordered = ({ sort }) => (a, b) => COMPARE[sort](a, b) || (a.id < b.id ? -1 : 1);

// Whether the view shows row `a` above `b`.
export const before = (a, b, view) => ordered(view)(a, b) < 0;

// The lines of the list, in order: { id } for a hotspot, { group, count, kg } above a group's.
export function arrange(rows, view, now) {
  const shown = [...rows].filter((row) => matches(row, view, now)).sort(ordered(view));
  if (view.group === "") return shown.map(({ id }) => ({ id }));
  const column = view.group === "supplier" ? "entity" : "event_type";
  const groups = new Map();
  for (const row of shown) {
    const group = groups.get(row[column]) ?? { group: row[column], count: 0, kg: 0, rows: [] };
    groups.set(row[column], group);
    group.count += 1;
    group.kg += row.excess_kg;
    group.rows.push({ id: row.id });
  }
  return [...groups.values()]
    .sort((a, b) => b.kg - a.kg)
    .flatMap(({ rows: own, ...head }) => [head, ...own]);
}

const PAST_MS = 2 * DAY_MS;

// The time from which ages are counted: now, or the newest event where all of them are of the past.
function clockOf(newest, now) {
  const at = Date.parse(newest);
  return now - at > PAST_MS ? at : now;
}

// Of all rows, whatever the view: how many are open by severity and how many in each state, the worst
// row, the worst severity by supplier and activity, how many have ended, and when the last of these was
// seen: in event time, since a file of last year ends today. What is silenced is counted as that alone.
export function census(rows, now) {
  const severities = { critical: 0, warn: 0, info: 0 };
  const states = { open: 0, acknowledged: 0, recovering: 0, silenced: 0 };
  const worstOf = new Map();
  let worst = null;
  let newest = "";
  let closed = 0;
  let ended = null;
  for (const row of rows) {
    if (row.last_seen_at > newest) newest = row.last_seen_at;
    if (row.status !== "active") {
      closed += 1;
      if (!(row.last_seen_at <= ended)) ended = row.last_seen_at;
      continue;
    }
    const state = stateOf(row, now);
    states[state] += 1;
    if (state === "silenced") continue;
    severities[row.severity] += 1;
    const key = `${row.entity}\n${row.event_type}`;
    const held = worstOf.get(key);
    if (held === undefined || SEVERITIES.indexOf(row.severity) < SEVERITIES.indexOf(held)) worstOf.set(key, row.severity);
    if (worst === null || COMPARE.worst(row, worst) < 0) worst = row;
  }
  return { severities, states, active: severities.critical + severities.warn + severities.info, worst, worstOf, closed, ended, clock: clockOf(newest, now) };
}

// The silences that keep the row's alerts back now.
export function silencesOf(row, silences, now) {
  return silences.filter((silence) => {
    if (silence.ended_at !== null || Date.parse(silence.until) <= now || Date.parse(silence.starts_at) > now) return false;
    if (silence.entity !== null && silence.entity !== row.entity) return false;
    if (silence.event_type !== null && silence.event_type !== row.event_type) return false;
    return silence.severity === null || SEVERITIES.indexOf(row.severity) >= SEVERITIES.indexOf(silence.severity);
  });
}

// What a silence keeps back, in words. It may be far more than one hotspot.
export function breadthOf({ entity, event_type, severity }) {
  let what = entity === null ? `every supplier's ${event_type ?? "work"}` : `${entity} ${event_type ?? "with all its work"}`;
  if (severity !== null && severity !== "critical") what += `, up to ${severity}`;
  return what;
}

// Whether a silence is of this supplier's kind of work alone.
export function isOfKey({ entity, event_type }, row) {
  return entity === row.entity && event_type === row.event_type;
}

// The end of the last silence that keeps the row's alerts back, null where none does.
export function silencedUntil(row, silences, now) {
  let until = null;
  for (const silence of silencesOf(row, silences, now)) {
    if (until === null || Date.parse(silence.until) > Date.parse(until)) until = silence.until;
  }
  return until;
}
