// One stream for all tabs of an origin that follow the same thing.
//
// The tab that holds a Web Lock leads: it has the WebSocket and broadcasts what it receives. The
// others hold the same rows and the same cursor, so that when the leader goes, whoever gets the
// lock next resumes exactly there, and nothing is missed or told twice: versions decide. Messages
// are numbered, so that a follower that missed some asks for everything. While nobody follows they
// are counted and not sent. A leader that is frozen by the browser keeps its lock and answers
// nothing; a follower steals it then. Terms grow from leader to leader: what a former one still says
// when it wakes is passed over.
import { Rows, keyOf } from "./rows.js";
import { CLOSED } from "./stream.js";
import { Timer } from "./timer.js";

const PROBE_SECONDS = 10;
const SILENT_SECONDS = 5; // without an answer to a probe
const DOUBT_SECONDS = 5; // for the leader to receive what this tab has received before it

// Whether this environment can share: Web Locks need a secure context.
export function canShare({ locks, BroadcastChannel }) {
  return Boolean(locks && BroadcastChannel);
}

export class SharedStream {
  rows; // as of a Stream, whoever leads
  #name;
  #options;
  #makeStream;
  #heard;
  #status = CLOSED;
  #channel = null;
  #stream = null; // while leading
  #release = null; // gives the lock back
  #abort = null; // ends waiting for the lock
  #timer; // of a follower
  #id = null;
  #sent = 0; // messages of this leader
  #followers = new Set(); // ids of the tabs that this leader has heard of
  #term = 0; // of the leader whom this tab hears, or is
  #doubted = new Map(); // rows by key that the leader did not have when last asked
  #doubting;
  #count = 0; // and how many of its messages it has

  // `name` is that of the group: equal where the same rows are followed by the same user.
  // `makeStream(listeners)` makes the stream of a leader; `heard` are the listeners of this tab.
  constructor(name, options, makeStream, heard) {
    this.#name = name;
    this.#options = options;
    this.#makeStream = makeStream;
    this.#heard = heard;
    this.#timer = new Timer(options.timers);
    this.#doubting = new Timer(options.timers);
    this.rows = new Rows(options.maxRows);
  }

  get status() {
    return this.#status;
  }

  open() {
    if (this.#channel !== null) {
      if (this.#status.state === "refused") this.#askLeader("open");
      return;
    }
    this.#id = `${this.#options.now()}:${this.#options.random()}`;
    const channel = (this.#channel = new this.#options.BroadcastChannel(this.#name));
    channel.onmessage = ({ data }) => this.#channel === channel && this.#receive(data);
    this.#become({ ...this.#status, state: "connecting" });
    this.#stand();
    this.#post({ kind: "join" });
    this.#watch();
  }

  close() {
    if (this.#channel === null) return;
    this.#timer.stop();
    this.#doubting.stop();
    this.#post({ kind: "leave" });
    this.#channel.close();
    this.#channel = null;
    this.#abort?.abort();
    this.#stepDown();
    this.#become(CLOSED);
  }

  retryNow() {
    this.#askLeader("retryNow");
  }

  wake() {
    this.#askLeader("wake");
    if (this.#stream === null && this.#channel !== null) this.#probe();
  }

  tokenChanged() {
    this.#askLeader("tokenChanged");
  }

  // Wait for the lock; whoever has it leads until it is given back, stolen, or the tab is gone.
  #stand(steal = false) {
    this.#abort?.abort(); // of waiting in the queue
    const abort = (this.#abort = new AbortController());
    const channel = this.#channel;
    const options = steal ? { steal: true } : { signal: abort.signal };
    this.#options.locks
      .request(this.#name, options, () => {
        if (this.#channel !== channel || abort.signal.aborted) return undefined;
        return new Promise((release) => {
          this.#release = release;
          this.#lead(steal ? ["the frozen leader"] : []);
        });
      })
      .catch(() => {
        // Given up by close(), or stolen from this tab while it was frozen.
        if (this.#channel !== channel || abort !== this.#abort) return;
        this.#stepDown();
        this.#stand();
        this.#post({ kind: "join" });
        this.#watch();
      });
  }

  // The others join the new term when they hear of it; one that is replaced hears nothing now.
  #lead(followers) {
    this.#timer.stop();
    this.#followers = new Set(followers);
    this.#term = Math.max(this.#term + 1, this.#options.now());
    const leading = (act) => (value) => this.#stream === stream && act(value);
    const stream = (this.#stream = this.#makeStream({
      tell: leading((frame) => {
        this.#take(frame);
        this.#broadcast({ kind: "frame", frame });
      }),
      tellStatus: leading((status) => {
        this.#become(status);
        this.#broadcast({ kind: "status", status });
      }),
      tellCursor: leading((cursor) => {
        this.#keep(cursor);
        this.#broadcast({ kind: "cursor", cursor });
      }),
    }));
    stream.rows.restore(this.rows.saved);
    this.#answer({ kind: "alive" });
    stream.open();
  }

  #stepDown() {
    const stream = this.#stream;
    this.#stream = null;
    stream?.close();
    this.#release?.();
    this.#release = null;
  }

  #receive(message) {
    if (this.#stream !== null) this.#serve(message);
    else if (message.n !== undefined) this.#follow(message);
  }

  #serve({ kind, from, act }) {
    if (kind === "leave") this.#followers.delete(from);
    else if (act !== undefined || kind === "join" || kind === "probe") this.#followers.add(from);
    if (kind === "join") this.#answer({ kind: "state", to: from, ...this.rows.saved, status: this.#status });
    else if (kind === "probe") this.#answer({ kind: "alive" });
    else if (kind === "ask") this.#stream[act]();
  }

  // A message of the leader; those of followers have no number.
  #follow({ kind, to, term, n, ...message }) {
    if (term < this.#term) return;
    this.#watch();
    if (kind === "state") {
      if (to !== this.#id) return;
      [this.#term, this.#count] = [term, n];
      this.#adopt(message);
      return;
    }
    const next = kind === "alive" ? this.#count : this.#count + 1;
    if (term !== this.#term || n !== next) {
      this.#post({ kind: "join" });
      return;
    }
    this.#count = n;
    if (kind === "frame") this.#take(message.frame);
    else if (kind === "status") this.#become(message.status);
    else if (kind === "cursor") this.#keep(message.cursor);
  }

  // What the leader holds is the truth. What this tab holds beside it is either older, or newer: a
  // leader that was replaced may have received more. The leader has it soon in the second case.
  #adopt({ changes, cursor, status }) {
    const theirs = new Set(changes.map(keyOf));
    const doubted = new Map();
    for (const held of this.rows.present()) {
      const [key, { table, version }] = [keyOf(held), held];
      if (theirs.has(key)) continue;
      if (this.#doubted.get(key) === version) {
        this.rows.drop(held);
        this.#heard.tell({ type: "LEAVE", table, id: held.record.id, version });
      } else doubted.set(key, version);
    }
    this.#doubted = doubted;
    if (doubted.size > 0) this.#doubting.start(DOUBT_SECONDS, () => this.#post({ kind: "join" }));
    for (const change of changes) this.#take(change);
    this.#keep(cursor);
    this.#become(status);
    if (status.state === "open") this.#heard.tell({ type: "synced", complete: status.complete });
  }

  #take(frame) {
    if (frame.type === "reset") this.rows.forget();
    else if (frame.type !== "synced" && !this.rows.take(frame)) return;
    this.#heard.tell(frame);
  }

  // A follower that has heard nothing for a while asks, and takes over where nobody answers. The
  // spread keeps many of them from doing so at once.
  #watch() {
    if (this.#stream === null) this.#timer.start(PROBE_SECONDS, () => this.#probe());
  }

  #probe() {
    this.#post({ kind: "probe" });
    this.#timer.start(SILENT_SECONDS * (1 + this.#options.random()), () => this.#stand(true));
  }

  #askLeader(act) {
    if (this.#stream !== null) this.#stream[act]();
    else this.#post({ kind: "ask", act });
  }

  #broadcast(message) {
    this.#sent++;
    if (this.#followers.size > 0) this.#answer(message);
  }

  #answer(message) {
    this.#post({ ...message, term: this.#term, n: this.#sent });
  }

  #post(message) {
    this.#channel?.postMessage({ from: this.#id, ...message });
  }

  #keep(cursor) {
    this.rows.cursor = cursor;
    this.#heard.tellCursor(cursor);
  }

  #become(status) {
    this.#status = status;
    this.#heard.tellStatus(status);
  }
}
