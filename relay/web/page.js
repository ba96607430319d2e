// The page: one client of the relay, the rows that it tells, and what the reader does with them.
import { CloseCode, Commands, RelayClient } from "./client.js";
import { computed, html, render, signal } from "./dom.js";
import { saving, scan as scanText } from "./format.js";
import { searchOf, viewOf, WINDOWS } from "./model/address.js";
import { DECISIONS, Decisions } from "./model/decisions.js";
import { Health } from "./model/health.js";
import { Insights } from "./model/insights.js";
import { isOfKey } from "./model/hotspots.js";
import { HotspotList } from "./model/list.js";
import { Rows } from "./model/rows.js";
import { SeriesCache, sparksOf } from "./model/series.js";
import { restored, SavedViews } from "./model/views.js";
import { Session } from "./session.js";
import { Help, Queue, Views } from "./views/dialogs.js";
import { Toast } from "./views/decisions.js";
import { Episode } from "./views/episode.js";
import { Header } from "./views/header.js";
import { Hotspots } from "./views/list.js";
import { Context } from "./views/matrix.js";
import { Overview } from "./views/overview.js";
import { SignIn } from "./views/sign-in.js";

const TICK_MS = 10_000; // after which a silence that somebody else has made is known here
const SCAN_MS = 1_000;
const UNAUTHORIZED = 401;
const FINAL = ["done", "failed"];
const ARROWS = { ArrowDown: 1, ArrowUp: -1 };

const savingOf = (row) => row.co2_reduction_month ?? row.co2_reduction ?? 0;
const bySaving = (a, b) => savingOf(b) - savingOf(a);

class Page {
  view = signal(viewOf(location.search));
  selection = signal(new Set());
  current = signal(null); // id of the row that the keys act on
  silencing = signal(null); // ids for which the form of a silence is open
  ending = signal(null); // { id, silences } of the hotspot for which is asked which of them to end
  dialog = signal(null); // "help", "views", "quarantine", "notices" or "advice"
  queue = signal({ rows: null, trouble: "" });
  asksToSignIn = signal(null); // { reason, byPassword } while the relay wants to know who reads
  connected = signal(false);
  scanText = signal("");
  advice = signal(0); // recommendations that are pending
  adviceTick = signal(0);
  who = signal(""); // the e-mail of the reader, where that is known
  mayLeave = signal(false); // somebody is signed in
  signedOut = computed(() => this.asksToSignIn.value !== null);
  takesFocus = false; // the heading of the episode that is opened next does
  #stop = new AbortController();
  #reading = new AbortController(); // of who reads: ends every request that was made for them
  #following = {}; // channel -> how to end its subscription
  #adviceBy = new Map(); // hotspot -> Map of recommendations
  #scans = 0;

  constructor() {
    this.session = new Session(async () => (await fetch("web/config.json")).json());
    this.session.onChange((another) => (another || this.signedOut.value) && this.signedIn());
    this.client = new RelayClient({ url: new URL(".", location.href), token: (spent) => this.#token(spent), maxRows: 100_000 });
    this.commands = new Commands(this.client);
    this.health = new Health();
    this.saved = new SavedViews();
    this.decisions = new Decisions((...request) => this.send(...request));
    this.hotspots = new Rows();
    this.recommendations = new Rows();
    this.list = new HotspotList(this.hotspots, this.decisions, this.view.value);
    this.insights = new Insights((path) => this.send("GET", path), () => this.session.user);
    this.series = new SeriesCache(async (ids) => sparksOf(await this.send("GET", `hotspots/sparks?ids=${ids}`), this.insights.limits.value.info));
  }

  begin() {
    document.documentElement.dataset.theme = this.view.value.theme;
    this.hotspots.subscribe((changed) => {
      for (const id of changed) this.series.outdate(id);
      this.insights.changed(changed);
    });
    this.recommendations.subscribe((changed) => this.#countAdvice(changed));
    this.client.onStatus((channel, status) => this.#status(channel, status));
    this.#follow();
    this.health.begin(this.#stop.signal);
    this.insights.choose(this.view.value.window);
    this.insights.begin(this.#stop.signal);
    setInterval(() => this.#loadSilences(), TICK_MS); // which lets time pass too
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("click", (event) => { // a menu closes when something else is chosen
      for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    }, true);
    addEventListener("popstate", () => this.#went(viewOf(location.search)));
    // A page that is kept in the browser's back-forward cache holds no connections.
    addEventListener("pagehide", () => this.client.disconnect());
    addEventListener("pageshow", (event) => event.persisted && this.#follow());
    this.#showWho();
  }

  // Begin with nothing, since whoever is let in now may see other rows than the one before.
  #follow() {
    this.client.disconnect();
    this.#forget();
    for (const [channel, rows] of Object.entries({ hotspots: this.hotspots, recommendations: this.recommendations })) {
      this.#following[channel]?.();
      this.#following[channel] = this.client.subscribe(channel, (frame) => rows.take(frame));
    }
    this.client.connect();
    this.#showWho();
  }

  // A request to the relay. Where nobody is signed in, or not any more, the page asks who it is.
  async send(method, path, body) {
    const { signal } = this.#reading;
    try {
      return await this.commands.send(method, path, body, { signal });
    } catch (error) {
      if (error.status === UNAUTHORIZED && !signal.aborted) this.#askToSignIn(error.message);
      throw error;
    }
  }

  // ---- what is shown

  // Change the view: the rows are put in order anew, and the address tells it.
  show(change) {
    const view = { ...this.view.value, ...change };
    const { episode, window, theme, ...filters } = change;
    const opens = episode != null && this.view.value.episode === null;
    const address = location.pathname + searchOf(view);
    if (opens) history.pushState({ opened: true }, "", address);
    else history.replaceState(history.state, "", address);
    this.#shown(view, Object.keys(filters).length > 0);
  }

  // Where the browser goes back from an open episode it is closed, and nothing else changes.
  #went(view) {
    const { episode, ...shown } = this.view.value;
    if (episode !== null && view.episode === null) {
      this.show({ episode: null });
      this.#focusRow(episode);
    } else this.#shown(view, searchOf({ ...view, episode: null }) !== searchOf({ ...shown, episode: null }));
  }

  #shown(view, rearrange = true) {
    this.view.value = view;
    document.documentElement.dataset.theme = view.theme;
    this.insights.choose(view.window);
    if (rearrange) {
      this.list.show(view);
      this.selection.value = new Set();
      this.current.value = null;
    }
  }

  // Go to a saved view; the address tells it from now on.
  restore(search) {
    this.show(restored(search, this.view.value));
  }

  // The view's address with this episode open.
  addressOf(id) {
    return location.pathname + searchOf({ ...this.view.value, episode: id });
  }

  takeIn() {
    this.list.show();
  }

  open(id) {
    this.current.value = id;
    this.takesFocus = true;
    this.show({ episode: id });
  }

  close() {
    if (history.state?.opened) history.back(); // `popstate` follows
    else this.#went({ ...this.view.value, episode: null });
  }

  // The next hotspot of the list, or the one before; an open episode goes along.
  step(by) {
    const ids = this.list.lines.value.filter((line) => "id" in line).map(({ id }) => id);
    if (ids.length === 0) return;
    const at = ids.indexOf(this.view.value.episode ?? this.current.value);
    const id = ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : Math.min(ids.length - 1, Math.max(0, at + by))];
    this.current.value = id;
    this.scrollTo?.(this.list.lines.value.findIndex((line) => line.id === id));
    if (this.view.value.episode !== null) {
      this.takesFocus = true;
      this.show({ episode: id });
    } else this.#focusRow(id);
  }

  #focusRow(id) {
    this.current.value = id;
    const focus = () => {
      if (this.view.value.episode !== null) return; // opened meanwhile: its heading has the focus
      document.querySelector(`[data-row="${id}"]`)?.focus({ preventScroll: true });
    };
    requestAnimationFrame(() => requestAnimationFrame(focus));
  }

  select(ids, on) {
    const selected = new Set(on === true && ids.length === 0 ? [] : this.selection.value);
    for (const id of ids) if (on) selected.add(id); else selected.delete(id);
    this.selection.value = selected;
  }

  switchTheme() {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (this.view.value.theme === "" && matchMedia("(prefers-color-scheme: dark)").matches);
    this.show({ theme: dark ? "light" : "dark" });
  }

  showHelp() {
    this.dialog.value = "help";
  }

  async openQueue(name) {
    this.dialog.value = name;
    if (name === "advice") {
      this.queue.value = { rows: this.#pending().sort(bySaving).slice(0, 200).map((row) => ({
        id: row.id, at: row.created_at, who: this.hotspots.get(row.hotspot_id)?.entity ?? `Hotspot #${row.hotspot_id}`, text: row.action, saves: saving(row), hotspot: row.hotspot_id,
      })), trouble: "" };
      return;
    }
    this.queue.value = { rows: null, trouble: "" };
    const { signal } = this.#reading;
    try {
      const rows = (await this.send("GET", name)).map(({ id, event_id: event, entity, event_type: activity, message, reason, occurred_at: at, created_at: found }) => ({
        id: id ?? event, at: at ?? found, who: `${entity}, ${activity}`, text: message ?? reason,
      }));
      this.queue.value = { rows, trouble: "" };
    } catch (error) {
      if (!signal.aborted) this.queue.value = { rows: null, trouble: error.message };
    }
  }

  adviceOf(id) {
    return [...(this.#adviceBy.get(id)?.values() ?? [])].sort(bySaving);
  }

  #pending() {
    return [...this.recommendations.values()].filter(({ status }) => status === "pending");
  }

  #countAdvice(changed) {
    const hotspots = new Set();
    for (const id of changed) {
      const row = this.recommendations.get(id);
      if (row !== undefined) hotspots.add(row.hotspot_id);
      if (row === undefined) for (const held of this.#adviceBy.values()) held.delete(id);
      else {
        if (!this.#adviceBy.has(row.hotspot_id)) this.#adviceBy.set(row.hotspot_id, new Map());
        this.#adviceBy.get(row.hotspot_id).set(id, row);
      }
    }
    this.insights.changed(hotspots); // their history
    this.advice.value = this.#pending().length;
    this.adviceTick.value += 1;
  }

  // ---- what the reader decides

  // Keys act on the selection if there is one, else on the open episode, else on the row with the focus.
  get subjects() {
    if (this.selection.value.size > 0) return [...this.selection.value];
    const id = this.view.value.episode ?? this.current.value;
    return id === null ? [] : [id];
  }

  decide(kind, ids, words) {
    const open = ids.map((id) => this.list.row(id)).filter((row) => row?.status === "active");
    if (open.length === 0) {
      if (ids.length > 0) this.decisions.last.value = { text: "Not done: what is closed cannot be decided", error: true, undo: null };
      return;
    }
    this.selection.value = new Set();
    this.decisions.decide(kind, open, words).then(() => kind === "silence" && this.#loadSilences());
  }

  // End what keeps an open hotspot's alerts back, whoever has begun it. Where that is several silences,
  // or one of more than this supplier's kind of work, it is asked which.
  async askEndOfSilence(id) {
    await this.#loadSilences(); // one may have begun since they were read
    const row = this.list.row(id);
    const silences = this.list.silencesOf(row);
    if (silences.length > 1 || !silences.every((each) => isOfKey(each, row))) this.ending.value = { id, silences };
    else this.endSilences(id, silences);
  }

  async endSilences(id, silences) {
    this.ending.value = null;
    await this.decisions.endSilences(this.list.row(id), silences);
    this.#loadSilences();
  }

  async undo() {
    await this.decisions.undo();
    this.#loadSilences();
  }

  async #loadSilences() {
    try {
      this.list.silence(await this.send("GET", "silences"));
    } catch {
      // The next time: what is silenced is only shown otherwise until then.
    }
  }

  // The form opens beside the buttons that decide: those of the selection or of the open episode.
  askSilence(ids) {
    if (ids.length === 0) return;
    if (this.selection.value.size === 0 && this.view.value.episode === null) this.select(ids, true);
    this.ending.value = null;
    this.silencing.value = ids;
  }

  async scan() {
    const mine = ++this.#scans;
    try {
      const asked = await this.send("POST", "hotspots/scan");
      // Until it has ended, or another one was asked for.
      for (let found = asked; mine === this.#scans; found = await this.send("GET", `scans/${asked.id}`)) {
        this.scanText.value = scanText(found, this.health.told);
        if (FINAL.includes(found.status)) return;
        await new Promise((resolve) => setTimeout(resolve, SCAN_MS));
      }
    } catch (error) {
      if (mine === this.#scans) this.scanText.value = error.message;
    }
  }

  // ---- who reads

  signedIn() {
    this.asksToSignIn.value = null;
    this.#follow();
  }

  async signOut() {
    const ending = this.session.signOut();
    this.#follow();
    await ending;
  }

  // Nothing that was shown or asked for is for who reads next.
  #forget() {
    this.#reading.abort(new DOMException("Signed out.", "AbortError"));
    this.#reading = new AbortController();
    this.#scans += 1;
    this.scanText.value = "";
    this.hotspots.clear();
    this.recommendations.clear();
    this.#adviceBy.clear();
    this.list.reset();
    this.series.clear();
    this.insights.clear();
    this.selection.value = new Set();
    this.silencing.value = null;
    this.ending.value = null;
    this.decisions.clear();
    this.dialog.value = null;
  }

  #showWho() {
    this.who.value = this.session.email ?? "";
    this.saved.of(this.session.user);
    this.mayLeave.value = this.session.signedIn;
  }

  // Where no token is asked for, one that is left from another relay would only be refused.
  async #token(spent) {
    if (!this.session.signedIn) return null;
    return (await this.session.config()).auth === "off" ? null : this.session.token(spent);
  }

  #status(channel, status) {
    if (channel !== "hotspots") return;
    const signedOut = status.code === CloseCode.UNAUTHORIZED && !this.session.signedIn;
    this.health.connection({ ...status, signedOut });
    this.connected.value = status.state === "open" || status.state === "syncing";
    const over = status.code === CloseCode.TOKEN_EXPIRED && !this.session.renewable;
    if (status.state === "refused" && (status.code === CloseCode.UNAUTHORIZED || over)) {
      this.#forget(); // it was for who was let in
      this.#askToSignIn(status.reason);
    }
    if (status.state === "syncing") this.#loadSilences(); // before the rows are put in order
    if (status.state === "open") {
      this.asksToSignIn.value = null;
      this.insights.refresh();
      this.#loadSilences();
    }
  }

  async #askToSignIn(reason) {
    const refused = this.session.signedIn ? `The relay refused the token: ${reason}` : "";
    let byPassword = this.asksToSignIn.value?.byPassword ?? false;
    try {
      byPassword = Boolean((await this.session.config()).publishable_key);
    } catch {
      // A token can be pasted all the same.
    }
    this.asksToSignIn.value = { reason: refused, byPassword };
  }

  // Whether a menu was open; the focus goes back to what opened it.
  #closeMenu() {
    const menu = document.querySelector("details.menu[open]");
    if (menu === null) return false;
    menu.open = false;
    menu.querySelector("summary").focus();
    return true;
  }

  // ---- keys, never while somebody types

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.signedOut.value) return;
    const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape") {
      if (this.dialog.value !== null) return;
      if (typing) typing.blur();
      else if (this.#closeMenu()) return;
      else if (this.silencing.value !== null) this.silencing.value = null;
      else if (this.ending.value !== null) this.ending.value = null;
      else if (this.view.value.episode !== null) this.close();
      else this.selection.value = new Set();
      return;
    }
    // In the form of a silence no key decides on the rows behind it.
    if (typing || this.dialog.value !== null || event.target.closest?.("form.silence")) return;
    const act = {
      j: () => this.step(1),
      k: () => this.step(-1),
      x: () => this.current.value !== null && this.select([this.current.value], !this.selection.value.has(this.current.value)),
      n: () => this.takeIn(),
      u: () => this.undo(),
      "/": () => document.getElementById("q")?.focus(),
      "?": () => this.showHelp(),
    }[event.key];
    const window = Object.keys(WINDOWS)[Number(event.key) - 1];
    const kind = Object.keys(DECISIONS).find((each) => DECISIONS[each].key === event.key);
    if (event.key === "Enter" && event.target === document.body && this.current.value !== null) this.open(this.current.value);
    else if (act) act();
    else if (event.key in ARROWS && event.target.closest?.(".grid")) this.step(ARROWS[event.key]);
    else if (window) this.show({ window });
    else if (kind === "silence") this.askSilence(this.subjects);
    else if (kind) this.decide(kind, this.subjects);
    else return;
    event.preventDefault();
  }
}

function App({ page }) {
  const counts = page.list.counts.value;
  document.title = `${counts.severities.critical > 0 ? `${counts.severities.critical} critical · ` : ""}Hotspot Relay`;
  if (page.signedOut.value) return html`<${Header} page=${page} /><${SignIn} page=${page} />`;
  const { episode } = page.view.value;
  const close = () => (page.dialog.value = null);
  const dialog = page.dialog.value;
  return html`<a class="skip" href="#list">Skip to the hotspots</a>
    <${Header} page=${page} />
    <main class="board">
      <${Overview} page=${page} />
      <${Hotspots} page=${page} />
      <aside class="side" aria-label="Context">${episode === null ? html`<${Context} page=${page} />` : html`<${Episode} key=${episode} page=${page} id=${episode} />`}</aside>
    </main>
    <nav class="tabs" aria-label="Sections"><a href="#overview">Overview</a><a href="#list">Hotspots</a><a href="#matrix">Matrix</a><a href="#contributors">Contributors</a></nav>
    <${Toast} page=${page} />
    ${dialog === "help" && html`<${Help} limits=${page.insights.limits.value} close=${close} />`}
    ${dialog === "views" && html`<${Views} page=${page} close=${close} />`}
    ${dialog !== null && dialog !== "help" && dialog !== "views" && html`<${Queue} page=${page} name=${dialog} ...${page.queue.value} close=${close} />`}`;
}

const page = new Page();
page.begin();
render(html`<${App} page=${page} />`, document.getElementById("app"));
