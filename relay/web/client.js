// Client of Hotspot Relay for browsers, without dependencies.
//
//   const client = new RelayClient();
//   const stop = client.subscribe("hotspots", (change) => console.log(change.type, change.record));
//   client.connect();
//
// However many subscribers an endpoint has, it has one WebSocket. Each change is handed to each
// subscriber once; after an interruption the missed changes are fetched by the relay's cursor.
import { Stream } from "./stream.js";

export { CloseCode, comeBack } from "./close.js";
export { hasRecord, idOf } from "./rows.js";

export const CHANNELS = Object.freeze(["hotspots", "alerts", "recommendations"]);

const DEFAULTS = {
  pingSeconds: 25,
  replySeconds: 10,
  maxRows: 20_000,
  random: Math.random,
  timers: {
    setTimeout: (act, milliseconds) => setTimeout(act, milliseconds),
    clearTimeout: (timer) => clearTimeout(timer),
  },
  onError: (error) => console.error(error),
};

export class RelayClient {
  #streams = {};
  #subscribers = {};
  #watchers = new Set();
  #connected = false;
  #onError;

  // Options: see client.d.ts. Throws when `url` is no URL. Opens nothing, so that it can be made
  // where pages are rendered ahead, without `location` and `WebSocket`.
  constructor({ url = ownOrigin(), filters = {}, last, ...options } = {}) {
    const settings = { WebSocket: globalThis.WebSocket, ...DEFAULTS, ...options };
    this.#onError = settings.onError;
    for (const channel of CHANNELS) {
      this.#subscribers[channel] = new Set();
      this.#streams[channel] = new Stream(
        endpoint(url, channel, { last, ...filters[channel] }),
        settings,
        (frame) => this.#dispatch(this.#subscribers[channel], frame),
        (status) => this.#dispatch(this.#watchers, channel, status),
      );
    }
  }

  // Open the endpoints that have subscribers, now and when they get one. Again: no effect, except
  // that endpoints which refused are tried once more.
  connect() {
    this.#connected = true;
    for (const channel of CHANNELS) {
      if (this.#subscribers[channel].size > 0) this.#streams[channel].open();
    }
  }

  // Close all sockets and stop every timer. Subscriptions stay; connect() resumes them.
  disconnect() {
    this.#connected = false;
    for (const channel of CHANNELS) this.#streams[channel].close();
  }

  // Call back at each change, reset and synced of the channel; the rows that the client already
  // holds come first. Returns a function that ends the subscription.
  subscribe(channel, callback) {
    if (!CHANNELS.includes(channel)) throw new RangeError(`unknown channel: ${channel}`);
    const subscribers = this.#subscribers[channel];
    const stream = this.#streams[channel];
    const subscription = { callback, held: stream.held };
    subscribers.add(subscription);
    queueMicrotask(() => this.#handOver(subscribers, subscription));
    if (this.#connected) stream.open();
    return () => {
      if (!subscribers.delete(subscription) || subscribers.size > 0) return;
      stream.close();
      stream.forget(); // the next subscriber starts from the beginning
    };
  }

  // State of each channel by name; see ChannelStatus in client.d.ts.
  get status() {
    return Object.fromEntries(CHANNELS.map((name) => [name, this.#streams[name].status]));
  }

  // Call back with (channel, status) at each new status. Returns a function that ends it.
  onStatus(callback) {
    const watcher = { callback };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #handOver(subscribers, subscription) {
    const held = subscription.held;
    subscription.held = null;
    for (const frame of held) {
      if (subscribers.has(subscription)) this.#call(subscription.callback, frame);
    }
  }

  // A copy, since a callback may subscribe or unsubscribe; one that throws keeps none from it.
  #dispatch(audience, ...news) {
    for (const member of [...audience]) {
      if (!audience.has(member)) continue;
      if (member.held) member.held.push(...news);
      else this.#call(member.callback, ...news);
    }
  }

  #call(callback, ...news) {
    try {
      callback(...news);
    } catch (error) {
      this.#onError(error);
    }
  }
}

// The relay takes values whole where a parameter is repeated; in a single one commas separate.
function whole(values) {
  return values.length === 1 ? [values[0], values[0]] : values;
}

// Where the page is from; undefined outside of pages. `null` is what a file or a sandbox has.
function ownOrigin() {
  const origin = globalThis.location?.origin;
  return origin === "null" ? undefined : origin;
}

// Address of an endpoint, whichever scheme the base is given in; a path in front is kept. Null
// when there is no base.
function endpoint(base, channel, parameters) {
  if (base === undefined) return null;
  const url = new URL(base);
  url.protocol = url.protocol.replace(/^http/, "ws");
  url.pathname = `${url.pathname.replace(/\/$/, "")}/ws/${channel}`;
  url.search = "";
  url.hash = "";
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? whole(value) : [value]) {
      url.searchParams.append(name, String(each));
    }
  }
  return url.href;
}
