// Hooks for React 18 and newer.
import { useMemo, useSyncExternalStore } from "react";
import { storeOf } from "./store.js";

// The rows of a channel, whether they are all there, and the state of the connection; renders
// again at each change. However many components use it, and under StrictMode, there is one socket.
// `filter` and `compare` select and sort; keep them stable (outside of the component, or memoised).
export function useRows(client, channel, { filter, compare } = {}) {
  const store = storeOf(client, channel);
  const held = useSyncExternalStore(store.subscribe, store.getSnapshot, store.getServerSnapshot);
  return useMemo(() => {
    if (!filter && !compare) return held;
    const rows = filter ? held.rows.filter(filter) : [...held.rows];
    return { ...held, rows: compare ? rows.sort(compare) : rows };
  }, [held, filter, compare]);
}
