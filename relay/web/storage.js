// Storage of this browser, or of this tab's memory where the browser blocks it.
export function storage() {
  try {
    globalThis.localStorage.getItem("");
    return globalThis.localStorage;
  } catch {
    const kept = new Map();
    return {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, String(value)),
      removeItem: (key) => kept.delete(key),
    };
  }
}
