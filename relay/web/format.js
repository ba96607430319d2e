// Figures, times and states in words. Pure.
const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const SIGNED = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0, signDisplay: "exceptZero" });
const TENTHS = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3, signDisplay: "exceptZero" });
const SHORT = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const HUGE = new Intl.NumberFormat("en-GB", { notation: "scientific", maximumSignificantDigits: 3, signDisplay: "auto" });
const LARGEST = 1e12; // beyond it a figure has an exponent, so that it stays in its box

const minus = (text) => text.replace("-", "−");
const figure = (value, format) => {
  if (!Number.isFinite(value)) return "–";
  return minus((Math.abs(value) >= LARGEST ? HUGE : format).format(value));
};

export const whole = (value) => figure(value, WHOLE);
const TONNES_FROM = 1e6; // kg: beyond it the digits of a kilogram say nothing

// A large amount of kg with its unit, which becomes tonnes: ["445,875", "kg"] or ["1,509", "t"].
export const amount = (kg) => (Math.abs(kg) >= TONNES_FROM ? [whole(kg / 1000), "t"] : [whole(kg), "kg"]);
// A part of that amount, in the unit of the amount.
export const partOf = (kg, all) => excess(amount(all)[1] === "t" ? kg / 1000 : kg);
export const signed = (value) => figure(value, SIGNED);
// For narrow cells: from ten thousand on rounded to three digits, so that nothing is cut off.
export const brief = (value) => (Math.abs(value) < 1e4 ? signed(value) : Math.abs(value) < LARGEST ? minus(COMPACT.format(value)) : `${value > 0 ? "+" : ""}${figure(value, HUGE)}`);
export const short = (value) => figure(value, SHORT);
export const percent = (value) => (Number.isFinite(value) ? `${figure(value, TENTHS)} %` : "–");

export function ratio(value) {
  if (!Number.isFinite(value)) return "–";
  return `×${value >= 100 ? figure(value, SHORT) : value.toFixed(2)}`;
}

// kg CO2e above or below the usual. What is less than a kilogram keeps its digits.
export function excess(kg) {
  if (!Number.isFinite(kg)) return "–";
  return Math.abs(kg) >= 10 || kg === 0 ? signed(kg) : `${kg > 0 ? "+" : ""}${short(kg)}`;
}

// What advice saves, of a span of work.
export const saves = (kg, span) => (Number.isFinite(kg) ? `−${short(kg)} kg ${span}` : "");

// The same a month where that is known, else each time.
export const saving = (row, span = "event") => saves(row.co2_reduction_month, "a month") || saves(row.co2_reduction, `each ${span}`);

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60]];

// A length of time: "6.2 d", "9 h", "40 min", "12 s".
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const [unit, length] = UNITS.find(([, size]) => seconds >= size) ?? ["s", 1];
  const value = Math.max(0, seconds) / length;
  return `${unit === "d" && value < 20 ? Math.round(value * 10) / 10 : Math.round(value)} ${unit}`;
}

export function since(time, now) {
  return duration((now - Date.parse(time)) / 1000);
}

const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const time = (value) => (typeof value === "number" ? value : Date.parse(value));
const formatted = (value, format) => (Number.isFinite(time(value)) ? format.format(time(value)) : "–");
export const date = (value) => formatted(value, DATE);
export const clock = (value) => formatted(value, CLOCK);
export const clockSeconds = (value) => formatted(value, SECONDS);
export const moment = (value) => `${date(value)} ${clock(value)}`;

// What to say about the connection to the relay, and how good that is: good, busy, bad or idle.
// `lost`: the attempt before this one failed. `signedOut`: the relay asks for a token, and nobody is
// signed in.
export function connection({ state, upstream, reason, code, retrySeconds, lost, signedOut }) {
  switch (state) {
    case "open":
      return UPSTREAM[upstream] ?? UPSTREAM.live;
    case "connecting":
      return lost ? { text: "Relay lost, trying again", tone: "bad" } : { text: "Connecting", tone: "busy" };
    case "syncing":
      return upstream === "down" ? UPSTREAM.down : { text: "Loading", tone: "busy" };
    case "waiting":
      return { text: `Relay lost, again in ${Math.ceil(retrySeconds)} s`, tone: "bad" };
    case "refused":
      if (signedOut) return { text: "Not signed in", tone: "idle" };
      return { text: `Refused: ${reason || `code ${code}`}`, tone: "bad" };
    default:
      return { text: "Disconnected", tone: "idle" };
  }
}

const UPSTREAM = {
  live: { text: "Live", tone: "good" },
  catching_up: { text: "Catching up", tone: "busy" },
  degraded: { text: "Live, delayed", tone: "busy" },
  down: { text: "Relay cut off", tone: "bad" },
};

// A worker is heard of every 20 s, and the relay and the page ask every few seconds: what is older than
// that is silent, and who is silent for a minute counts as dead.
const WORKER_LATE_SECONDS = 35;
const WORKER_DEAD_SECONDS = 60;
const MOST_COUNTED = 10_000; // the database counts no further
const MANY_WAITING = 5_000; // events: what is shown may still change a lot

// What to say about the worker from what `/readyz` told of it `seconds` ago, if nothing has happened
// since; null where that is nothing.
export function worker(told, seconds = 0) {
  if (!told) return null;
  const { age_seconds: heard, last_scan_seconds: scanned, pending } = told;
  const waiting = `${whole(pending ?? 0)}${pending === MOST_COUNTED ? " or more" : ""}`;
  const queue = `queue ${waiting}`;
  if (heard === null) return { text: "No worker", detail: queue, tone: "bad" };
  const age = heard + seconds;
  if (age > WORKER_LATE_SECONDS) {
    const tone = age > WORKER_DEAD_SECONDS ? "bad" : "busy";
    return { text: "Worker silent", detail: `for ${duration(age)} · ${queue}`, tone };
  }
  if (scanned === null) return { text: "Worker", detail: `at its first scan · ${queue}`, tone: "busy" };
  if (pending >= MANY_WAITING) return { text: "Worker", detail: `judging, ${waiting} events wait`, tone: "busy" };
  return { text: "Worker", detail: `scan ${duration(scanned + seconds)} ago · ${queue}`, tone: "good" };
}

// What to say about a scan that was asked for.
export function scan({ id, status, counts, error }, told) {
  switch (status) {
    case "queued":
      return `Scan ${id} is queued${worker(told)?.tone === "bad" ? ", but no worker is running" : ""}`;
    case "running":
      return `Scan ${id} is running`;
    case "done":
      return `Scan ${id} is done${counts?.events === undefined ? "" : `: ${counted(counts)}`}`;
    default:
      return `Scan ${id} failed${error ? `: ${error}` : ""}`;
  }
}

function counted({ events, quarantined, country_assumed: worldwide }) {
  const parts = [`${whole(events)} event${events === 1 ? "" : "s"}`];
  if (quarantined) parts.push(`${whole(quarantined)} implausible, in quarantine`);
  if (worldwide) parts.push(`${whole(worldwide)} by the world's average electricity, their country is not known`);
  return parts.join("; ");
}

export const sentence = (words) => words.replace(/^./, (first) => first.toUpperCase());

// A sentence with figures, whose signs stay on the line of their figure: "± 6 %", "12 kg".
export const prose = (text) => text.replace(/± (?=\d)/g, "±\u00a0").replace(/(\d) (?=%|kg\b|t\b|kWh\b)/g, "$1\u00a0");
