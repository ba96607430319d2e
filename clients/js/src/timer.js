// One thing to wait for at a time: another one takes its place.
export class Timer {
  #timers;
  #pending = null;

  constructor(timers) {
    this.#timers = timers;
  }

  get runs() {
    return this.#pending !== null;
  }

  start(seconds, act) {
    this.stop();
    this.#pending = this.#timers.setTimeout(act, seconds * 1000);
  }

  stop() {
    this.#timers.clearTimeout(this.#pending);
    this.#pending = null;
  }
}
