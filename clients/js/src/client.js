// Client of Hotspot Relay for browsers and other places with a WebSocket, without dependencies.
//
//   const client = new RelayClient({ url: "https://relay.example.org" });
//   client.subscribe("hotspots", (change) => console.log(change.type, change.record));
//   client.connect();
//
// However many subscribers an endpoint has, and in however many tabs, it has one WebSocket. Each
// change is handed to each subscriber once; after an interruption, and after a reload, the missed
// changes are fetched by the relay's cursor.
import { Endpoint } from "./endpoint.js";
import { frames } from "./frames.js";
import { Timer } from "./timer.js";
import { warningOnce } from "./token.js";

export { CloseCode, comeBack } from "./close.js";
export { hasRecord, idOf } from "./rows.js";

export const CHANNELS = Object.freeze(["hotspots", "alerts", "recommendations"]);

function defaults() {
  return {
    token: undefined,
    storage: null,
    tabs: true,
    ids: "number",
    pauseHiddenSeconds: Infinity,
    pingSeconds: 25,
    replySeconds: 10,
    maxRows: 20_000,
    random: Math.random,
    now: Date.now,
    timers: globalThis,
    onError: (error) => console.error(error),
    WebSocket: globalThis.WebSocket,
    BroadcastChannel: globalThis.BroadcastChannel,
    locks: globalThis.navigator?.locks,
    window: globalThis.window,
    document: globalThis.document,
    fetch: undefined, // the global one
  };
}

export class RelayClient {
  #base;
  #last;
  #settings;
  #endpoints = {};
  #subscribers = {};
  #watchers = new Set();
  #connected = false;
  #environment = null; // ends listening to the page's events
  #hidden;

  // Options: see client.d.ts. Throws when `url` is no URL, and at options and channels that do not
  // exist. Opens nothing, so that it can be made where pages are rendered ahead, without `location`
  // and `WebSocket`.
  constructor({ url = ownOrigin(), filters = {}, last, ...options } = {}) {
    this.#base = url === undefined ? null : new URL(url);
    this.#last = last;
    this.#settings = { ...defaults(), ...options };
    checkNames(options);
    checkFilters(filters);
    this.#useToken(options.token);
    this.#hidden = new Timer(this.#settings.timers);
    for (const channel of CHANNELS) {
      this.#subscribers[channel] = new Set();
      this.#endpoints[channel] = new Endpoint(
        this.#address(channel, filters[channel]),
        this.#settings,
        (frame) => this.#dispatch(this.#subscribers[channel], frame),
        (status) => this.#dispatch(this.#watchers, channel, status),
      );
    }
  }

  // Open the endpoints that have subscribers, now and when they get one. Again: no effect, except
  // that endpoints which refused are tried once more.
  connect() {
    this.#connected = true;
    this.#listen();
    this.#openAll();
  }

  // Close all sockets and stop every timer. Subscriptions stay; connect() resumes them.
  disconnect() {
    this.#connected = false;
    this.#environment?.abort();
    this.#environment = null;
    this.#hidden.stop();
    this.#each("close");
  }

  // Call back at each change, reset and synced of the channel; the rows that the client already
  // holds come first. Returns a function that ends the subscription, as an aborted `signal` does.
  subscribe(channel, callback, { signal } = {}) {
    checkChannel(channel);
    const subscribers = this.#subscribers[channel];
    const endpoint = this.#endpoints[channel];
    if (signal?.aborted) return () => {};
    const subscription = { callback, late: true };
    subscribers.add(subscription);
    queueMicrotask(() => {
      subscription.late = false;
      for (const frame of endpoint.held) this.#tell(subscribers, subscription, frame);
    });
    if (this.#connected) endpoint.open();
    const stop = () => {
      if (!subscribers.delete(subscription) || subscribers.size > 0) return;
      endpoint.close();
      endpoint.forget(); // the next subscriber starts from the beginning
    };
    signal?.addEventListener("abort", stop, { once: true });
    return stop;
  }

  // The same for `for await`. Who is slower than the changes gets the newest of each row.
  frames(channel, { signal } = {}) {
    checkChannel(channel);
    return frames((take) => this.subscribe(channel, take, { signal }), signal);
  }

  // Follow other rows of a channel from now on; subscribers get a reset and the rows that match.
  setFilter(channel, filter) {
    checkFilters({ [channel]: filter });
    this.#endpoints[channel].follow(this.#address(channel, filter));
  }

  // Use this token, or getter, from now on: shown to the relay at once where it is needed.
  setToken(token) {
    this.#useToken(token);
    this.#each("tokenChanged");
  }

  // Make every attempt that is waited for now.
  retryNow() {
    this.#each("retryNow");
  }

  // What commands need, see commands.js: the relay's http(s) address, null where none is known, and
  // how to get there.
  get http() {
    const { token, fetch } = this.#settings;
    return { base: this.#base && under(this.#base, "http", "/"), token, fetch };
  }

  // State of each channel by name; see ChannelStatus in client.d.ts.
  get status() {
    return Object.fromEntries(CHANNELS.map((name) => [name, this.#endpoints[name].status]));
  }

  // Call back with (channel, status) at each new status. Returns a function that ends it.
  onStatus(callback) {
    const watcher = { callback };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #useToken(token) {
    this.#settings.token = warningOnce(token, this.#settings.onError);
  }

  #openAll() {
    for (const channel of CHANNELS) {
      if (this.#subscribers[channel].size > 0) this.#endpoints[channel].open();
    }
  }

  // What the page goes through: without a network, asleep, hidden, left.
  #listen() {
    if (this.#environment !== null) return;
    const { window, document } = this.#settings;
    const { signal } = (this.#environment = new AbortController());
    const wake = () => this.#each("wake");
    // A connection may live on where another network has gone.
    for (const event of ["online", "offline", "pageshow"]) window?.addEventListener(event, wake, { signal });
    document?.addEventListener("resume", wake, { signal });
    window?.addEventListener("pagehide", () => this.#each("save"), { signal });
    document?.addEventListener("visibilitychange", () => this.#visibility(document), { signal });
  }

  #visibility(document) {
    const { pauseHiddenSeconds } = this.#settings;
    this.#hidden.stop();
    if (document.visibilityState === "visible") {
      this.#openAll();
      this.#each("wake");
      return;
    }
    this.#each("save");
    if (pauseHiddenSeconds === Infinity) return;
    this.#hidden.start(pauseHiddenSeconds, () => this.#each("close"));
  }

  #each(act) {
    for (const channel of CHANNELS) this.#endpoints[channel][act]();
  }

  // A copy, since a callback may subscribe or unsubscribe. Who has just subscribed is still to be
  // given what is held.
  #dispatch(audience, ...news) {
    for (const member of [...audience]) {
      if (!member.late) this.#tell(audience, member, ...news);
    }
  }

  // A callback that throws keeps nothing from the others.
  #tell(audience, member, ...news) {
    if (!audience.has(member)) return;
    try {
      member.callback(...news);
    } catch (error) {
      this.#settings.onError(error);
    }
  }

  // Address of an endpoint, whichever scheme the base is given in; a path in front is kept. Null
  // when there is no base.
  #address(channel, filter) {
    if (this.#base === null) return null;
    const url = under(this.#base, "ws", `/ws/${channel}`);
    for (const [name, value] of Object.entries({ last: this.#last, ...filter })) {
      if (value === undefined) continue;
      for (const each of Array.isArray(value) ? whole(value) : [value]) {
        url.searchParams.append(name, String(each));
      }
    }
    return url.href;
  }
}

function checkChannel(channel, where = "") {
  if (CHANNELS.includes(channel)) return;
  throw new RangeError(`${where}unknown channel: ${channel} (there are ${CHANNELS.join(", ")})`);
}

// A misspelt name would leave a channel unfiltered, which looks as if it worked.
function checkFilters(filters) {
  checkObject(filters, "filters");
  for (const [channel, filter] of Object.entries(filters)) {
    checkChannel(channel, "filters: ");
    if (filter !== undefined) checkObject(filter, `filters.${channel}`);
  }
}

function checkObject(value, name) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return;
  throw new TypeError(`${name}: not an object`);
}

function checkNames(options) {
  const known = Object.keys(defaults());
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const all = ["url", "filters", "last", ...known].join(", ");
  throw new RangeError(`unknown option: ${unknown} (there are ${all})`);
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

// A path below the base in a scheme, secure where the base is.
function under(base, scheme, path) {
  const url = new URL(base);
  url.protocol = base.protocol.replace(/^(http|ws)/, scheme);
  url.pathname = base.pathname.replace(/\/$/, "") + path;
  url.search = url.hash = "";
  return url;
}
