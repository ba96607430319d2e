// The last observations of the hotspots on the screen. They are asked for together, kept for a while,
// and asked for again when the hotspot has changed since.
import { signal } from "../dom.js";
import { LIMITS } from "./hotspots.js";

const GATHER_MS = 60;
const AT_ONCE = 60;
const STALE_MS = 20_000;
const KEPT = 2_000;

export class SeriesCache {
  #load;
  #now;
  #held = new Map(); // id -> { series, at, cell }
  #wanted = new Set();
  #timer = null;

  // `load(ids)` resolves to a Map of series by id.
  constructor(load, now = Date.now) {
    this.#load = load;
    this.#now = now;
  }

  // The series, undefined while it is not known. Whoever draws it is drawn again when it comes.
  of(id) {
    return this.#entry(id).cell.value;
  }

  want(ids) {
    for (const id of ids) {
      if (this.#now() - this.#entry(id).at > STALE_MS) this.#wanted.add(id);
    }
    if (this.#wanted.size > 0 && this.#timer === null) this.#timer = setTimeout(() => this.#fetch(), GATHER_MS);
  }

  // The hotspot has changed: ask again when it is next wanted.
  outdate(id) {
    const held = this.#held.get(id);
    if (held !== undefined) held.at = Math.min(held.at, this.#now() - STALE_MS / 2);
  }

  clear() {
    this.#held.clear();
    this.#wanted.clear();
  }

  #entry(id) {
    let held = this.#held.get(id);
    if (held === undefined) {
      this.#held.set(id, (held = { at: -Infinity, cell: signal(undefined) }));
      if (this.#held.size > KEPT) this.#held.delete(this.#held.keys().next().value);
    }
    return held;
  }

  async #fetch() {
    const ids = [...this.#wanted].slice(-AT_ONCE); // what was wanted last is what is seen now
    this.#wanted.clear();
    for (const id of ids) this.#entry(id).at = this.#now();
    try {
      const found = await this.#load(ids);
      for (const id of ids) this.#entry(id).cell.value = found.get(id) ?? null;
    } catch {
      for (const id of ids) this.#entry(id).at = -Infinity; // once more when it is wanted again
    } finally {
      this.#timer = null;
    }
  }
}

// Small series by hotspot from the ratios of observations to what is usual, null where nothing was. From
// `info` on one is worth an info, below one part of it it is as good.
export function sparksOf(told, info = LIMITS.info) {
  return new Map(Object.entries(told).map(([id, ratios]) => {
    const points = ratios.filter(Number.isFinite).map((value) => ({ value, hot: value >= info }));
    return [Number(id), { points, low: 1 / info, high: info, trend: trendOf(points) }];
  }));
}

// Whether the newest observations above the usual rise: growing, shrinking or steady; null for few.
function trendOf(points) {
  const hot = points.slice(points.findLastIndex(({ hot: is }) => !is) + 1).map(({ value }) => value);
  if (hot.length < 6) return null;
  const half = hot.length >> 1;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const change = mean(hot.slice(-half)) / mean(hot.slice(0, half));
  return change > 1.05 ? "growing" : change < 0.95 ? "shrinking" : "steady";
}
