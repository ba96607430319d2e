// One endpoint of the relay: a native WebSocket that is kept open, its changes handed on once.
//
// Lifecycle: closed -> connecting -> syncing (after hello) -> open (after synced). A lost
// connection goes to waiting and, after the back-off, to connecting again; a close code that says
// "do not come back" ends in refused. close() ends in closed from anywhere.
//
// A token is asked for before each connection. One that the relay has refused, or of whose end it
// has warned, is never sent again: without another one no connection is made. A getter is asked
// from time to time while the relay refuses for want of a token: a user may sign in meanwhile. The
// more tokens in a row the relay has refused, the longer it is until the next one.
//
// There is one timer, since at any time there is one thing to wait for: a token, the greeting, the
// next ping, the answer to a ping, or the next attempt. It is set before anybody is told of a new
// state, because the one who is told may call close().
import { delay } from "./backoff.js";
import { CloseCode, comeBack } from "./close.js";
import { parse } from "./json.js";
import { Rows, isChange } from "./rows.js";
import { Timer } from "./timer.js";

const PROTOCOL = "relay.v1";
const CHANGES = new Set(["INSERT", "UPDATE", "DELETE", "LEAVE"]);
const NOT_RECEIVED = 1006; // what a browser reports when there was no close frame
const TOKEN_SECONDS = 60; // for the application to come by a token
const ASK_AGAIN_SECONDS = 5; // while refused, for another token

// The status of a stream that was never opened.
export const CLOSED = Object.freeze({ state: "closed", upstream: null, badFrames: 0 });

export class Stream {
  rows; // what has been told, and where to go on
  #url;
  #options;
  #tell;
  #tellStatus;
  #tellCursor;
  #socket = null;
  #asking = null; // identifies the question for a token whose answer is waited for
  #token = null; // sent on this connection
  #spent = null; // a token that is not to be sent again: { token, code, reason }
  #greetedYet = false; // on this connection
  #timer;
  #attempt = 0;
  #refusals = 0; // tokens that were refused since one was accepted or set
  #awaitsPong = false;
  #status = CLOSED;

  // `url` is null where none is known. `tell` gets changes, resets and synced frames, `tellStatus`
  // each new status, `tellCursor` each new cursor, after everything that it covers.
  constructor(url, options, { tell, tellStatus, tellCursor = () => {} }) {
    this.#url = url;
    this.#options = options;
    this.#tell = tell;
    this.#tellStatus = tellStatus;
    this.#tellCursor = tellCursor;
    this.#timer = new Timer(options.timers);
    this.rows = new Rows(options.maxRows);
  }

  get status() {
    return this.#status;
  }

  open() {
    if (this.#status.state !== "closed" && this.#status.state !== "refused") return;
    this.#attempt = 0;
    if (this.#url === null) this.#stop("no `url` of the relay");
    else if (!this.#options.WebSocket) this.#stop("no `WebSocket` class here");
    else this.#dial();
  }

  close() {
    this.#hangUp();
    if (this.#status.state !== "closed") this.#become("closed");
  }

  // Do not wait for the back-off any longer.
  retryNow() {
    if (this.#status.state !== "waiting") return;
    this.#attempt = 0;
    this.#dial();
  }

  // The network or the page was away: find out at once whether the connection still lives.
  wake() {
    if (this.#status.state === "waiting") this.retryNow();
    else if (this.#status.state === "open" && !this.#awaitsPong) this.#ping();
  }

  // The application has another token: show it, or try again with it.
  tokenChanged() {
    this.#refusals = 0;
    if (this.#greetedYet) this.#renew();
    else if (this.#status.state === "waiting") this.retryNow();
    else if (this.#status.state === "refused") this.open();
  }

  #dial() {
    const source = this.#options.token;
    if (typeof source !== "function") {
      this.#connect(source || null);
      return;
    }
    this.#timer.start(TOKEN_SECONDS, () => this.#lost(NOT_RECEIVED, "no token in time"));
    this.#ask(source, (token) => this.#connect(token));
    this.#become("connecting");
  }

  // Hand the token of the application to `use`, unless the connection has ended meanwhile.
  async #ask(source, use) {
    const asking = (this.#asking = {});
    const current = () => this.#asking === asking;
    let token;
    try {
      token = (await source(this.#spent?.token)) || null;
    } catch {
      // The application has been told.
      if (current() && this.#socket === null) this.#lost(NOT_RECEIVED, "the token could not be had");
      return;
    }
    if (current()) use(token);
  }

  #connect(token) {
    this.#asking = null;
    if (token !== null && token === this.#spent?.token) {
      const { code, reason } = this.#spent;
      if (typeof this.#options.token === "function") this.#lost(code, reason);
      else this.#stop(reason, code); // it will never be another one
      return;
    }
    const socket = new this.#options.WebSocket(this.#address(), [PROTOCOL]);
    const mine = (act) => (event) => this.#socket === socket && act(event);
    let opened = false;
    socket.onopen = mine(() => {
      opened = true;
      if (socket.protocol !== PROTOCOL) {
        this.#stop(`the server speaks "${socket.protocol}", not ${PROTOCOL}`);
      } else if (token !== null) {
        this.#show(token);
      }
    });
    socket.onmessage = mine(({ data }) => this.#receive(data));
    socket.onclose = mine(({ code, reason }) => this.#lost(code, reason));
    // Node 20 lets no close event follow when a connection cannot be made; browsers do.
    socket.onerror = mine(() => opened || this.#lost(NOT_RECEIVED, "no connection"));
    this.#socket = socket;
    this.#expectGreeting();
    if (this.#status.state !== "connecting") this.#become("connecting");
  }

  #expectGreeting() {
    this.#timer.start(this.#options.replySeconds, () => this.#lost(NOT_RECEIVED, "no greeting in time"));
  }

  #address() {
    const url = new URL(this.#url);
    if (this.rows.cursor !== null) {
      url.searchParams.delete("last"); // only meant for a start without a cursor
      url.searchParams.set("cursor", this.rows.cursor);
    }
    return url.href;
  }

  #receive(text) {
    this.#heard();
    const frame = parse(text, this.#options.ids);
    if (frame === null || (CHANGES.has(frame.type) && !isChange(frame))) {
      this.#become(this.#status.state, { badFrames: this.#status.badFrames + 1 });
    } else if (CHANGES.has(frame.type)) {
      if (this.rows.take(frame)) this.#tell(frame);
    } else {
      this.#obey(frame);
    }
  }

  // Frames about the stream itself; types that a newer relay may add are passed over.
  #obey(frame) {
    switch (frame.type) {
      case "hello":
        this.#greeted(frame);
        break;
      case "synced":
        this.#keep(frame.cursor);
        this.#become("open", { complete: frame.complete === true });
        this.#tell({ type: "synced", complete: frame.complete === true });
        break;
      case "cursor":
        this.#keep(frame.cursor);
        break;
      case "reset":
        this.#discard(frame.reason);
        break;
      case "status":
        this.#become(this.#status.state, { upstream: frame.upstream });
        break;
      case "token_required":
        if (this.#token === null) this.#lost(CloseCode.UNAUTHORIZED, "the relay asks for a token");
        else this.#expectGreeting(); // the token is on its way
        break;
      case "token_expiring":
        this.#spend(CloseCode.TOKEN_EXPIRED, "the token expires, and there is no other");
        this.#renew();
        break;
    }
  }

  #keep(cursor) {
    this.rows.cursor = cursor ?? null;
    this.#tellCursor(this.rows.cursor);
  }

  #show(token) {
    this.#token = token;
    this.#socket.send(JSON.stringify({ type: "auth", token }));
  }

  // The connection lasts as long as its token: show another one, where there is another.
  #renew() {
    const source = this.#options.token;
    const show = (token) => {
      if (token && token !== this.#token && token !== this.#spent?.token) this.#show(token);
    };
    if (typeof source === "function") this.#ask(source, show);
    else show(source);
  }

  #spend(code, reason) {
    if (this.#token === null) return;
    this.#spent = { token: this.#token, code, reason };
    if (code === CloseCode.UNAUTHORIZED) this.#refusals++;
  }

  #greeted(hello) {
    this.#greetedYet = true;
    this.#refusals = 0;
    this.#timer.start(this.#options.pingSeconds, () => this.#ping());
    this.#become("syncing", { upstream: "live" }); // unless a `status` says otherwise
    // What is not resumed is told from the beginning, without the deletions of the meantime.
    if (!hello.resumed) this.#discard(hello.reason);
  }

  // Start afresh; subscribers that were given rows are told to discard them.
  #discard(reason) {
    const given = this.rows.size > 0;
    this.rows.forget();
    if (this.#status.state === "open") this.#become("syncing");
    if (given) this.#tell({ type: "reset", reason: reason ?? null });
  }

  #ping() {
    this.#attempt = 0; // it has lasted: the next attempt is a first one
    this.#awaitsPong = true;
    this.#socket.send('{"type":"ping"}');
    this.#timer.start(this.#options.replySeconds, () => this.#lost(NOT_RECEIVED, "no answer to a ping"));
  }

  // Any frame proves that the connection lives, not only a pong.
  #heard() {
    if (!this.#awaitsPong) return;
    this.#awaitsPong = false;
    this.#timer.start(this.#options.pingSeconds, () => this.#ping());
  }

  // There is no use in another attempt before something has changed.
  #stop(reason, code) {
    this.#hangUp();
    const getter = typeof this.#options.token === "function";
    if (getter && code === CloseCode.UNAUTHORIZED) this.#awaitToken(this.#refusals);
    this.#become("refused", code === undefined ? { reason } : { code, reason });
  }

  // A getter may make a new token at each call: it is not to make, nor the relay to refuse, one
  // every few seconds for ever.
  #awaitToken(refusals = 0) {
    const { random } = this.#options;
    const more = refusals && delay(refusals, { random }) / 200; // up to 5, 10, 20 ... 150 s
    const take = (token) => {
      if (token === null || token === this.#spent?.token) this.#awaitToken();
      else this.#connect(token);
    };
    this.#timer.start(ASK_AGAIN_SECONDS + more, () => {
      this.#timer.start(TOKEN_SECONDS, () => this.#awaitToken());
      this.#ask(this.#options.token, take);
    });
  }

  #lost(code, reason) {
    // With 4001 later on it is not the token but what it gets that may have changed.
    const untimely = code === CloseCode.TOKEN_EXPIRED && !this.#greetedYet;
    if (untimely || code === CloseCode.UNAUTHORIZED) this.#spend(code, reason);
    if (!comeBack(code)) {
      this.#stop(reason, code);
      return;
    }
    this.#hangUp();
    const wait = delay(this.#attempt++, { random: this.#options.random });
    const retryAt = this.#options.now() + wait;
    this.#timer.start(wait / 1000, () => this.#dial());
    this.#become("waiting", { code, reason, retrySeconds: wait / 1000, retryAt });
  }

  // Leave the socket and the timer behind; nothing that either still does is heard.
  #hangUp() {
    this.#timer.stop();
    this.#awaitsPong = false;
    this.#asking = null;
    this.#token = null;
    this.#greetedYet = false;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #become(state, details = {}) {
    const { upstream, badFrames } = this.#status;
    const connected = state === "syncing" || state === "open";
    const fresh = { upstream: connected ? upstream : null, badFrames };
    const kept = state === this.#status.state ? this.#status : fresh;
    this.#status = Object.freeze({ ...kept, ...details, state });
    this.#tellStatus(this.#status);
  }
}
