// What one endpoint of the client follows: a stream of this page, or one that all tabs share, and
// what is kept of it over a reload.
import { Stream } from "./stream.js";
import { SharedStream, canShare } from "./tabs.js";
import { Timer } from "./timer.js";

const SAVE_SECONDS = 2; // after the first change that is not saved yet

export class Endpoint {
  #url;
  #options;
  #tell;
  #tellStatus;
  #stream;
  #wanted = false; // between open() and close()
  #opening = null; // identifies an open() that waits for a token or the storage
  #name = null; // under which rows are kept and shared
  #saving;
  #restored = false;

  constructor(url, options, tell, tellStatus) {
    this.#url = url;
    this.#options = options;
    this.#tell = tell;
    this.#tellStatus = tellStatus;
    this.#saving = new Timer(options.timers);
    this.#stream = this.#own();
  }

  get status() {
    return this.#stream.status;
  }

  // What a subscriber that comes late has missed: the rows held and whether that is all of them.
  get held() {
    return this.#stream.rows.told(this.#stream.status);
  }

  open() {
    const prepared = this.#wanted || (this.#options.storage === null && !this.#shares);
    this.#wanted = true;
    if (!prepared) this.#prepare();
    else if (this.#opening === null) this.#stream.open();
  }

  close() {
    this.#wanted = false;
    this.#opening = null;
    this.#stream.close();
    this.save();
  }

  forget() {
    this.#stream.rows.forget();
    this.#drop();
  }

  retryNow() {
    this.#stream.retryNow();
  }

  wake() {
    if (this.#wanted) this.#stream.wake();
  }

  // Keep what is held, since the page is being left.
  save() {
    this.#saving.stop();
    const { storage } = this.#options;
    const { saved } = this.#stream.rows;
    if (storage === null || this.#name === null || saved.cursor === null) return;
    this.#keep(() => storage.set(this.#name, saved));
  }

  async tokenChanged() {
    if (!this.#wanted) return;
    if (this.#name !== null && (await this.#named().catch(() => null)) !== this.#name) {
      this.#anew(this.#url); // another user: nothing of the former one may be seen
    } else {
      this.#stream.tokenChanged();
    }
  }

  // Follow something else from now on, for instance with another filter.
  follow(url) {
    if (url !== this.#url) this.#anew(url);
  }

  #anew(url) {
    const wanted = this.#wanted;
    this.close();
    this.#url = url;
    this.#discard();
    if (wanted) this.open();
  }

  // Nothing of what was followed until now may be seen any longer.
  #discard() {
    const given = this.held.some(({ type }) => type !== "synced");
    this.#stream = this.#own();
    this.#restored = false;
    this.#name = null;
    if (given) this.#tell({ type: "reset", reason: "changed" });
  }

  get #shares() {
    return this.#options.tabs && canShare(this.#options) && this.#url !== null;
  }

  async #prepare() {
    const opening = (this.#opening = {});
    const name = await this.#named().catch(() => null); // the stream asks for the token again
    if (this.#opening !== opening) return;
    try {
      if (this.#name !== null && name !== this.#name) this.#discard(); // another user
      if (name !== null && this.#shares && name !== this.#name) this.#share(name);
      this.#name = name;
      if (name !== null && !this.#restored) await this.#restore(opening);
    } catch (error) {
      this.#options.onError(error); // it goes on without what was kept
    }
    if (this.#opening !== opening) return;
    this.#opening = null;
    this.#stream.open();
  }

  // Rows of one user are none of another's: the name tells whose they are.
  async #named() {
    const { token } = this.#options;
    const given = typeof token === "function" ? await token() : token;
    return `${this.#url} ${this.#options.ids ?? "number"} ${subjectOf(given)}`;
  }

  #own(listeners = this.#listeners()) {
    return new Stream(this.#url, this.#options, listeners);
  }

  #share(name) {
    this.#stream = new SharedStream(
      `hotspot-relay:${name}`,
      this.#options,
      (listeners) => this.#own(listeners),
      this.#listeners(),
    );
  }

  #listeners() {
    return {
      tell: (frame) => this.#tell(frame),
      tellStatus: (status) => this.#tellStatus(status),
      tellCursor: () => this.#saveSoon(),
    };
  }

  async #restore(opening) {
    const saved = await this.#options.storage?.get(this.#name);
    if (this.#opening !== opening || !saved?.cursor || !Array.isArray(saved.changes)) return;
    this.#restored = true;
    this.#stream.rows.restore(saved);
    for (const frame of this.held) this.#tell(frame);
  }

  #saveSoon() {
    if (this.#options.storage === null || this.#saving.runs) return;
    this.#saving.start(SAVE_SECONDS, () => this.save());
  }

  #drop() {
    const { storage } = this.#options;
    if (storage !== null && this.#name !== null) this.#keep(() => storage.delete(this.#name));
  }

  // A full or forbidden storage costs the rows of the next reload and nothing else.
  async #keep(act) {
    try {
      await act();
    } catch (error) {
      this.#options.onError(error);
    }
  }
}

// Whose token it is, unchecked: the relay checks it.
function subjectOf(token) {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const { sub, role } = JSON.parse(atob(payload));
    return `${role}:${sub}`;
  } catch {
    return "";
  }
}
