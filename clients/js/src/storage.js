// Where a page keeps what it holds over a reload: a cursor and the rows, by a name.
//
//   import { inSession } from "hotspot-relay-client/storage";
//   new RelayClient({ storage: inSession() });
//
// Each storage has get(name) -> value or undefined, set(name, value) and delete(name), any of them
// with a promise or without. One of the application's own may take their place.
const PREFIX = "hotspot-relay:";

// For this tab alone, some 5 MB for all that the page's origin keeps.
export function inSession(session = globalThis.sessionStorage) {
  return {
    get(name) {
      const text = session.getItem(PREFIX + name);
      return text === null ? undefined : JSON.parse(text);
    },
    set(name, value) {
      session.setItem(PREFIX + name, JSON.stringify(value));
    },
    delete(name) {
      session.removeItem(PREFIX + name);
    },
  };
}

// For all tabs of the origin, until the browser needs the room.
export function inDatabase(factory = globalThis.indexedDB) {
  let opened;
  const database = () =>
    (opened ??= new Promise((resolve, reject) => {
      const request = factory.open("hotspot-relay", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("held");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    }));
  const store = async (mode, act) => {
    const transaction = (await database()).transaction("held", mode);
    const request = act(transaction.objectStore("held"));
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  };
  return {
    get: (name) => store("readonly", (held) => held.get(name)),
    set: (name, value) => store("readwrite", (held) => held.put(value, name)),
    delete: (name) => store("readwrite", (held) => held.delete(name)),
  };
}
