// A WebSocket class and timers under the control of a test.

export class Sockets {
  constructor() {
    const all = [];
    this.all = all;
    this.Class = class {
      constructor(url, protocols) {
        Object.assign(this, { url, protocols, protocol: "", sent: [], closedWith: null });
        all.push(this);
      }
      send(text) {
        this.sent.push(JSON.parse(text));
      }
      close(code) {
        this.closedWith ??= code;
      }
      accept(protocol = "relay.v1") {
        this.protocol = protocol;
        this.onopen({});
      }
      tell(...frames) {
        for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
      }
      tellText(text) {
        this.onmessage({ data: text });
      }
      cut(code = 1006, reason = "") {
        this.onclose({ code, reason });
      }
    };
  }

  get newest() {
    return this.all.at(-1);
  }

  get open() {
    return this.all.filter((socket) => socket.closedWith === null);
  }
}

export class Clock {
  #now = 0;
  #next = 1;
  #pending = new Map();

  setTimeout = (act, milliseconds) => {
    this.#pending.set(this.#next, { act, at: this.#now + milliseconds });
    return this.#next++;
  };

  clearTimeout = (timer) => void this.#pending.delete(timer);

  get pending() {
    return this.#pending.size;
  }

  advance(seconds) {
    const end = this.#now + seconds * 1000;
    for (;;) {
      const due = [...this.#pending].filter(([, { at }]) => at <= end);
      if (due.length === 0) break;
      const [timer, { act, at }] = due.reduce((a, b) => (b[1].at < a[1].at ? b : a));
      this.#pending.delete(timer);
      this.#now = at;
      act();
    }
    this.#now = end;
  }
}

export const hello = { type: "hello", endpoint: "hotspots", resumed: false, reason: "no_cursor" };
export const resumed = { ...hello, resumed: true, reason: null };

export function synced(cursor = "c1", complete = true) {
  return { type: "synced", cursor, complete };
}

export function upsert(id, version, values = {}) {
  return {
    type: version === 1 ? "INSERT" : "UPDATE",
    schema: "public",
    table: "hotspots",
    record: { id, ...values },
    old_record: version === 1 ? null : { id },
    version,
    changed_at: "2026-01-05T09:14:02.118Z",
    seq: id * 100 + version,
  };
}

export function deletion(id, version) {
  const old_record = { id };
  return { type: "DELETE", schema: "public", table: "hotspots", record: null, old_record, version };
}

export function leave(id, version) {
  return { type: "LEAVE", table: "hotspots", id, version };
}

// Web Locks of one origin, shared by the tabs of a test.
export class Locks {
  #held = new Map(); // name -> { reject }
  #queues = new Map();

  request = (name, options, act) =>
    new Promise((resolve, reject) => {
      const entry = { act, resolve, reject };
      if (options.steal) {
        this.#held.get(name)?.reject(new DOMException("stolen", "AbortError"));
        this.#grant(name, entry);
        return;
      }
      options.signal?.addEventListener("abort", () => {
        const queue = this.#queues.get(name) ?? [];
        if (!queue.includes(entry)) return;
        queue.splice(queue.indexOf(entry), 1);
        reject(options.signal.reason);
      });
      if (!this.#held.has(name)) this.#grant(name, entry);
      else this.#queues.set(name, [...(this.#queues.get(name) ?? []), entry]);
    });

  // What the browser does when the tab that holds it is gone.
  release(name) {
    this.#held.delete(name);
    const next = this.#queues.get(name)?.shift();
    if (next) this.#grant(name, next);
  }

  get names() {
    return [...this.#held.keys()];
  }

  async #grant(name, entry) {
    this.#held.set(name, entry);
    await null;
    try {
      const value = await entry.act();
      if (this.#held.get(name) === entry) this.release(name);
      entry.resolve(value);
    } catch (error) {
      entry.reject(error);
    }
  }
}

// BroadcastChannel of one origin; `silence(channel)` makes one neither hear nor speak.
export function broadcasting() {
  const all = new Set();
  const frozen = new Set();
  let posted = 0;
  class Channel {
    constructor(name) {
      this.name = name;
      all.add(this);
    }
    postMessage(message) {
      if (frozen.has(this)) return;
      posted += 1;
      const data = structuredClone(message);
      for (const other of [...all]) {
        if (other === this || other.name !== this.name || frozen.has(other)) continue;
        queueMicrotask(() => all.has(other) && other.onmessage?.({ data }));
      }
    }
    close() {
      all.delete(this);
    }
  }
  return { Channel, all, get posted() { return posted; }, freeze: (channel) => frozen.add(channel), thaw: (channel) => frozen.delete(channel) };
}
