// One episode: why it is one, what it costs, its course, where the excess comes from, what to do about
// it, and everything that was said of it.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../dom.js";
import { monthlyKg, ratioOf, stateOf } from "../model/hotspots.js";
import { headOf, runOf } from "../model/insights.js";
import * as format from "../format.js";
import { Chart } from "./chart.js";
import { Decisions, EndSilence } from "./decisions.js";
import { kindOf, stateText } from "./list.js";
import { Cut, Severity } from "./marks.js";

export function Episode({ page, id }) {
  const { list } = page;
  const heading = useRef(null);
  const cell = list.watch(id);
  useEffect(() => () => list.release(id), [id]);
  cell.value; // drawn again when the row changes
  useEffect(() => {
    page.insights.follow(id);
    return () => page.insights.follow(null);
  }, [id]);
  useLayoutEffect(() => {
    if (page.takesFocus) heading.current?.focus();
    page.takesFocus = false;
  }, [id]);
  const row = list.row(id) ?? page.insights.episode.value?.row;
  const told = page.insights.episode.value?.id === id ? page.insights.episode.value : null;
  if (row === undefined) {
    return html`<section class="panel" id="panel" aria-label="Episode" data-id=${id}><header><div><h2 ref=${heading} tabindex="-1">Hotspot #${id}</h2></div><${Close} page=${page} /></header>
      <div class="body"><p class="dim">${list.loaded.value ? "There is no such hotspot any more." : "Loading…"}</p></div></section>`;
  }
  const state = stateOf(row, Date.now());
  return html`<section class="panel" id="panel" aria-labelledby="panel-title" data-id=${id}>
    <header>
      <div>
        <h2 id="panel-title" ref=${heading} tabindex="-1"><${Severity} of=${row.severity} /><${Cut} text=${row.entity} /></h2>
        <p class="dim">${kindOf(row)} · ${row.rule} · #${id} · <span class="ink">${stateText(row, state)}</span></p>
      </div>
      <button type="button" class="icon" aria-label="Previous hotspot (k)" title="Previous (k)" onClick=${() => page.step(-1)}>↑</button>
      <button type="button" class="icon" aria-label="Next hotspot (j)" title="Next (j)" onClick=${() => page.step(1)}>↓</button>
      <${Close} page=${page} />
    </header>
    <div class="body" tabindex="0" role="region" aria-label="Details">
      <p class=${`reason ${row.severity}`}><bdi>${format.prose(row.reason || "No reason was given.")}</bdi></p>
      <${Facts} row=${row} run=${runOf(told?.series, row)} />
      ${told?.series?.points.length > 0
        ? html`<${Chart} series=${told.series} head=${headOf(told.series, row)} opened=${row.occurred_at} ended=${endOf(row)} severity=${row.severity} limits=${page.insights.limits.value} />`
        : html`<div class="sect"><h3>Course</h3><p class="dim">${told?.trouble || (told ? "Its observations are not kept any more." : "Loading…")}</p></div>`}
      <${Drivers} row=${row} />
      <${Advice} page=${page} row=${row} span=${spanOf(row)} />
      <${Timeline} entries=${told?.timeline} ended=${endOf(row)} />
    </div>
    ${row.status === "active" && html`<div class="decide" role="toolbar" aria-label="Decide">
      <${Decisions} page=${page} ids=${[id]} main=${row.acknowledged_at ? "resolve" : "acknowledge"} />
      ${state === "silenced" && html`<${EndSilence} page=${page} id=${id} />`}</div>`}
  </section>`;
}

// Event time of the newest that belongs to an episode which is over, not the time at which that was seen.
const endOf = (row) => (row.status === "active" ? null : row.last_seen_at);

const RATE = "The excess by the days it has lasted (7 at least, 30 where it is no run), times 30";

function Facts({ row, run }) {
  const ended = endOf(row);
  const [one, many] = row.series === "period" ? ["period", "periods"] : ["event", "events"];
  return html`<dl class="facts">
    <div><dt>${ended ? "Excess in all" : "Excess since opened"}</dt><dd>${format.excess(row.excess_kg)} kg</dd></div>
    <div><dt>Worst ${one}</dt><dd>${format.ratio(ratioOf(row))}</dd></div>
    ${run !== null && run.count > 1 && html`<div><dt>All ${format.whole(run.count)} ${many}</dt><dd>${format.ratio(run.ratio)}</dd></div>`}
    <div><dt title=${RATE}>${ended ? "Rate while it lasted" : "Rate so far"}</dt><dd>${format.excess(monthlyKg(row))} kg/month</dd></div>
    <div><dt>${ended ? "Opened" : "Open since"}</dt><dd title=${row.occurred_at}>${format.moment(row.occurred_at)}</dd></div>
    ${ended && html`<div><dt>Last seen</dt><dd title=${ended}>${format.moment(ended)}</dd></div>`}
  </dl>`;
}

function Close({ page }) {
  return html`<button type="button" class="icon" aria-label="Close the episode (Esc)" title="Close (Esc)" onClick=${() => page.close()}>×</button>`;
}

// Bars that add up to the excess of the event that is shown.
function Drivers({ row }) {
  const drivers = (row.drivers ?? []).filter(({ kg }) => Number.isFinite(kg));
  if (drivers.length === 0) return null;
  const sum = drivers.reduce((all, { kg }) => all + kg, 0);
  const shown = (kg) => (Math.abs(kg) < Math.abs(sum) / 1000 ? 0 : kg); // what is a rounding of another
  const ends = [0];
  for (const { kg } of drivers) ends.push(ends.at(-1) + kg);
  const [least, most] = [Math.min(...ends, sum), Math.max(...ends, sum)];
  const x = (kg) => ((kg - least) / (most - least || 1)) * 100;
  const bar = (from, to, kind) => html`<svg class="bar2" viewBox="0 0 100 14" preserveAspectRatio="none" height="14" aria-hidden="true">
    <path d="M0 7H100" /><rect class=${kind} x=${Math.min(x(from), x(to)).toFixed(2)} width=${Math.max(0.8, Math.abs(x(to) - x(from))).toFixed(2)} height="14" /></svg>`;
  return html`<div class="sect"><h3>Where the excess comes from<span class="dim">shares of each input, worst ${spanOf(row)}</span></h3>
    <div class="drivers">
      ${drivers.map(({ input, kg }, index) => shown(kg) !== 0 && html`<${Cut} key=${input} text=${input.replaceAll("_", " ")} />
        ${bar(ends[index], ends[index + 1], kg < 0 ? "below" : "above")}<span class="num">${format.excess(shown(kg))} kg</span>`)}
      <b>Excess</b>${bar(0, sum, "all")}<b class="num">${format.excess(sum)} kg</b>
    </div></div>`;
}

// What one observation of the hotspot is, of which the advice saves a part.
const spanOf = (row) => (row.series === "period" ? "period" : "event");

function Advice({ page, row, span }) {
  page.adviceTick.value; // drawn again when a recommendation changes
  const advice = page.adviceOf(row.id);
  if (advice.length === 0) return null;
  const counted = advice.filter(({ status, co2_reduction_month: kg }) => status !== "rejected" && Number.isFinite(kg));
  // Each figure is of the time at which it was computed: together they save no more than there is.
  const together = Math.min(monthlyKg(row), counted.reduce((sum, each) => sum + each.co2_reduction_month, 0));
  return html`<div class="sect"><h3>Advice<span class="dim">by computing the worst ${span} again</span></h3>
    ${advice.map((each) => html`<${Recommendation} key=${each.id} page=${page} row=${each} span=${span} />`)}
    ${counted.length > 1 && html`<p class="together"><span class="dim">Together, as parts of one excess, at most</span><b class="save">${format.saves(together, "a month")}</b></p>`}</div>`;
}

function Recommendation({ page, row, span }) {
  const [sending, send] = useState(null);
  const [error, fail] = useState("");
  const decide = async (decision) => {
    send(decision);
    fail("");
    try {
      await page.decisions.advise(decision, row);
    } catch (problem) {
      fail(problem.message);
    } finally {
      send(null);
    }
  };
  const pending = row.status === "pending";
  const shown = sending === null ? row.status : { approve: "approved", reject: "rejected" }[sending];
  return html`<div class="advice" data-id=${row.id}>
    <p>${row.action}</p><span class="save" title=${`${format.saves(row.co2_reduction, `of the worst ${span}`)}; a month: the same part of the rate above`}>${format.saving(row, span)}</span>
    <span class="dim">${format.prose(row.root_cause ?? row.source)}</span>
    <span class="acts">${pending && sending === null
      ? html`<button type="button" class="btn" onClick=${() => decide("approve")}>Approve</button><button type="button" class="btn" onClick=${() => decide("reject")}>Reject</button>`
      : html`<b>${shown}</b>`}</span>
    ${error && html`<span class="error" role="alert">${error}</span>`}
  </div>`;
}

function Timeline({ entries, ended }) {
  if (!entries?.length) return null;
  return html`<div class="sect"><h3>Timeline<span class="dim">newest first</span></h3><ol class="timeline">
    ${entries.map((entry, index) => html`<li key=${index}><time datetime=${entry.at} title=${entry.at}>${format.moment(entry.at)}</time>
      <span class="dot" aria-hidden="true"></span><span><bdi>${entry.text}</bdi>${entry.end && ended && `, last seen ${format.moment(ended)}`}${entry.eventAt && html` <span class="dim">event of <time datetime=${entry.eventAt}>${format.moment(entry.eventAt)}</time></span>`}${entry.who && html` <span class="dim">${entry.who}</span>`}${entry.note && html`<span class="note"><bdi>“${entry.note}”</bdi></span>`}</span></li>`)}
  </ol></div>`;
}
