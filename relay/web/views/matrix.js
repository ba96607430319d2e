// Where the excess of the window is: by supplier and activity, and which few suppliers make most of it.
import { html } from "../dom.js";
import * as format from "../format.js";
import { Cut, Severity } from "./marks.js";
import { LABELS } from "./overview.js";

const MOST_ROWS = 40;
const MOST_CONTRIBUTORS = 8;
const FEWEST_SILENT = 3; // and half of all: so many do not fall silent at once

export function Context({ page }) {
  const cells = page.insights.cells.value;
  return html`<div id="context">
    <section class="card" id="matrix" aria-labelledby="matrix-title">
      <header><h2 id="matrix-title">Excess by supplier and activity</h2><span class="dim">kg over the usual, ${LABELS[page.view.value.window].toLowerCase()}</span></header>
      ${cells === null || cells.length === 0 ? html`<p class="dim">${page.insights.trouble.value || "Appears with the first judged events."}</p>` : html`<${Matrix} page=${page} cells=${cells} />`}
    </section>
    <section class="card" id="contributors" aria-labelledby="contributors-title">
      <header><h2 id="contributors-title">Contributors</h2><span class="dim">kg CO₂e, ${LABELS[page.view.value.window].toLowerCase()}</span></header>
      ${cells === null || cells.length === 0 ? html`<p class="dim">Appears with the first events.</p>` : html`<${Contributors} page=${page} cells=${cells} />`}
    </section>
  </div>`;
}

const total = (cells, column) => cells.reduce((sum, cell) => sum + cell[column], 0);

function grouped(cells) {
  const found = new Map();
  for (const cell of cells) found.set(cell.entity, [...(found.get(cell.entity) ?? []), cell]);
  return [...found].map(([entity, own]) => ({ entity, own, kg: total(own, "kg"), excess: total(own, "excess") }));
}

function Matrix({ page, cells }) {
  const activities = [...new Set(cells.map((cell) => cell.activity))].sort();
  const rows = grouped(cells).sort((a, b) => b.excess - a.excess);
  const most = Math.max(...cells.map((cell) => Math.abs(cell.excess)), 0);
  const open = page.list.counts.value.worstOf;
  const view = page.view.value;
  const silent = cells.filter(({ note }) => note === "silent");
  const ahead = silent.length >= FEWEST_SILENT && 2 * silent.length > cells.length;
  return html`${ahead && html`<p class="dim">${format.whole(silent.length)} of ${format.whole(cells.length)} kinds of work count as silent: the newest event, of ${
      format.date(`${page.insights.summary.value?.asOf}T12:00`)}, is long after theirs. Was a file brought in whose dates are ahead of the others?</p>`}
    <div class="scrolls"><table class="matrix">
    <thead><tr><th><span class="vh">Supplier</span></th>
      ${activities.map((activity) => html`<th key=${activity} scope="col"><abbr title=${activity}>${activity}</abbr></th>`)}<th scope="col">total</th></tr></thead>
    <tbody>${rows.slice(0, MOST_ROWS).map(({ entity, own, excess }) => html`<tr key=${entity}>
      <th scope="row"><button type="button" aria-pressed=${String(view.supplier === entity && view.activity === "")}
        onClick=${() => page.show(view.supplier === entity && view.activity === "" ? { supplier: "" } : { supplier: entity, activity: "" })}><${Cut} text=${entity} /></button></th>
      ${activities.map((activity) => html`<${Cell} key=${activity} page=${page} entity=${entity} activity=${activity} most=${most}
        cell=${own.find((each) => each.activity === activity)} severity=${open.get(`${entity}\n${activity}`)} />`)}
      <td class="total" title=${`${format.signed(excess)} kg`}>${format.brief(excess)}</td></tr>`)}</tbody>
    <tfoot><tr><th scope="row">All${rows.length > MOST_ROWS ? `, ${format.whole(rows.length - MOST_ROWS)} more suppliers` : ""}</th>
      ${activities.map((activity) => html`<td key=${activity}>${format.brief(total(cells.filter((cell) => cell.activity === activity), "excess"))}</td>`)}
      <td>${format.brief(total(cells, "excess"))}</td></tr></tfoot>
  </table></div>`;
}

// Shaded by kilograms, not by per cent, so that the eye goes where the kilograms are.
function shade(excess, most) {
  if (most === 0) return "";
  if (excess < -most * 0.02) return "below-2";
  if (excess < -most * 0.004) return "below-1";
  if (excess < most * 0.01) return "";
  if (excess < most * 0.04) return "above-1";
  if (excess < most * 0.12) return "above-2";
  return excess < most * 0.45 ? "above-3" : "above-4";
}

function Cell({ page, entity, activity, cell, most, severity }) {
  if (cell === undefined) return html`<td class="none"><span class="vh">none</span>·</td>`;
  if (cell.note) return html`<td class="none" title=${cell.noteText}>${cell.note}</td>`;
  const view = page.view.value;
  const pressed = view.supplier === entity && view.activity === activity;
  const usual = cell.kg - cell.excess;
  const title = `${entity}, ${activity}: ${format.whole(cell.kg)} kg, ${format.signed(cell.excess)} kg over the usual, ${format.percent((100 * cell.excess) / usual)}${severity ? `, open ${severity}` : ""}`;
  return html`<td class=${shade(cell.excess, most)}><button type="button" title=${title} aria-pressed=${String(pressed)}
    onClick=${() => page.show(pressed ? { supplier: "", activity: "" } : { supplier: entity, activity })}>
    ${severity && html`<${Severity} of=${severity} label=${false} />`}<span>${format.brief(cell.excess)}</span></button></td>`;
}

// The fewest suppliers that make most of the kilograms, the usual and the excess in one bar.
function Contributors({ page, cells }) {
  const rows = grouped(cells).sort((a, b) => b.kg - a.kg);
  const all = total(cells, "kg");
  const most = rows[0]?.kg || 1;
  const rest = rows.slice(MOST_CONTRIBUTORS);
  const view = page.view.value;
  return html`<div class="contributors">
    ${rows.slice(0, MOST_CONTRIBUTORS).map(({ entity, kg, excess }) => {
      const over = Math.max(0, Math.min(excess, kg));
      return html`<button type="button" key=${entity} aria-pressed=${String(view.supplier === entity)} onClick=${() => page.show({ supplier: view.supplier === entity ? "" : entity, activity: "" })}>
        <${Cut} text=${entity} />
        <svg class="track" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
          <rect class="usual" width=${((100 * (kg - over)) / most).toFixed(2)} height="10" /><rect class="above" x=${((100 * (kg - over)) / most).toFixed(2)} width=${((100 * over) / most).toFixed(2)} height="10" /></svg>
        <span class="num">${format.whole(kg)}</span><span class="num dim">${all > 0 ? `${Math.round((100 * kg) / all)} %` : "–"}</span></button>`;
    })}
    ${rest.length > 0 && html`<p class="rest dim"><span>${format.whole(rest.length)} more</span><span></span><span class="num">${format.whole(total(rest, "kg"))}</span><span class="num">${all > 0 ? `${Math.round((100 * total(rest, "kg")) / all)} %` : ""}</span></p>`}
  </div>`;
}
