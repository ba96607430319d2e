// What the list says where it has nothing to show: why that is, and what to do.
import { html } from "../dom.js";
import * as format from "../format.js";

export function Quiet({ page }) {
  const worker = page.health.worker.value;
  const told = page.insights.summary.value;
  if (worker?.tone === "bad") {
    return html`<h3>${worker.text === "No worker" ? "No worker is running" : "The worker is silent"}</h3>
      <p class="dim">Nothing is judged without it: an empty list is no good news. Start it with the project's keys:</p>
      <pre>python -m worker run</pre>`;
  }
  if (worker?.tone === "busy") return html`<h3>No hotspots so far</h3><p class="dim">The worker is at it.</p>`;
  if (told !== null && told.events === 0) {
    return html`<h3>No events yet</h3>
      <ol>
        <li><span>Try your file first; nothing is written:<pre>python -m worker ingest events.csv --dry-run</pre></span></li>
        <li><span>Bring it in:<pre>python -m worker ingest events.csv</pre></span></li>
        <li><span>The worker finds what is above each supplier's usual after some twelve events of one kind. “Scan now” in the menu looks at once.</span></li>
      </ol>`;
  }
  if (told !== null && told.warming > 0 && told.judged === 0) {
    return html`<h3>Warming up</h3>
      <p class="dim">${format.whole(told.warming)} kinds of work have events, none enough yet to know what is usual: each needs twelve before the one that is judged.</p>`;
  }
  const { closed, ended } = page.list.counts.value;
  return html`<h3>All calm</h3>
    <p class="dim">Every supplier is at its usual level${ended === null ? "" : `. The last hotspot was seen on ${format.moment(ended)}`}.</p>
    ${closed > 0 && html`<button type="button" class="btn" onClick=${() => page.show({ is: "closed" })}>Show what has ended: ${format.whole(closed)}</button>`}`;
}
