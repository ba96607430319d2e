// Figures, times and connection states in words. Pure.
const TENTHS = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
const NUMBER = new Intl.NumberFormat("en", TENTHS);
const SIGNED = new Intl.NumberFormat("en", { ...TENTHS, signDisplay: "exceptZero" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
const EXACT = new Intl.RelativeTimeFormat("en", { numeric: "always" });

export function kilograms(value) {
  return Number.isFinite(value) ? `${NUMBER.format(value)} kg CO₂` : "unknown";
}

export function percent(value) {
  return Number.isFinite(value) ? `${SIGNED.format(value)} %` : "unknown";
}

// How long ago a time in ISO 8601 is, seen from `now` in milliseconds.
export function ago(time, now) {
  return secondsAgo((now - Date.parse(time)) / 1000);
}

function secondsAgo(seconds) {
  if (Number.isNaN(seconds)) return "";
  const [unit, length] = UNITS.find(([, size]) => seconds >= size) ?? [];
  return unit ? AGO.format(-Math.floor(seconds / length), unit) : "just now";
}

// What to say about a channel, and how good that is: good, busy, bad or idle.
// `signedOut`: the relay asks for a token, and nobody is signed in.
export function connection({ state, upstream, reason, code, retrySeconds, signedOut }) {
  switch (state) {
    case "open":
      return UPSTREAM[upstream] ?? UPSTREAM.live;
    case "connecting":
      return { text: "Connecting", tone: "busy" };
    case "syncing":
      return upstream === "down" ? UPSTREAM.down : { text: "Loading", tone: "busy" };
    case "waiting":
      return { text: `Lost, again in ${Math.ceil(retrySeconds)} s`, tone: "bad" };
    case "refused":
      if (signedOut) return { text: "Not signed in", tone: "idle" };
      return { text: `Refused: ${reason || `code ${code}`}`, tone: "bad" };
    default:
      return { text: "Disconnected", tone: "idle" };
  }
}

// A worker is heard of every 20 s, the relay asks every 5 s, and the page the relay as often: what is
// older than that is silent, and who is silent for a minute counts as dead.
const WORKER_LATE_SECONDS = 35;
const WORKER_DEAD_SECONDS = 60;
const MOST_COUNTED = 10_000; // the database counts no further

// What `/readyz` told of the worker so many seconds ago, as it is now if nothing has happened since.
export function later(told, seconds) {
  if (!told) return null;
  const older = (age) => (age === null ? null : age + seconds);
  return {
    ...told,
    age_seconds: older(told.age_seconds),
    last_scan_seconds: older(told.last_scan_seconds),
    oldest_pending_seconds: older(told.oldest_pending_seconds),
  };
}

// What to say about the worker, from what is known of it; null where that is nothing.
export function worker(told) {
  if (!told) return null;
  const { age_seconds: age, last_scan_seconds: scanned, pending } = told;
  const queue = pending ? `, ${pending}${pending === MOST_COUNTED ? " or more" : ""} waiting` : "";
  if (age === null) return { text: `No worker${queue}`, tone: "bad" };
  if (age > WORKER_DEAD_SECONDS) {
    return { text: `Worker last heard of ${exactly(age)}${queue}`, tone: "bad" };
  }
  if (age > WORKER_LATE_SECONDS) {
    return { text: `Worker silent for ${Math.floor(age)} seconds${queue}`, tone: "busy" };
  }
  if (scanned === null) return { text: `Worker at its first scan${queue}`, tone: "busy" };
  return { text: `Worker scanned ${exactly(scanned)}${queue}`, tone: "good" };
}

// As `ago`, with the seconds: by them one sees that a figure is alive.
function exactly(seconds) {
  return seconds < 60 ? EXACT.format(-Math.floor(seconds), "second") : secondsAgo(seconds);
}

// What to say where no hotspot is open, from the same: only a worker that lives makes that good news.
export function nothing(told) {
  if (!told) return "No hotspots.";
  const { tone } = worker(told);
  if (tone === "bad") return "No hotspots, but no worker is running that would find one.";
  if (tone === "busy" || told.pending > 0) return "No hotspots so far.";
  return "No hotspots. Every supplier is at its usual level.";
}

// What to say about a scan that was asked for.
export function scan({ id, status, counts, error }, told) {
  switch (status) {
    case "queued": {
      const waits = worker(told)?.tone === "bad" ? ", but no worker is running" : "";
      return `Scan ${id} is queued${waits}`;
    }
    case "running":
      return `Scan ${id} is running`;
    case "done":
      return `Scan ${id} is done${counts?.events === undefined ? "" : `: ${counted(counts)}`}`;
    default:
      return `Scan ${id} failed${error ? `: ${error}` : ""}`;
  }
}

function counted({ events, quarantined, country_assumed: worldwide }) {
  const parts = [amount(events, "event")];
  if (quarantined) parts.push(`${quarantined} implausible, in quarantine`);
  if (worldwide) parts.push(`${worldwide} by the world's average electricity, their country is not known`);
  return parts.join("; ");
}

function amount(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const UPSTREAM = {
  live: { text: "Live", tone: "good" },
  catching_up: { text: "Catching up", tone: "busy" },
  degraded: { text: "Live, delayed", tone: "busy" },
  down: { text: "Relay cut off", tone: "bad" },
};
