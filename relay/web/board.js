// The list of one channel: takes the client's frames, draws at most once per animation frame.
import { hasRecord, idOf } from "./client.js";
import { showAge } from "./cards.js";
import { connection } from "./format.js";
import { Newest } from "./newest.js";

const SHOWN = 200;

export class Board {
  #rows;
  #newCard;
  #cards = new Map();
  #changed = new Set();
  #scheduled = false;
  #synced = false;
  #list;
  #pill;
  #retryAt = null; // when the next attempt is, while one is waited for
  #status = null;
  #empty;
  #counts;

  // `newCard` makes the card of a row.
  constructor(channel, newCard, isOpen) {
    const section = document.getElementById(channel);
    this.#rows = new Newest(SHOWN, isOpen);
    this.#newCard = newCard;
    this.#list = section.querySelector(".cards");
    this.#pill = section.querySelector(".pill");
    this.#empty = section.querySelector(".empty");
    this.#counts = document.querySelectorAll(`[data-count="${channel}"]`);
  }

  take(frame) {
    if (frame.type === "reset") {
      this.#rows.clear();
      this.#synced = false;
    } else if (frame.type === "synced") {
      this.#synced = true;
    } else if (hasRecord(frame)) {
      this.#rows.set(frame.record);
      this.#changed.add(frame.record.id);
    } else {
      this.#rows.delete(idOf(frame));
    }
    this.#schedule();
  }

  show(status) {
    this.#status = status;
    const waits = status.state === "waiting";
    this.#retryAt = waits ? performance.now() + 1000 * status.retrySeconds : null;
    this.#showPill(status);
  }

  showCountdown() {
    if (this.#retryAt === null) return;
    const retrySeconds = Math.max(0, (this.#retryAt - performance.now()) / 1000);
    this.#showPill({ ...this.#status, retrySeconds });
  }

  // What to say where there is nothing to list.
  showNothingAs(text) {
    if (this.#empty.textContent !== text) this.#empty.textContent = text;
  }

  #showPill(status) {
    const { text, tone } = connection(status);
    this.#pill.dataset.tone = tone;
    if (this.#pill.textContent !== text) this.#pill.textContent = text;
  }

  showAges() {
    this.#list.querySelectorAll("time").forEach(showAge);
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    const rows = this.#rows.inOrder();
    this.#drop(new Set(rows.map((row) => row.id)));
    let place = this.#list.firstElementChild;
    for (const row of rows) {
      const element = this.#card(row).element;
      if (element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(element, place);
    }
    this.#changed.clear();
    this.#empty.hidden = !this.#synced || rows.length > 0;
    for (const count of this.#counts) count.textContent = this.#rows.openCount;
  }

  #drop(kept) {
    for (const [id, card] of this.#cards) {
      if (kept.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
  }

  #card(row) {
    let card = this.#cards.get(row.id);
    if (card === undefined) {
      card = this.#newCard(row);
      this.#cards.set(row.id, card);
      this.#changed.add(row.id);
    }
    if (this.#changed.has(row.id)) {
      card.update(row);
      if (this.#synced) flash(card.element);
    }
    return card;
  }
}

function flash(element) {
  element.classList.remove("changed");
  requestAnimationFrame(() => element.classList.add("changed"));
}
