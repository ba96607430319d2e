// Decisions of the reader: sent to the relay, shown at once, taken back for a minute, and undone here
// where the relay refuses.
import { signal } from "../dom.js";
import { breadthOf } from "./hotspots.js";

const UNDO_MS = 60_000;
const MOST_AT_ONCE = 500; // ids that the relay takes
const MOST_SILENCES = 100;
const CONFIRMED_MS = 15_000; // time for a decision to come back through the stream

// What each decision is called here and by the relay, its key, and what the row looks like once it is
// made at a time.
export const DECISIONS = Object.freeze({
  acknowledge: { name: "Acknowledge", done: "Acknowledged", key: "a", says: "acknowledged", patch: (at) => ({ acknowledged_at: at }) },
  resolve: { name: "Resolve", done: "Resolved", key: "r", says: "resolved", patch: () => ({ status: "resolved" }) },
  silence: { name: "Silence", done: "Silenced", key: "s", patch: (_, { until }) => ({ silenced_until: until }) },
  ignore: { name: "Ignore until it is over", done: "Ignored", says: "ignored", patch: () => ({ status: "ignored" }) },
  accept: { name: "Accept as the new normal", done: "Accepted as the new normal", says: "accepted", patch: () => ({ status: "resolved", resolution: "new_normal" }) },
  reject: { name: "This is not normal", done: "Held as not normal", says: "rejected", patch: () => ({ held: true }) },
});

export class Decisions {
  last = signal(null); // { text, error, undo, until } of the newest decision
  #send;
  #now;
  #patches = new Map(); // id -> { patch, until, made }
  #listeners = new Set();
  #newest = null; // settles once the newest decision is answered
  #reader = 0; // rises with each that signs in

  // `send(method, path, body)` resolves to the relay's answer.
  constructor(send, now = Date.now) {
    this.#send = send;
    this.#now = now;
  }

  // The row as decided here. Once the stream tells the same, that is what counts.
  of(row) {
    const held = this.#patches.get(row.id);
    if (held === undefined) return row;
    if (this.#now() > held.until || Object.keys(held.patch).every((name) => same(row[name], held.patch[name]))) {
      this.#patches.delete(row.id);
      return row;
    }
    if (held.made?.from !== row) held.made = { from: row, row: { ...row, ...held.patch } };
    return held.made.row;
  }

  subscribe(listener) {
    this.#listeners.add(listener);
  }

  // Decide on rows; throws nothing: what is refused is told by `last`.
  async decide(kind, rows, words = {}) {
    const { name, done, patch } = DECISIONS[kind];
    const ids = rows.map(({ id }) => id);
    const subject = rows.length === 1 ? rows[0].entity : `${rows.length} hotspots`;
    this.#show(ids, patch(new Date(this.#now()).toISOString(), words));
    await this.#make(`${name}: ${subject}…`, async () => {
      try {
        const { undo, refused } = await (kind === "silence" ? this.#silence(rows, words) : this.#say(kind, ids));
        this.#hide(refused.map(({ id }) => id));
        const why = refused.length > 0 ? `; not ${refused.length}: ${refused[0].reason}` : "";
        const text = refused.length === ids.length ? `Not done: ${refused[0].reason}` : `${done}: ${subject}${why}`;
        return { text, error: refused.length > 0, undo: undo.ids.length > 0 ? { ...undo, rows: ids, subject } : null };
      } catch (error) {
        this.#hide(ids);
        return { text: `Not done: ${error.message}`, error: true, undo: null };
      }
    });
  }

  // Approve or reject a recommendation; throws what the relay says against it.
  async advise(verb, { id, action }) {
    const [name, done] = verb === "approve" ? ["Approve", "Approved"] : ["Reject", "Rejected"];
    let refusal = null;
    await this.#make(`${name}: ${action}…`, async () => {
      try {
        await this.#send("POST", `recommendations/${id}/${verb}`);
        return { text: `${done}: ${action}`, error: false, undo: { kind: "recommendation", ids: [id], rows: [], subject: action } };
      } catch (error) {
        refusal = error;
        return { text: `Not done: ${error.message}`, error: true, undo: null };
      }
    });
    if (refusal !== null) throw refusal;
  }

  // End some of the silences that match the row.
  async endSilences(row, silences) {
    await this.#make(`End silence: ${row.entity}…`, async () => {
      if (silences.length === 0) return { text: `Not done: no silence of ${row.entity} is in force`, error: true, undo: null };
      const ended = [];
      let trouble = "";
      try {
        for (const silence of silences) {
          await this.#send("POST", `silences/${silence.id}/end`);
          ended.push(breadthOf(silence));
        }
      } catch (error) {
        trouble = `Not done: ${error.message}`;
      }
      if (ended.length > 0) this.#hide([row.id]);
      const done = ended.length > 0 ? `Silence ended: ${ended.join("; ")}` : "";
      return { text: [done, trouble].filter(Boolean).join(". "), error: trouble !== "", undo: null };
    });
  }

  // Take the newest decision back, within a minute; one that is still on its way is waited for.
  async undo() {
    await this.#newest;
    const { undo, until } = this.last.value ?? {};
    if (!undo || this.#now() > until) return;
    await this.#make("Undoing…", async () => {
      try {
        const { refused } = await this.#inParts(undo.ids, (ids) => this.#send("POST", "undo", { kind: undo.kind, ids }));
        this.#hide(undo.rows);
        const failed = refused.length > 0;
        return { text: failed ? `Not undone: ${refused[0].reason}` : `Undone: ${undo.subject}`, error: failed, undo: null };
      } catch (error) {
        return { text: `Not undone: ${error.message}`, error: true, undo: null };
      }
    });
  }

  // Forget everything: somebody else signs in. What is still answered is for nobody.
  clear() {
    this.#patches.clear();
    this.#newest = null;
    this.#reader += 1;
    this.last.value = null;
  }

  // Answers arrive in any order; what is undone is what was decided last. An earlier decision that
  // fails is told all the same.
  async #make(pending, answer) {
    this.last.value = { text: pending, error: false, undo: null };
    const made = answer();
    this.#newest = made;
    const reader = this.#reader;
    const outcome = await made;
    if (reader !== this.#reader) return;
    if (this.#newest === made) this.last.value = { ...outcome, until: this.#now() + UNDO_MS };
    else if (outcome.error) this.last.value = { ...this.last.value, text: outcome.text, error: true };
  }

  async #say(kind, ids) {
    const { done, refused } = await this.#inParts(ids, (part) => this.#send("POST", "hotspots/decide", { ids: part, decision: DECISIONS[kind].says }));
    return { undo: { kind: "hotspot", ids: done }, refused };
  }

  // What the relay answers to as many as it takes at once, together; where it fails the rest is refused.
  async #inParts(ids, send) {
    const all = { done: [], refused: [] };
    for (let from = 0; from < ids.length; from += MOST_AT_ONCE) {
      try {
        const { done, refused } = await send(ids.slice(from, from + MOST_AT_ONCE));
        all.done.push(...(done ?? []));
        all.refused.push(...refused);
      } catch (error) {
        all.refused.push(...ids.slice(from).map((id) => ({ id, reason: error.message })));
        break;
      }
    }
    return all;
  }

  // A silence is of a supplier's kind of work, so that it holds for what comes after this episode too.
  async #silence(rows, { until, why }) {
    const keys = new Map(rows.map(({ entity, event_type }) => [`${entity}\n${event_type}`, { entity, event_type }]));
    if (keys.size > MOST_SILENCES) throw new Error(`that would be ${keys.size} silences, one for each supplier and kind of work, and ${MOST_SILENCES} can be made at once`);
    const made = [];
    const refused = [];
    for (const key of keys.values()) {
      try {
        made.push((await this.#send("POST", "silences", { ...key, until, why })).id);
      } catch (error) {
        const its = rows.filter(({ entity, event_type }) => entity === key.entity && event_type === key.event_type);
        refused.push(...its.map(({ id }) => ({ id, reason: error.message })));
      }
    }
    return { undo: { kind: "silence", ids: made }, refused };
  }

  #show(ids, patch) {
    for (const id of ids) this.#patches.set(id, { patch, until: this.#now() + CONFIRMED_MS, made: null });
    this.#tell(ids);
  }

  #hide(ids) {
    for (const id of ids) this.#patches.delete(id);
    this.#tell(ids);
  }

  #tell(ids) {
    for (const listener of this.#listeners) listener(ids);
  }
}

// A time counts as told when any is: the database writes its own.
function same(told, patched) {
  return told === patched || (typeof patched === "string" && told != null && Number.isFinite(Date.parse(patched)) && Number.isFinite(Date.parse(told)));
}
