// The frames of a subscription as an async iterator. What is not taken yet is kept as the newest
// change of each row, so that it stays as small as the rows themselves.
import { keyOf } from "./rows.js";

export class Frames {
  #pending = new Map();
  #waiting = null;
  #stop = null;
  #ended = false;

  // `subscribe(take)` begins, at the first next(), and returns what ends it.
  constructor(subscribe, signal) {
    this.#stop = () => {};
    this.#subscribe = subscribe;
    signal?.addEventListener("abort", () => this.#end(), { once: true });
    if (signal?.aborted) this.#ended = true;
  }

  #subscribe;

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    if (this.#subscribe !== null && !this.#ended) {
      const subscribe = this.#subscribe;
      this.#subscribe = null;
      this.#stop = subscribe((frame) => this.#take(frame));
    }
    const [first] = this.#pending;
    if (first !== undefined) {
      this.#pending.delete(first[0]);
      return Promise.resolve({ value: first[1], done: false });
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  // Called when the loop is left.
  return() {
    this.#end();
    return Promise.resolve({ value: undefined, done: true });
  }

  #take(frame) {
    if (this.#waiting !== null) {
      const resolve = this.#waiting;
      this.#waiting = null;
      resolve({ value: frame, done: false });
      return;
    }
    if (frame.type === "reset") this.#pending.clear();
    const key = frame.type === "reset" || frame.type === "synced" ? frame.type : keyOf(frame);
    this.#pending.delete(key); // in the order of the newest
    this.#pending.set(key, frame);
  }

  #end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop();
    this.#pending.clear();
    this.#waiting?.({ value: undefined, done: true });
    this.#waiting = null;
  }
}
