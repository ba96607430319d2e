// The buttons that decide on one hotspot or a selection, the form of a silence, and what came of it.
import { html, useState, useRef, useEffect } from "../dom.js";
import { DECISIONS } from "../model/decisions.js";
import { breadthOf } from "../model/hotspots.js";
import * as format from "../format.js";

const HOURS = { "1 hour": 1, "8 hours": 8, "1 day": 24, "3 days": 72, "1 week": 168, "4 weeks": 672 };
const TOAST_MS = { told: 10_000, undoable: 30_000 };

// For hotspots that are open. `main` is the button that stands out.
export function Decisions({ page, ids, main = null }) {
  const asks = page.silencing.value;
  const here = asks !== null && asks.every((id) => ids.includes(id));
  const button = (kind) => html`<button type="button" key=${kind} class=${`btn ${kind === main ? "main" : ""}`}
    onClick=${() => (kind === "silence" ? page.askSilence(ids) : page.decide(kind, ids))}>${DECISIONS[kind].name}${DECISIONS[kind].key && html` <kbd>${DECISIONS[kind].key}</kbd>`}</button>`;
  return html`${["acknowledge", "resolve", "silence"].map(button)}
    <details class="menu more"><summary class="btn">More</summary>
      <div class="pop up">${["ignore", "accept", "reject"].map((kind) => html`<button type="button" key=${kind}
        onClick=${(event) => { event.currentTarget.closest("details").open = false; page.decide(kind, ids); }}>${DECISIONS[kind].name}</button>`)}</div></details>
    ${here && html`<${Silence} page=${page} ids=${ids} />`}`;
}

// A silence needs a reason and an end.
function Silence({ page, ids }) {
  const [refused, refuse] = useState("");
  const first = useRef(null);
  const why = useRef(null);
  useEffect(() => first.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const reason = given.get("reason").trim();
    if (reason === "") {
      why.current.focus();
      return refuse("Say why, for those who read it later.");
    }
    const until = new Date(Date.now() + HOURS[given.get("for")] * 3_600_000).toISOString();
    page.silencing.value = null;
    return page.decide("silence", ids, { until, why: reason });
  };
  return html`<form class="silence" onSubmit=${submit} aria-label="Silence" onKeyDown=${(event) => { if (event.key === "Escape") { event.stopPropagation(); page.silencing.value = null; } }}>
    <label>For<select name="for" ref=${first}>${Object.keys(HOURS).map((name) => html`<option key=${name} selected=${name === "1 day"}>${name}</option>`)}</select></label>
    <label>Why (needed)<input name="reason" ref=${why} maxlength="500" autocomplete="off" placeholder="such as: service booked for Friday" /></label>
    <p class="row"><span class="error" role="alert">${refused}</span>
      <button type="button" class="btn" onClick=${() => (page.silencing.value = null)}>Cancel</button><button class="btn main">Silence</button></p>
  </form>`;
}

// Ends what keeps a hotspot's alerts back; what that is, and of how much more, is said before.
export function EndSilence({ page, id }) {
  const asked = page.ending.value;
  return html`<button type="button" class="btn" onClick=${() => page.askEndOfSilence(id)}>End silence</button>
    ${asked?.id === id && html`<${WhichSilence} page=${page} id=${id} silences=${asked.silences} />`}`;
}

function WhichSilence({ page, id, silences }) {
  const cancel = useRef(null);
  useEffect(() => cancel.current.focus(), []);
  const end = (some) => page.endSilences(id, some);
  const several = silences.length > 1;
  const open = (silence) => {
    const count = page.list.silencedBy(silence);
    return `${format.whole(count)} open hotspot${count === 1 ? "" : "s"}`;
  };
  return html`<form class="silence" aria-label="End silence" onSubmit=${(event) => event.preventDefault()}>
    <p>${several ? `${silences.length} silences keep these alerts back:` : "This silence keeps back more than this hotspot:"}</p>
    <ul>${silences.map((each) => html`<li key=${each.id}><div><b><bdi>${breadthOf(each)}</bdi></b>
        <span class="dim">${open(each)}, until ${format.moment(each.until)}</span>
        <span class="dim"><bdi>${each.why}</bdi></span></div>
      <button type="button" class="btn" onClick=${() => end([each])}>End this one</button></li>`)}</ul>
    <p class="row"><button type="button" class="btn" ref=${cancel} onClick=${() => (page.ending.value = null)}>Cancel</button>
      ${several && html`<button type="button" class="btn" onClick=${() => end(silences)}>End all ${silences.length}</button>`}</p>
  </form>`;
}

// What the newest decision came to, with its undo.
export function Toast({ page }) {
  const last = page.decisions.last.value;
  const [seen, see] = useState(null);
  useEffect(() => {
    if (last === null) return undefined;
    const timer = setTimeout(() => see(last), last.undo ? TOAST_MS.undoable : TOAST_MS.told);
    return () => clearTimeout(timer);
  }, [last]);
  const shown = last !== null && last !== seen && page.silencing.value === null && page.ending.value === null; // or it would lie over the form
  return html`<div class=${`toast ${shown ? "" : "away"} ${last?.error ? "bad" : ""}`} role="status">
    ${shown && html`<span>${last.text}</span>
      ${last.undo && html`<button type="button" class="btn" onClick=${() => page.undo()}>Undo <kbd>u</kbd></button>`}
      <button type="button" class="btn" aria-label="Dismiss" onClick=${() => see(last)}>×</button>`}
  </div>`;
}
