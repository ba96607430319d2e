// Whether the relay and the worker live, each by its own word: the relay by the connection, the worker
// by what the relay last heard of it, whose age goes on while nothing new is told.
import { signal } from "../dom.js";
import { clockSeconds, connection, duration, worker } from "../format.js";

const ASK_MS = 5_000;
const TICK_MS = 1_000;
const DEADLINE_MS = 10_000;
const UNKNOWN_MS = 20_000; // after that the relay's last word of the worker says nothing of it any more

export class Health {
  relay = signal(connection({ state: "connecting" }));
  worker = signal(null);
  stale = signal(false); // what is shown may be older than now: from a loss until all is told again
  asOf = null; // ms: until when the rows are known to be complete
  told = null; // of the worker, as the relay said it
  #heard = false; // of a worker, by any relay
  #fetch;
  #now;
  #status = { state: "connecting" };
  #lost = false; // an attempt to connect has failed, and none has succeeded since
  #lag = null;
  #upstream = null;
  #toldAt = 0;

  constructor(fetch = (...of) => globalThis.fetch(...of), now = Date.now) {
    this.#fetch = fetch;
    this.#now = now;
  }

  // Ask and tick until `signal` is aborted.
  begin(stop) {
    const asking = setInterval(() => this.ask(), ASK_MS);
    const ticking = setInterval(() => this.tick(), TICK_MS);
    stop.addEventListener("abort", () => [asking, ticking].forEach(clearInterval));
    this.ask();
  }

  // The state of the connection that tells hotspots.
  connection(status) {
    this.#lost = status.state === "waiting" || (status.state === "connecting" && this.#lost);
    this.#status = status;
    const { state, upstream } = status;
    if (state === "waiting" || state === "refused" || upstream === "down") this.stale.value = true;
    else if (state === "open") this.stale.value = false;
    this.tick();
  }

  async ask() {
    try {
      const told = await (await this.#fetch("readyz", { cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) })).json();
      this.told = told.worker;
      this.#upstream = told.upstream;
      this.#lag = told.endpoints?.hotspots?.lag_seconds ?? null;
      this.#toldAt = this.#now();
      this.#heard ||= this.told !== null;
    } catch {
      this.#lag = null;
    }
    this.tick();
  }

  tick() {
    const { state, retryAt } = this.#status;
    const retrySeconds = Math.max(0, ((retryAt ?? 0) - this.#now()) / 1000);
    const said = connection({ ...this.#status, retrySeconds, lost: this.#lost });
    const complete = said.tone === "good" && this.#lag !== null;
    if (complete) this.asOf = this.#toldAt - 1000 * this.#lag;
    const detail = complete ? `complete until ${clockSeconds(this.asOf)}` : "";
    change(this.relay, { ...said, detail });
    const age = this.#now() - this.#toldAt;
    let away = null;
    if (age > UNKNOWN_MS) away = "the relay does not answer";
    else if (this.#upstream === "down") away = "the relay is cut off";
    else if (this.told === null) away = "the relay has just begun";
    change(this.worker, this.#heard && away ? { text: "Worker", detail: `not known: ${away}`, tone: "idle" } : worker(this.told, age / 1000));
  }
}

function change(cell, next) {
  if (JSON.stringify(cell.peek()) !== JSON.stringify(next)) cell.value = next;
}
