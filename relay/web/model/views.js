// Named views: filters, sort, grouping and window under a name, kept in this browser for one user. The
// address is what counts: a saved view is one that can be gone back to.
import { signal } from "../dom.js";
import { storage as browserStorage } from "../storage.js";
import { searchOf, viewOf } from "./address.js";

export const MOST = 50;
const MOST_LETTERS = 60;

export class SavedViews {
  all = signal([]); // { name, search }, by name
  #storage;
  #key = null;

  constructor(storage = browserStorage()) {
    this.#storage = storage;
  }

  // Those of this user from now on.
  of(user) {
    this.#key = `relay.views.${user ?? ""}`;
    this.all.value = this.#read();
  }

  // Keep the view under that name, instead of one that has it; false where there are MOST already.
  save(name, view) {
    const called = name.trim().slice(0, MOST_LETTERS);
    if (called === "") return true;
    const search = searchOf({ ...view, episode: null, theme: "" });
    const others = this.#read().filter((each) => each.name !== called);
    if (others.length >= MOST) return false;
    this.#write([...others, { name: called, search }].sort((a, b) => a.name.localeCompare(b.name)));
    return true;
  }

  drop(name) {
    this.#write(this.#read().filter((each) => each.name !== name));
  }

  // What another tab has saved counts too, and what is no list of views is none.
  #read() {
    try {
      const found = JSON.parse(this.#storage.getItem(this.#key) ?? "[]");
      return found.filter(({ name, search }) => typeof name === "string" && typeof search === "string");
    } catch {
      return [];
    }
  }

  #write(views) {
    this.#storage.setItem(this.#key, JSON.stringify(views));
    this.all.value = views;
  }
}

// A saved view, with the episode and the theme that are shown now.
export function restored(search, { episode, theme }) {
  return { ...viewOf(search), episode, theme };
}
