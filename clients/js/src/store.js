// The rows of a channel as a store: subscribe(listener) and getSnapshot(), as React's
// useSyncExternalStore, Svelte's and others' adapters want them.
import { hasRecord, idOf } from "./client.js";
import { CLOSED } from "./stream.js";

const GRACE_MS = 1_000; // a component that comes back meanwhile keeps the socket

// One store for each client and channel, however many ask for it.
const stores = new WeakMap();

export function storeOf(client, channel) {
  const mine = stores.get(client) ?? new Map();
  stores.set(client, mine);
  if (!mine.has(channel)) mine.set(channel, new RowStore(client, channel));
  return mine.get(channel);
}

export class RowStore {
  #client;
  #channel;
  #rows = new Map();
  #listeners = new Set();
  #snapshot;
  #synced = false;
  #complete = false;
  #stops = [];
  #scheduled = false;
  #grace = null;

  constructor(client, channel) {
    this.#client = client;
    this.#channel = channel;
    this.#snapshot = this.#made();
    // Arrow functions, since adapters call them without their object.
    this.subscribe = (listener) => this.#subscribe(listener);
    this.getSnapshot = () => this.#snapshot;
    this.getServerSnapshot = () => EMPTY;
  }

  #subscribe(listener) {
    this.#listeners.add(listener);
    clearTimeout(this.#grace);
    if (this.#stops.length === 0) this.#begin();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#grace = setTimeout(() => this.#end(), GRACE_MS);
    };
  }

  #begin() {
    this.#stops = [
      this.#client.subscribe(this.#channel, (frame) => this.#take(frame)),
      this.#client.onStatus((channel) => channel === this.#channel && this.#schedule()),
    ];
  }

  #end() {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.#rows.clear();
    this.#synced = this.#complete = false;
    this.#snapshot = this.#made();
  }

  #take(frame) {
    if (frame.type === "reset") {
      this.#rows.clear();
      this.#synced = false;
    } else if (frame.type === "synced") {
      this.#synced = true;
      this.#complete = frame.complete;
    } else if (hasRecord(frame)) {
      this.#rows.set(frame.record.id, frame.record);
    } else {
      this.#rows.delete(idOf(frame));
    }
    this.#schedule();
  }

  // However many frames come at once, listeners are told once.
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#snapshot = this.#made();
      for (const listener of [...this.#listeners]) listener();
    });
  }

  #made() {
    return Object.freeze({
      rows: Object.freeze([...this.#rows.values()]),
      synced: this.#synced,
      complete: this.#complete,
      status: this.#client.status[this.#channel],
    });
  }
}

const EMPTY = Object.freeze({
  rows: Object.freeze([]),
  synced: false,
  complete: false,
  status: CLOSED,
});
