// The keyboard's help, the saved views, and the lists of what waits for somebody: quarantine, notices,
// advice.
import { html, useEffect, useRef, useState } from "../dom.js";
import * as format from "../format.js";
import { MOST } from "../model/views.js";
import { Cut } from "./marks.js";

const KEYS = [
  [["j", "k"], "Next, previous hotspot"],
  [["Enter"], "Open the episode"],
  [["Esc"], "Close, back to the row"],
  [["x"], "Select"],
  [["a"], "Acknowledge"],
  [["r"], "Resolve"],
  [["s"], "Silence until"],
  [["u"], "Undo the last decision"],
  [["n"], "Take in the new rows"],
  [["/"], "Search"],
  [["1", "2", "3"], "Day, 7 days, 30 days"],
  [["?"], "This help"],
];

function Dialog({ title, close, children }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${close} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <h2 id="dialog-title">${title}</h2>${children}
    <form method="dialog"><button class="btn">Close</button></form></dialog>`;
}

export function Help({ limits, close }) {
  return html`<${Dialog} title="Keyboard" close=${close}>
    <dl class="keys">${KEYS.map(([keys, text]) => html`<div key=${text}><dt>${keys.map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt><dd>${text}</dd></div>`)}</dl>
    <p class="dim">Marks: <span class="sev critical"></span> critical from ×${limits.critical} <span class="sev warn"></span> warn from ×${limits.warn} <span class="sev info"></span> info from ×${limits.info}</p>
  <//>`;
}

// Saved views by name, each to go to or to drop, and a form that keeps the present one.
export function Views({ page, close }) {
  const views = page.saved.all.value;
  const [trouble, setTrouble] = useState("");
  const save = (event) => {
    event.preventDefault();
    const saved = page.saved.save(new FormData(event.currentTarget).get("name"), page.view.value);
    setTrouble(saved ? "" : `${MOST} views are saved already: delete one first.`);
    if (saved) event.currentTarget.reset();
  };
  const drop = (name) => {
    page.saved.drop(name);
    setTrouble("");
  };
  return html`<${Dialog} title="Saved views" close=${close}>
    ${views.length === 0 ? html`<p class="dim">None yet. A view is the filters, the sort, the groups and the window that are set now.</p>` : html`<ul class="queue views">
      ${views.map(({ name, search }) => html`<li key=${name}><button type="button" class="btn" onClick=${() => { close(); page.restore(search); }}><${Cut} text=${name} /></button>
        <button type="button" class="icon" aria-label=${`Delete the view ${name}`} onClick=${() => drop(name)}>×</button></li>`)}</ul>`}
    <form class="save-view" onSubmit=${save}><label>Save this view as<input name="name" maxlength="60" required autocomplete="off" /></label><button class="btn main">Save</button></form>
    <p class="error" role="alert">${trouble}</p>
  <//>`;
}

const TITLES = { quarantine: "Quarantine: events that are not judged", notices: "Notices", advice: "Advice pending" };
const REMEDY = html`<p class="dim">They wait until they are mended in their table, or whoever runs the worker releases or drops them:</p>
  <pre>hotspot-worker quarantine --help</pre>`;

// `rows`: [{ at, who, text, id }] or null while they are loaded.
export function Queue({ page, name, rows, trouble, close }) {
  return html`<${Dialog} title=${TITLES[name]} close=${close}>
    ${trouble ? html`<p class="error" role="alert">${trouble}</p>` : rows === null ? html`<p class="dim">Loading…</p>` : rows.length === 0 ? html`<p class="dim">Nothing.</p>` : html`<ol class="queue" tabindex="0" aria-labelledby="dialog-title">
      ${rows.map((row) => html`<li key=${row.id}><time datetime=${row.at}>${format.moment(row.at)}</time><div><${Cut} text=${row.who} as="b" /><p><bdi>${row.text}</bdi>${row.saves && html` <span class="save">${row.saves}</span>`}</p></div>
        ${row.hotspot && html`<button type="button" class="btn" aria-label=${`Open ${row.who}`} onClick=${() => { close(); page.open(row.hotspot); }}>Open</button>`}</li>`)}</ol>${name === "quarantine" && REMEDY}`}
  <//>`;
}
