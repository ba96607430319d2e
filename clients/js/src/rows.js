// The newest change of each row that an endpoint has told, so that none is handed on twice, and the
// cursor from which the relay goes on.
//
// Versions alone order the changes of a row, deletions included: a row may be put back under its
// id. The number of rows is bounded: beyond `limit` those that have not changed for the longest are
// forgotten, which only means that the relay may tell them again.
export class Rows {
  #changes = new Map();
  #limit;
  cursor = null; // null without one; everything that it covers is held

  constructor(limit) {
    this.#limit = limit;
  }

  // What another page needs to go on from here.
  get saved() {
    return { cursor: this.cursor, changes: this.all() };
  }

  // Go on from what another page, or this one before a reload, has saved.
  restore({ cursor, changes }) {
    this.cursor = cursor;
    for (const change of changes) this.take(change);
  }

  // Whether the change is news; what is not newer than the change held is not. Its type becomes
  // INSERT if the row is not held, else UPDATE: the relay sends everybody the same and cannot know.
  take(change) {
    const key = keyOf(change);
    const held = this.#changes.get(key);
    if (held !== undefined && change.version <= held.version) return false;
    if (hasRecord(change)) tellAs(change, held !== undefined && hasRecord(held));
    this.#changes.delete(key); // a Map keeps the place of the first insertion
    this.#changes.set(key, change);
    if (this.#changes.size > this.#limit) this.#changes.delete(this.#changes.keys().next().value);
    return true;
  }

  // Forget one row, whatever its version.
  drop(change) {
    this.#changes.delete(keyOf(change));
  }

  // The rows that still exist and match as insertions, the longest unchanged first.
  present() {
    return this.all().filter(hasRecord).map((change) => tellAs({ ...change }, false));
  }

  // What a subscriber that comes late has to be told of a stream with this status.
  told({ state, complete }) {
    return state === "open" ? [...this.present(), { type: "synced", complete }] : this.present();
  }

  // The newest change of each row, deletions and leaves included, the longest unchanged first.
  all() {
    return [...this.#changes.values()];
  }

  get size() {
    return this.#changes.size;
  }

  // Start from the beginning.
  forget() {
    this.#changes.clear();
    this.cursor = null;
  }
}

function tellAs(change, held) {
  change.type = held ? "UPDATE" : "INSERT";
  change.old_record = held ? { id: change.record.id } : null;
  return change;
}

export function keyOf(change) {
  return `${change.table}:${idOf(change)}`;
}

// The id of the row that a change is about, whatever its type.
export function idOf(change) {
  return change.record?.id ?? change.old_record?.id ?? change.id;
}

// Whether the change carries the row: an insertion or an update.
export function hasRecord(change) {
  return change.type === "INSERT" || change.type === "UPDATE";
}

// Whether a parsed frame of a change type has what every change must have. An id beyond 2^53 is no
// safe number: two of them could be one.
export function isChange(frame) {
  if (typeof frame.table !== "string" || !Number.isInteger(frame.version)) return false;
  const id = idOf(frame);
  if (!Number.isSafeInteger(id) && typeof id !== "string") return false;
  return !hasRecord(frame) || frame.record?.id !== undefined;
}
