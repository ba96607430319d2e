// The three tables by supabase-js alone, without a relay: Realtime for speed, `changes_since` for truth.
//
// Realtime delivers at most once and does not say when it loses something, so the stream is only a hint here: what it
// brings is shown at once, and the database is asked for all changes since its last answer when the stream begins
// (`system`, not SUBSCRIBED, which comes seconds too early), when a message cannot be used as it is, when the page or
// the network comes back, and every PERIOD_MS in any case.
const TABLES = ["hotspots", "alerts", "recommendations"]; // `t` is 1, 2, 3 in changes_since
const PERIOD_MS = 30_000;
const RETRY_MS = 3_000;
const PAGE = 500;

// `changed(table, id, record)` is called with each new state of a row, null when it is gone; `told(state)` with
// "connecting", "live", "behind" (the database cannot be asked just now) or an error of the server in words.
// Returns what ends it.
export function follow(supabase, { changed, told = () => {} }) {
  const versions = new Map(); // of each row, deletions included: `${table}:${id}` -> version
  const columns = new Map(); // how many a whole row of a table has
  let since = null;
  let epoch = null;
  let channel = null;
  let ended = false;
  let reading = null;
  let again = false;
  let retry;

  function take(table, id, version, record) {
    const key = `${table}:${id}`;
    if (version <= (versions.get(key) ?? 0)) return;
    versions.set(key, version);
    changed(table, id, record);
  }

  // One reading at a time; who asks meanwhile gets another one after it.
  function catchUp() {
    again = true;
    reading ??= readAll().finally(() => (reading = null));
    return reading;
  }

  async function readAll() {
    while (again && !ended) {
      again = false;
      try {
        await read();
        told(channel?.state === "joined" ? "live" : "connecting");
      } catch (error) {
        told(`behind: ${error.message}`);
        setTimeout(catchUp, RETRY_MS);
        return;
      }
    }
  }

  async function read() {
    let place = {};
    for (let more = true; more && !ended; ) {
      const { data, error } = await supabase.rpc("changes_since", { since, epoch, page: PAGE, ...place });
      if (error) throw new Error(error.message);
      if (data.reset) {
        // The database has another history, or the last answer is too old: everything anew.
        for (const key of versions.keys()) changed(...split(key), null);
        versions.clear();
        [since, epoch, place] = [null, null, {}];
        continue;
      }
      for (const { t, id, deleted_version, record } of data.rows) {
        take(TABLES[t - 1], id, deleted_version ?? record.version, record);
      }
      more = data.more;
      epoch = data.epoch;
      const last = data.rows.at(-1);
      if (more) place = { upto: data.upto, after_tx: last.tx, after_t: last.t, after_id: last.id };
      else since = data.snapshot;
    }
  }

  function receive({ eventType, table, new: row, errors }) {
    // A deletion comes without its version, a large row without its columns, an unchanged large column not at all.
    if (eventType === "DELETE" || errors?.length || isPartial(table, row)) catchUp();
    else take(table, row.id, row.version, row);
  }

  // Whether Realtime has left out columns that other rows of the table have.
  function isPartial(table, row) {
    const count = Object.keys(row).length;
    const known = columns.get(table) ?? 0;
    columns.set(table, Math.max(known, count));
    return row.version === undefined || count < known;
  }

  function subscribe() {
    if (ended) return;
    const mine = (channel = supabase.channel("hotspot-view"));
    for (const table of TABLES) mine.on("postgres_changes", { event: "*", schema: "public", table }, receive);
    mine.on("system", {}, ({ extension, status, message }) => {
      if (mine !== channel) return;
      if (extension === "postgres_changes" && status === "ok") catchUp();
      else if (status === "error") joinAgain(message);
    });
    mine.subscribe((status, error) => {
      if (mine !== channel || status === "SUBSCRIBED") return;
      joinAgain(error?.message ?? status);
    });
  }

  // A channel that failed is left and joined again: it does not heal by itself.
  async function joinAgain(why) {
    told(why);
    const failed = channel;
    channel = null;
    await supabase.removeChannel(failed);
    clearTimeout(retry);
    retry = setTimeout(subscribe, RETRY_MS);
  }

  const woken = () => globalThis.document?.visibilityState !== "hidden" && catchUp();
  const period = setInterval(catchUp, PERIOD_MS);
  globalThis.addEventListener?.("online", woken);
  globalThis.document?.addEventListener("visibilitychange", woken);
  told("connecting");
  subscribe();

  return async () => {
    ended = true;
    clearInterval(period);
    clearTimeout(retry);
    globalThis.removeEventListener?.("online", woken);
    globalThis.document?.removeEventListener("visibilitychange", woken);
    if (channel !== null) await supabase.removeChannel(channel);
  };
}

function split(key) {
  const [table, id] = key.split(":");
  return [table, Number(id)];
}
