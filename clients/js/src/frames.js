// The frames of a subscription as an async iterator. What is not taken yet is kept as the newest
// change of each row, so that it stays as small as the rows themselves.
import { keyOf } from "./rows.js";

// `subscribe(take)` begins, at the first next(), and returns what ends it.
export async function* frames(subscribe, signal) {
  const pending = new Map();
  let wake;
  const stop = subscribe((frame) => {
    if (frame.type === "reset") pending.clear();
    // A row keeps its place, before a `synced` that counts on it.
    if (frame.type === "synced") pending.delete(frame.type);
    pending.set(frame.table ? keyOf(frame) : frame.type, frame);
    wake?.();
  });
  const ended = () => wake?.();
  signal?.addEventListener("abort", ended);
  try {
    while (!signal?.aborted) {
      const [first] = pending;
      if (first) {
        pending.delete(first[0]);
        yield first[1];
      } else {
        await new Promise((resolve) => (wake = resolve));
      }
    }
  } finally {
    stop();
    signal?.removeEventListener("abort", ended);
  }
}
