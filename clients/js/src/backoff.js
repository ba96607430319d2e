// Milliseconds to wait before the attempt-th try, counted from 0. Full jitter, so that clients
// which lost the same server do not come back together. Pure: the caller owns the timer.
export function delay(attempt, { first = 500, cap = 30_000, random = Math.random } = {}) {
  return random() * Math.min(cap, first * 2 ** attempt);
}
