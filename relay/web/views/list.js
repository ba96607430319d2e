// The list of hotspots: only the rows that can be seen are drawn, so that ten thousand cost no more
// than twenty. Each row draws itself when it changes, in its place.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../dom.js";
import { isFiltered, GROUPS, NO_FILTERS, SORTS, STATES } from "../model/address.js";
import { monthlyKg, ratioOf, stateOf } from "../model/hotspots.js";
import * as format from "../format.js";
import { Decisions } from "./decisions.js";
import { Quiet } from "./empty.js";
import { Cut, Severity } from "./marks.js";
import { Spark } from "./spark.js";

const DAY_MS = 86_400_000;
const OVERSCAN = 6; // rows drawn above and below what is seen
const COLUMNS = ["", "Severity", "Supplier and reason", "Last 50", "Excess kg", "kg a month", "Ratio", "Since", "State"];
const SORTED = { "Excess kg": "excess", "kg a month": "worst", Ratio: "ratio", Since: "new", Severity: "severity" };

export function Hotspots({ page }) {
  const { list, view } = page;
  const lines = list.lines.value;
  const waiting = list.waiting.value;
  const counts = list.counts.value;
  const shown = lines.reduce((sum, line) => sum + ("id" in line ? 1 : 0), 0);
  const now = view.value;
  return html`<section class="list" aria-labelledby="list-title" id="list" tabindex="-1">
    <div class="bar">
      <h2 id="list-title">Hotspots</h2>
      <span class="dim count" role="status">${list.loaded.value || counts.active === 0
        ? `${whole(shown)} shown, ${whole(counts.active)} open${counts.states.silenced > 0 ? `, ${whole(counts.states.silenced)} silenced` : ""}`
        : `Loading: ${whole(counts.active)} so far`}</span>
      <div class="slot">
        ${waiting > 0 &&
        html`<button type="button" class="pill" title="Take them in (n)" onClick=${() => page.takeIn()}>${whole(waiting)} new</button>`}
      </div>
      <label class="search">
        <span class="vh">Search supplier or reason</span>
        <input type="search" id="q" placeholder="Search" autocomplete="off" spellcheck=${false} value=${now.q}
          onInput=${(event) => page.show({ q: event.currentTarget.value })} />
        <kbd aria-hidden="true">/</kbd>
      </label>
      <${Choice} label="Sort" options=${SORTS} value=${now.sort} choose=${(sort) => page.show({ sort })} />
      <${Choice} label="Group" options=${GROUPS} value=${now.group} choose=${(group) => page.show({ group })} />
    </div>
    <${Chips} page=${page} counts=${counts} />
    <${Table} page=${page} lines=${lines} />
    <${Bulk} page=${page} />
  </section>`;
}

const { whole } = format;

function Choice({ label, options, value, choose }) {
  return html`<label class="choice">
    <span class="vh">${label}</span>
    <select value=${value} onChange=${(event) => choose(event.currentTarget.value)}>
      ${Object.entries(options).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
    </select>
  </label>`;
}

const SAID = { supplier: "Supplier", activity: "Activity" }; // severity and series say themselves what they are

function Chips({ page, counts }) {
  const view = page.view.value;
  const set = Object.entries(NO_FILTERS).filter(([name]) => name !== "is" && name !== "q" && view[name] !== "");
  return html`<div class="chips" role="group" aria-label="Filters">
    ${STATES.map((state) => {
      const pressed = view.is === state;
      return html`<button type="button" key=${state} aria-pressed=${String(pressed)}
        onClick=${() => page.show({ is: pressed ? "" : state })}>${format.sentence(state)}${state !== "closed" && html`<i>${whole(counts.states[state])}</i>`}</button>`;
    })}
    ${set.length > 0 && html`<span class="sep" aria-hidden="true"></span>`}
    ${set.map(
      ([name]) => html`<button type="button" key=${name} class="on" aria-label=${`Remove the filter ${name} ${view[name]}`}
        onClick=${() => page.show({ [name]: "" })}><${Cut} text=${SAID[name] ? `${SAID[name]} ${view[name]}` : format.sentence(view[name])} /><i aria-hidden="true">×</i></button>`,
    )}
    ${isFiltered(view) && html`<button type="button" class="plain" onClick=${() => page.show(NO_FILTERS)}>Clear</button>`}
  </div>`;
}

function Table({ page, lines }) {
  const box = useRef(null);
  const body = useRef(null);
  const { list } = page;
  const [range, setRange] = useState({ from: 0, to: 40, height: 48 });

  // What of the list can be seen, whether it scrolls itself or, on a phone, with the page.
  useLayoutEffect(() => {
    let frame = 0;
    const measure = () => {
      frame = 0;
      const height = parseFloat(getComputedStyle(body.current).getPropertyValue("--row")) || 48;
      const outer = box.current.getBoundingClientRect();
      const inner = body.current.getBoundingClientRect();
      list.room = roomOf(box.current, inner.top, height);
      list.settle();
      const top = Math.max(0, outer.top) - inner.top;
      const bottom = Math.min(innerHeight, outer.bottom) - inner.top;
      const from = Math.max(0, Math.floor(top / height) - OVERSCAN);
      const to = Math.max(from, Math.ceil(bottom / height) + OVERSCAN);
      setRange((held) => (held.from === from && held.to === to && held.height === height ? held : { from, to, height }));
    };
    const soon = () => (frame ||= requestAnimationFrame(measure));
    const left = ["pointerleave", "focusout"]; // what waited for that is taken in
    for (const event of left) box.current.addEventListener(event, soon);
    list.held = () => heldIn(box.current);
    const scrolled = [box.current, globalThis];
    for (const target of scrolled) target.addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    const resized = new ResizeObserver(soon);
    resized.observe(box.current);
    measure();
    return () => {
      cancelAnimationFrame(frame);
      for (const event of left) box.current.removeEventListener(event, soon);
      for (const target of scrolled) target.removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
      resized.disconnect();
    };
  }, []);

  const from = Math.min(range.from, lines.length);
  const drawn = lines.slice(from, range.to);
  const rows = drawn.filter((line) => "id" in line);
  useEffect(() => page.series.want(rows.map(({ id }) => id)), [lines, from, range.to]);
  page.scrollTo = (index) => {
    const at = index * range.height;
    const view = box.current;
    if (view.scrollHeight > view.clientHeight + 1) {
      if (at < view.scrollTop) view.scrollTop = at;
      else if (at + range.height > view.scrollTop + view.clientHeight - head()) view.scrollTop = at + range.height - view.clientHeight + head();
    } else {
      const inner = body.current.getBoundingClientRect();
      if (inner.top + at < 60 || inner.top + at + range.height > innerHeight - 60) scrollTo(0, scrollY + inner.top + at - 120);
    }
  };
  const head = () => box.current.querySelector(".head").offsetHeight;
  const sorted = page.view.value.sort;
  const stop = (rows.find(({ id }) => id === page.current.value) ?? rows[0])?.id; // of the tabulator
  return html`<div class="scroll" ref=${box}>
    <div class="grid" role="grid" aria-labelledby="list-title" aria-rowcount=${lines.length + 1} aria-multiselectable="true">
      <div class="head row" role="row" aria-rowindex="1">
        ${COLUMNS.map((name, index) => html`<div key=${name} role="columnheader" class="c${index}"
          aria-sort=${SORTED[name] === sorted ? "descending" : undefined}>
          ${index === 0 && html`<${SelectAll} page=${page} lines=${lines} />`}
          ${index > 0 && (name in SORTED
            ? html`<button type="button" class=${index === 1 ? "vh" : ""} aria-pressed=${String(SORTED[name] === sorted)}
                onClick=${() => page.show({ sort: SORTED[name] })}>${name}</button>`
            : name)}
        </div>`)}
      </div>
      <div class="rows" role="rowgroup" ref=${body} style=${{ height: `${lines.length * range.height}px` }}>
        ${drawn.map((line, index) => {
          const place = { line, index: from + index, top: (from + index) * range.height, page };
          return "id" in line
            ? html`<${Row} key=${line.id} ...${place} stop=${line.id === stop} />`
            : html`<${Group} key=${`group ${line.group}`} ...${place} />`;
        })}
      </div>
    </div>
    ${lines.length === 0 && html`<${Nothing} page=${page} />`}
  </div>`;
}

// Whether the list scrolls itself; on a phone it does so with the page.
const scrollsItself = (box) => getComputedStyle(box).overflowY !== "visible";

// How many lines the screen shows without scrolling, of which the first is at `top`.
function roomOf(box, top, height) {
  if (scrollsItself(box)) return Math.floor((box.clientHeight - box.querySelector(".head").offsetHeight) / height);
  return top < 0 ? 0 : Math.floor((document.querySelector(".tabs").getBoundingClientRect().top - top) / height);
}

// Index of the last line that is under the pointer or has the focus; where what follows the list does, all
// lines have to stay.
function heldIn(box) {
  if (!scrollsItself(box) && document.querySelector(".side :is(:hover, :focus)")) return Infinity;
  const rows = [...box.querySelectorAll(".rows .row:is(:hover, :focus-within)")];
  return Math.max(-1, ...rows.map((row) => row.ariaRowIndex - 2));
}

function SelectAll({ page, lines }) {
  const ids = lines.filter((line) => "id" in line).map(({ id }) => id);
  const selected = page.selection.value;
  const count = ids.filter((id) => selected.has(id)).length;
  return html`<label class="hit"><input type="checkbox" aria-label="Select all shown" checked=${count > 0 && count === ids.length}
    indeterminate=${count > 0 && count < ids.length} disabled=${ids.length === 0}
    onChange=${(event) => page.select(event.currentTarget.checked ? ids : [], true)} /></label>`;
}

function Group({ line, index, top }) {
  return html`<div class="row group" role="row" aria-rowindex=${index + 2} style=${{ transform: `translateY(${top}px)` }}>
    <div role="gridcell"><${Cut} text=${line.group} /> <span class="dim">${whole(line.count)} · ${format.excess(line.kg)} kg</span></div>
  </div>`;
}

function Row({ line, index, top, page, stop }) {
  const { id } = line;
  const { list } = page;
  const cell = useWatched(list, id);
  cell.value; // drawn again when the row changes
  const row = list.row(id);
  if (row === undefined) return null;
  const now = Date.now();
  const state = stateOf(row, now);
  const open = page.view.value.episode === id;
  const current = page.current.value === id;
  const selected = page.selection.value.has(id);
  const gone = !list.belongs(id);
  const pick = (event) => page.select([id], event.currentTarget.checked);
  const click = (event) => {
    if (event.target.closest("input, label, a") === null) page.open(id);
  };
  return html`<div class=${`row ${open ? "picked" : ""} ${current ? "current" : ""} ${gone || state === "silenced" ? "faint" : ""}`}
    role="row" aria-rowindex=${index + 2} aria-selected=${String(selected)} data-id=${id} onClick=${click}
    style=${{ transform: `translateY(${top}px)` }}>
    <div role="gridcell" class="c0"><label class="hit"><input type="checkbox" tabindex="-1" aria-label=${`Select ${row.entity}`} checked=${selected} onChange=${pick} /></label></div>
    <div role="gridcell" class="c1"><${Severity} of=${row.severity} /></div>
    <div role="gridcell" class="c2">
      <a class="who" href=${page.addressOf(id)} tabindex=${stop ? 0 : -1} data-row=${id}
        onFocus=${() => (page.current.value = id)}
        onClick=${(event) => { event.preventDefault(); page.open(id); }}><${Cut} text=${row.entity} as="b" /> <${Cut} text=${kindOf(row)} class="dim" /></a>
      <${Cut} text=${row.reason} as="p" class="why" />
    </div>
    <div role="gridcell" class="c3"><${Spark} series=${page.series.of(id)} severity=${row.severity} /></div>
    <div role="gridcell" class="c4"><b>${format.excess(row.excess_kg)}</b></div>
    <div role="gridcell" class="c5">${format.excess(monthlyKg(row))}</div>
    <div role="gridcell" class="c6">${format.ratio(ratioOf(row))}</div>
    <${Age} row=${row} clock=${list.counts.peek().clock} />
    <div role="gridcell" class="c8" title=${state === "silenced" ? `silenced until ${format.moment(row.silenced_until)}` : undefined}>${stateText(row, state)}</div>
  </div>`;
}

// Since when, of what is over when it was last seen, in event time.
function Age({ row, clock }) {
  const opened = format.moment(row.occurred_at);
  if (row.status === "active") return html`<div role="gridcell" class="c7" title=${opened}>${format.since(row.occurred_at, clock)}</div>`;
  const length = format.duration((Date.parse(row.last_seen_at) - Date.parse(row.occurred_at)) / 1000);
  return html`<div role="gridcell" class="c7" title=${`${length}, from ${opened} to ${format.moment(row.last_seen_at)}`}>to ${format.date(row.last_seen_at)}</div>`;
}

export function kindOf(row) {
  return row.series === "period" ? `${row.event_type} · period` : row.event_type;
}

export function stateText(row, state) {
  if (state === "silenced") return `silenced until ${(Date.parse(row.silenced_until) - Date.now() < DAY_MS ? format.clock : format.date)(row.silenced_until)}`;
  if (state === "closed") return row.status === "ignored" ? "ignored" : (row.resolution ?? "resolved").replace("_", " ");
  return state;
}

function useWatched(list, id) {
  const held = useRef(null);
  if (held.current?.id !== id) {
    if (held.current) list.release(held.current.id);
    held.current = { id, cell: list.watch(id) };
  }
  useEffect(() => () => list.release(held.current.id), []);
  return held.current.cell;
}

function Nothing({ page }) {
  const { view, list } = page;
  if (!list.loaded.value) return html`<p class="nothing dim">${page.connected.value ? "Loading…" : "Not connected."}</p>`;
  if (isFiltered(view.value) && (list.counts.value.active > 0 || view.value.is === "closed")) {
    return html`<div class="nothing"><h3>No hotspot is in this view</h3>
      <p class="dim">${whole(list.counts.value.active)} are open in all.</p>
      <button type="button" class="btn" onClick=${() => page.show(NO_FILTERS)}>Clear the filters</button></div>`;
  }
  const { silenced } = list.counts.value.states;
  if (silenced > 0) {
    return html`<div class="nothing"><h3>Nothing is open but what is silenced</h3>
      <p class="dim">${silenced === 1 ? "One hotspot is" : `${whole(silenced)} hotspots are`} silenced.</p>
      <button type="button" class="btn" onClick=${() => page.show({ is: "silenced" })}>Show what is silenced</button></div>`;
  }
  return html`<div class="nothing"><${Quiet} page=${page} /></div>`;
}

function Bulk({ page }) {
  const selected = page.selection.value;
  if (selected.size === 0) return null;
  return html`<div class="bulk" role="toolbar" aria-label="Decide on the selection">
    <span class="dim">${whole(selected.size)} selected</span>
    <${Decisions} page=${page} ids=${[...selected]} />
    <button type="button" class="btn" onClick=${() => page.select([...selected], false)}>Clear</button>
  </div>`;
}
