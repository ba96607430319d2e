// What the database sums up for the page: totals of the windows, excess by supplier and activity, the
// course and the history of an episode. Asked for again while it changes, and never faster than it is
// answered.
import { signal } from "../dom.js";
import { moment, sentence } from "../format.js";
import { WINDOWS } from "./address.js";
import { LIMITS } from "./hotspots.js";

const REFRESH_MS = 20_000;
const SOON_MS = 2_500; // after a change

export class Insights {
  summary = signal(null);
  cells = signal(null);
  episode = signal(null);
  limits = signal(LIMITS); // ratios that severities begin at
  trouble = signal("");
  #get;
  #window = "7d";
  #reader;
  #followed = null;
  #timer = null;
  #busy = false;
  #again = false;

  // `get(path)` resolves to the relay's answer, `reader()` is the id of who reads.
  constructor(get, reader = () => null) {
    this.#get = get;
    this.#reader = reader;
  }

  begin(stop) {
    const timer = setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
    stop.addEventListener("abort", () => clearInterval(timer));
  }

  choose(window) {
    if (window === this.#window) return;
    this.#window = window;
    this.refresh();
  }

  follow(id) {
    this.#followed = id;
    this.episode.value = null;
    if (id !== null) this.#loadEpisode();
  }

  // Rows have changed: what is summed up will have too.
  changed(ids) {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.refresh();
    }, SOON_MS);
    if (this.#followed !== null && (ids.has?.(this.#followed) ?? false)) this.#loadEpisode();
  }

  clear() {
    this.summary.value = this.cells.value = this.episode.value = null;
    this.trouble.value = "";
  }

  async refresh() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      const days = WINDOWS[this.#window];
      const [summary, keys, waiting] = await Promise.all([
        this.#get("emissions/summary"),
        this.#get(`emissions/contributors?by=key&size=5000&days=${days}`),
        this.#get("waiting"),
      ]);
      this.summary.value = { ...summaryOf(summary), ...waiting, warming: keys.warming?.length ?? 0 };
      this.cells.value = cellsOf(keys);
      const { limits } = this.summary.value;
      if (JSON.stringify(limits) !== JSON.stringify(this.limits.value)) this.limits.value = limits;
      this.trouble.value = "";
      if (this.episode.value?.trouble) this.#loadEpisode(); // what failed then may work now
    } catch (error) {
      if (error.name !== "AbortError") this.trouble.value = error.message;
    } finally {
      this.#busy = false;
      if (this.#again) {
        this.#again = false;
        this.changed([]);
      }
    }
  }

  async #loadEpisode() {
    const id = this.#followed;
    try {
      const [series, history] = await Promise.all([
        this.#get(`hotspots/${id}/series?points=100`),
        this.#get(`hotspots/${id}/history`),
      ]);
      if (id === this.#followed) this.episode.value = { id, series: seriesOf(series), timeline: timelineOf(history, this.#reader()) };
    } catch (error) {
      if (id === this.#followed && this.episode.value === null) {
        this.episode.value = { id, series: null, timeline: null, trouble: error.message };
      }
    }
  }
}

// The windows by name, each with its excess by day.
export function summaryOf({ as_of: asOf, windows, by_day: days, limits }) {
  const named = {};
  for (const [name, length] of Object.entries(WINDOWS)) {
    const told = windows?.find((window) => window.days === length);
    if (told === undefined) continue;
    const bars = length === 1 ? [] : (days ?? []).slice(-length).map(({ excess_kg: kg }) => Number(kg));
    named[name] = { kg: Number(told.kg), excess: Number(told.excess_kg), events: told.events, judged: told.judged, bars };
  }
  const judged = Math.max(0, ...Object.values(named).map((window) => window.judged));
  return { asOf, windows: named, events: asOf === null ? 0 : 1, judged, limits: limits ?? LIMITS };
}

const NEEDED = 12; // events before one is judged

// One cell for each supplier and activity, those too that cannot be judged yet or have fallen silent.
export function cellsOf({ rows, warming = [], silent = [] }) {
  const cells = new Map(rows.map((row) => [
    `${row.entity}\n${row.event_type}`,
    { entity: row.entity, activity: row.event_type, kg: Number(row.kg), excess: Number(row.excess_kg), judged: row.judged },
  ]));
  const note = (key, text, title) => {
    const name = `${key.entity}\n${key.event_type}`;
    const cell = cells.get(name) ?? { entity: key.entity, activity: key.event_type, kg: 0, excess: 0, judged: 0 };
    cells.set(name, { ...cell, note: text, noteText: title });
  };
  for (const key of warming) note(key, `${key.learned}/${NEEDED}`, `warming up: ${key.learned} of ${NEEDED} events that are needed`);
  for (const key of silent) note(key, "silent", `reported regularly, silent since ${key.since}`);
  return [...cells.values()];
}

const UNITS = {
  deliveries: "delivery",
  throughput_t: "tonne",
  pallets: "pallet",
  m3_days: "m³ and day",
  output: "unit of output",
  none: "",
};

// What a basis of activity is called in front of people, as in the reasons that the worker writes.
export function unitOf(basis) {
  if (basis.startsWith("t_km")) return "tonne-km";
  if (basis.startsWith("km_")) return "km";
  const [name, unit] = basis.split(":");
  return unit || (UNITS[name] ?? name.replaceAll("_", " "));
}

// The observations of an episode; those that were compared with nothing have no usual value.
export function seriesOf({ points, basis }) {
  const known = points.filter(({ value }) => Number.isFinite(value));
  const last = known.findLast(({ usual }) => Number.isFinite(usual));
  return {
    unit: unitOf(basis ?? "none"),
    usual: last?.usual ?? NaN,
    low: last?.low ?? NaN,
    high: last?.high ?? NaN,
    points: known.map((point) => ({ ...point, id: point.event_id })),
  };
}

// The observation that the reason of an episode is about, where it is one of these, else the newest and
// where the worst is: { name, point, more }.
export function headOf({ points }, row) {
  const shown = points.find(({ id, kg }) => id != null && id === row.event_id && Math.abs(kg - row.predicted_co2) < row.predicted_co2 / 1000);
  if (shown !== undefined) return { name: "worst", point: shown, more: "" };
  const older = Date.parse(points[0].at) > Date.parse(row.occurred_at);
  return { name: "newest", point: points.at(-1), more: older ? "; the worst is older" : "" };
}

// How many observations an episode is made of, and their ratio to the usual together; null where the
// series begins after the episode or has none of it.
export function runOf(series, row) {
  const [from, to] = [Date.parse(row.occurred_at), Date.parse(row.last_seen_at)];
  const points = series?.points ?? [];
  if (points.length === 0 || Date.parse(points[0].at) > from) return null;
  const hot = points.filter(({ at, hot: is, expected_kg: usual }) => is && usual > 0 && startOf(at) >= startOf(from) && startOf(at) <= startOf(to));
  if (hot.length === 0) return null;
  const sum = (name) => hot.reduce((all, point) => all + point[name], 0);
  return { count: hot.length, ratio: sum("kg") / sum("expected_kg") };
}

// Observations of periods have a time of their own within the day.
const startOf = (time) => new Date(time).setUTCHours(0, 0, 0, 0);

const SAID = {
  alert: ({ what, text }) => `Alert, ${what}: ${text}`,
  recommendation: ({ what, about, text }) => `Advice${what === "proposed" ? "" : ` ${what}`}: ${about ?? text}`,
  notice: ({ text }) => text,
  silence: ({ what, until }) => (what === "silenced" ? `Silenced until ${moment(until)}` : `Silence ${what}`),
};
const ENGINE = ["found", "proposed"]; // what no person says
const ENDS = { recovered: "back to its usual", new_normal: "the new normal", superseded: "not pursued any more" };
const ENDING = ["accepted", "reset"]; // what people say that ends an episode as the engine does

const TOLD_LATE_MS = 3_600_000; // after its event: then the event's own time is told too

// What happened, in words, the newest first; `eventAt` is the time of the event that it is about where
// that is another than when it was told; `reader` is the id of who reads.
export function timelineOf(history, reader = null) {
  const ended = (history ?? []).some(({ what, by }) => by && ENDING.includes(what));
  return (history ?? []).toReversed().map((entry) => {
    const { at, event_at: eventAt, kind, what, text, by, level } = entry;
    const person = kind !== "notice" && by && !ENGINE.includes(what);
    const apart = Math.abs(Date.parse(at) - Date.parse(eventAt)) >= TOLD_LATE_MS;
    const told = { at, eventAt: apart ? eventAt : null, kind: person ? kind : (level ?? kind), who: by && by === reader ? "you" : (by ?? "") };
    if (what === "found") return { ...told, text: "Found", who: "engine" };
    if (kind === "hotspot" && !by && ENDS[text]) return { ...told, text: `${sentence(what)}: ${ENDS[text]}`, who: ended ? "" : "engine", end: true };
    if (what === "undone") return { ...told, text: `${sentence(kind)} ${text}` };
    const note = person || kind === "silence" ? text : "";
    // Of an alert a person only takes notice.
    if (SAID[kind] && !(person && kind === "alert")) return { ...told, text: SAID[kind](entry), note };
    return { ...told, text: sentence(kind === "hotspot" ? what : `${kind} ${what}`), note };
  });
}
