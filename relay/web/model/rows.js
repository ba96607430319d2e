// The rows of one channel as the relay's client tells them. Frames are gathered, and listeners are
// told of the changed rows at most once per animation frame.
import { hasRecord, idOf } from "../client.js";

export class Rows {
  #rows = new Map();
  #changed = new Set();
  #listeners = new Set();
  #scheduled = false;
  #schedule;
  #synced = false;

  // `schedule` runs a function soon, once: requestAnimationFrame, which waits while the page is hidden.
  constructor(schedule = requestAnimationFrame.bind(globalThis)) {
    this.#schedule = schedule;
  }

  take(frame) {
    if (frame.type === "reset") {
      for (const id of this.#rows.keys()) this.#changed.add(id);
      this.#rows.clear();
      this.#synced = false;
    } else if (frame.type === "synced") {
      this.#synced = true;
    } else if (hasRecord(frame)) {
      this.#rows.set(frame.record.id, frame.record);
      this.#changed.add(frame.record.id);
    } else {
      this.#rows.delete(idOf(frame));
      this.#changed.add(idOf(frame));
    }
    this.#soon();
  }

  // Forget everything: somebody else signs in.
  clear() {
    this.take({ type: "reset", reason: null });
  }

  get(id) {
    return this.#rows.get(id);
  }

  values() {
    return this.#rows.values();
  }

  // Whether the relay has told the whole state, so that nothing means nothing.
  get synced() {
    return this.#synced;
  }

  // Calls `listener(changed)` with the ids of rows that came, changed or went; returns how to end that.
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #soon() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      const changed = this.#changed;
      this.#changed = new Set();
      for (const listener of [...this.#listeners]) listener(changed);
    });
  }
}
