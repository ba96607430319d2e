// The rows that a list shows: the newest, at most `limit`, open ones kept before others; and how
// many are open, shown or not.
export class Newest {
  #rows = new Map();
  #open = new Set(); // ids
  #limit;
  #isOpen;

  constructor(limit, isOpen) {
    this.#limit = limit;
    this.#isOpen = isOpen;
  }

  set(row) {
    this.#rows.set(row.id, row);
    if (this.#isOpen(row)) this.#open.add(row.id);
    else this.#open.delete(row.id);
    if (this.#rows.size > this.#limit) this.#rows.delete(this.#leastWorth());
  }

  delete(id) {
    this.#rows.delete(id);
    this.#open.delete(id);
  }

  clear() {
    this.#rows.clear();
    this.#open.clear();
  }

  get(id) {
    return this.#rows.get(id);
  }

  get openCount() {
    return this.#open.size;
  }

  // Newest first: ids grow with time.
  inOrder() {
    return [...this.#rows.values()].sort((a, b) => b.id - a.id);
  }

  #leastWorth() {
    const rows = this.inOrder().reverse();
    return (rows.find((row) => !this.#isOpen(row)) ?? rows[0]).id;
  }
}
