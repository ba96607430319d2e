// The first ten seconds: what the last windows cost and how much of it is above the usual, how many
// hotspots are open by severity, the worst one, and what waits for somebody.
import { html } from "../dom.js";
import { NO_FILTERS, SEVERITIES, WINDOWS } from "../model/address.js";
import { monthlyKg } from "../model/hotspots.js";
import * as format from "../format.js";
import { Cut, Severity } from "./marks.js";
import { Spark } from "./spark.js";

// Windows are of whole days in the time zone of the worker, the newest of which may not be over.
export const LABELS = { "24h": "Day", "7d": "7 d", "30d": "30 d" };

export function Overview({ page }) {
  const { summary } = page.insights;
  const told = summary.value;
  const counts = page.list.counts.value;
  return html`<section class=${`overview ${page.health.stale.value ? "stale" : ""}`} id="overview" aria-label="Overview">
    ${Object.keys(WINDOWS).map((name) => html`<${Window} key=${name} name=${name} told=${told?.windows[name]} asOf=${told?.asOf} page=${page} />`)}
    <div class="tile severities">
      <span class="k"><b>Open by severity</b></span>
      <div class="split">${SEVERITIES.map((severity) => {
        const pressed = page.view.value.severity === severity;
        return html`<button type="button" key=${severity} aria-pressed=${String(pressed)}
          onClick=${() => page.show(pressed ? { severity: "" } : { ...NO_FILTERS, severity })}>
          <b><${Severity} of=${severity} label=${false} />${format.whole(counts.severities[severity])}</b>${severity}</button>`;
      })}</div>
    </div>
    <${Worst} page=${page} row=${counts.worst} />
    <div class="tile pair" role="group" aria-label="Waiting for somebody">
      <${Queue} name="Quarantine" count=${told?.quarantined} open=${() => page.openQueue("quarantine")} />
      <${Queue} name="Notices" count=${told?.notices} open=${() => page.openQueue("notices")} />
      <${Queue} name="Advice pending" count=${page.advice.value} open=${() => page.openQueue("advice")} />
    </div>
  </section>`;
}

function Window({ name, told, asOf, page }) {
  const pressed = page.view.value.window === name;
  const usual = told ? told.kg - told.excess : NaN;
  const [figure, unit] = told ? format.amount(told.kg) : ["–", "kg"];
  const share = usual > 0 ? (100 * told.excess) / usual : NaN;
  const percent = Math.abs(share) >= 10 ? `${format.signed(share)} %` : format.percent(share);
  return html`<button type="button" class="tile window" aria-pressed=${String(pressed)} onClick=${() => page.show({ window: name })}>
    <span class="k"><b>${LABELS[name]}${name === "24h" && asOf ? html`, ${format.date(`${asOf}T12:00`)}` : ""}</b><small>${unit} CO₂e</small></span>
    <span class=${`v ${told ? "" : "nil"}`}>${told ? html`${figure} <small class="narrow">${unit}</small>` : "–"}</span>
    <span class="d">${told
      ? told.events === 0
        ? "no events"
        : html`<b>${format.partOf(told.excess, told.kg)} ${unit}</b> <span class="long">over usual, </span>${percent.replace(" ", "\u00a0")}`
      : "not known yet"}</span>
    ${told && told.bars.length > 1 && html`<${Bars} values=${told.bars} />`}
  </button>`;
}

// The excess itself by day or hour: the total hardly moves and would hide it.
function Bars({ values, width = 78, height = 28 }) {
  const most = Math.max(...values, 0);
  const least = Math.min(...values, 0);
  const span = most - least || 1;
  const y = (value) => ((most - value) / span) * height;
  const step = width / values.length;
  return html`<svg class="bars" width=${width} height=${height} aria-hidden="true">
    ${values.map((value, index) => html`<rect key=${index} class=${value < 0 ? "below" : "above"} x=${(index * step).toFixed(1)}
      y=${y(Math.max(0, value)).toFixed(1)} width=${Math.max(0.8, step - (values.length > 12 ? 0.8 : 2)).toFixed(1)}
      height=${Math.max(0.6, Math.abs(y(value) - y(0))).toFixed(1)} />`)}
    <path d=${`M0 ${y(0).toFixed(1)}H${width}`} />
  </svg>`;
}

function Worst({ page, row }) {
  if (row === null) {
    return html`<div class="tile worst"><span class="k"><b>Worst now</b></span><span class="v nil">–</span>
      <span class="d">${page.list.loaded.value ? "no hotspot is open" : "not known yet"}</span></div>`;
  }
  page.series.want([row.id]);
  const series = page.series.of(row.id);
  const trend = series?.trend;
  return html`<a class="tile worst" href=${page.addressOf(row.id)} onClick=${(event) => { event.preventDefault(); page.open(row.id); }}>
    <span class="k"><b>Worst now</b></span>
    <span class="v"><${Severity} of=${row.severity} /><${Cut} text=${row.entity} class="name" /> <${Cut} text=${row.event_type} as="small" /></span>
    <span class="d"><b>${format.excess(monthlyKg(row))} kg/month</b>, ${
      trend ? html`<span class=${trend === "growing" ? "up" : ""}>${trend === "growing" ? "▲ " : ""}${trend}, </span>` : ""
    }for ${format.duration((Date.parse(row.last_seen_at) - Date.parse(row.occurred_at)) / 1000)}</span>
    <${Spark} series=${series} severity=${row.severity} width=${80} height=${26} />
  </a>`;
}

function Queue({ name, count, open }) {
  return html`<button type="button" onClick=${open}><span>${name}</span><b>${Number.isFinite(count) ? format.whole(count) : "–"}</b></button>`;
}
