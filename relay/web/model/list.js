// The list of hotspots as it stands on the screen. Rows are put in order when the reader asks for it
// (a filter, a sort, "new"), and never by a change: what is under the pointer stays there. A changed
// row changes in its place, and one that no longer belongs there is marked. New ones wait, but for
// those that move nothing which is pointed at, in a list that the screen holds whole.
import { signal } from "../dom.js";
import { arrange, before, census, matches, silencedUntil, silencesOf } from "./hotspots.js";

const CENSUS_MS = 250;
const SCREENFUL = 40; // rows; until there are so many, the first ones that are told are put in order anew

export class HotspotList {
  lines = signal([]); // { id } or { group, count, kg }
  waiting = signal(0); // new hotspots of the view that are not in it yet
  counts = signal(census([], 0));
  loaded = signal(false); // the whole state was told
  room = 0; // lines that the screen shows without scrolling
  held = () => -1; // index of the last line that has to stay where it is, -1 for none
  #rows;
  #patches;
  #view;
  #now;
  #placed = new Map(); // id -> the row as last known
  #new = new Set();
  #cells = new Map(); // id -> signal of a row on the screen
  #arranged = false; // since the state was told
  #censusAt = 0;
  #censusTimer = null;
  #silences = null; // null until they are told
  #silenced = new WeakMap(); // row -> the same with the end of its silence

  // `patches.of(row)` is the row as decided here, before the relay has confirmed it.
  constructor(rows, patches, view, now = Date.now) {
    this.#rows = rows;
    this.#patches = patches;
    this.#view = view;
    this.#now = now;
    rows.subscribe((changed) => this.#take(changed));
    patches.subscribe((ids) => this.#take(ids));
  }

  // Put the rows in the order of the view; with them those that waited.
  show(view = this.#view) {
    this.#view = view;
    const now = this.#now();
    this.lines.value = arrange(this.#all(), view, now);
    this.#placed = new Map(this.lines.value.filter((line) => "id" in line).map(({ id }) => [id, this.row(id)]));
    this.#new.clear();
    this.waiting.value = 0;
  }

  // The row as decided here, or as last known if it is gone; undefined where it was never there.
  row(id) {
    const row = this.#rows.get(id);
    return row === undefined ? this.#placed.get(id) : this.#known(row);
  }

  // Whether the row still belongs where it stands.
  belongs(id) {
    const row = this.#rows.get(id);
    return row !== undefined && matches(this.#known(row), this.#view, this.#now());
  }

  // A signal that fires when the row changes; given back by `release`.
  watch(id) {
    let cell = this.#cells.get(id);
    if (cell === undefined) this.#cells.set(id, (cell = { signal: signal(0), users: 0 }));
    cell.users += 1;
    return cell.signal;
  }

  release(id) {
    const cell = this.#cells.get(id);
    if (cell !== undefined && (cell.users -= 1) === 0) this.#cells.delete(id);
  }

  // The silences that stand now. The first time, what they keep back leaves the list, which has just
  // come; later it stays where it is until the list is put in order again.
  silence(silences) {
    const first = this.#silences === null;
    this.#silences = silences;
    this.#silenced = new WeakMap();
    if (first && this.#arranged) this.show();
    this.tick();
  }

  // Those that keep this row's alerts back.
  silencesOf(row) {
    return silencesOf(row, this.#silences ?? [], this.#now());
  }

  // How many open hotspots a silence keeps back.
  silencedBy(silence) {
    let count = 0;
    for (const row of this.#rows.values()) {
      if (row.status === "active" && silencesOf(row, [silence], this.#now()).length > 0) count += 1;
    }
    return count;
  }

  // Forget everything: somebody else signs in.
  reset() {
    this.#arranged = false;
    this.#silences = null;
    this.#silenced = new WeakMap();
    this.lines.value = [];
    this.#placed = new Map();
    this.#new.clear();
    this.waiting.value = 0;
    this.#count();
  }

  // Time has passed: silences end, ages grow.
  tick() {
    this.#count();
    for (const { signal: cell } of this.#cells.values()) cell.value += 1;
  }

  *#all() {
    for (const row of this.#rows.values()) yield this.#known(row);
  }

  // The row with what was decided here and what is silenced.
  #known(row) {
    const decided = this.#patches.of(row);
    if (this.#silences === null || this.#silences.length === 0) return decided;
    let known = this.#silenced.get(decided);
    if (known === undefined) {
      const until = decided.silenced_until ?? silencedUntil(decided, this.#silences, this.#now());
      this.#silenced.set(decided, (known = until === null ? decided : { ...decided, silenced_until: until }));
    }
    return known;
  }

  #take(changed) {
    const first = this.#placed.size < SCREENFUL;
    if (!this.#arranged && (first || this.#rows.synced)) {
      this.show();
      this.#arranged = this.#rows.synced;
    } else if (this.#arranged) {
      this.#place(changed);
    }
    this.loaded.value = this.#rows.synced;
    for (const id of changed) {
      const cell = this.#cells.get(id);
      if (cell !== undefined) cell.signal.value += 1;
    }
    this.#countSoon();
  }

  #place(changed) {
    for (const id of changed) {
      if (this.#placed.has(id)) {
        const row = this.#rows.get(id);
        if (row !== undefined) this.#placed.set(id, this.#known(row));
      } else if (this.belongs(id)) this.#new.add(id);
      else this.#new.delete(id);
    }
    this.settle();
  }

  // Take in the new rows that move nothing which has to stay, where the screen then shows all lines.
  settle() {
    const { length } = this.lines.value;
    const held = this.held();
    const fits = length === 0 || length + this.#new.size <= this.room;
    if (fits && this.#new.size > 0 && (length === 0 || (this.#view.group !== "" && held < 0))) return this.show();
    if (fits && this.#view.group === "") this.#insert(held);
    this.waiting.value = this.#new.size;
  }

  // Put new rows where they belong below the line `held`; the others keep their order.
  #insert(held) {
    const lines = [...this.lines.value];
    for (const id of this.#new) {
      const row = this.row(id);
      const found = lines.findIndex((line) => before(row, this.row(line.id), this.#view));
      const at = found < 0 ? lines.length : found;
      if (at <= held) continue;
      lines.splice(at, 0, { id });
      this.#placed.set(id, row);
      this.#new.delete(id);
    }
    if (lines.length > this.lines.value.length) this.lines.value = lines;
  }

  #countSoon() {
    if (this.#censusTimer !== null) return;
    const wait = Math.max(0, this.#censusAt + CENSUS_MS - this.#now());
    this.#censusTimer = setTimeout(() => this.#count(), wait);
  }

  #count() {
    clearTimeout(this.#censusTimer);
    this.#censusTimer = null;
    this.#censusAt = this.#now();
    this.counts.value = census(this.#all(), this.#censusAt);
  }
}
