// The observations of an episode's key over time: the usual band, the limits of the severities, and
// the events of the episode by shape and colour. uPlot draws; the values of the point under the
// pointer are told in words at a fixed place, and all of them in a table.
import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef, useState } from "../dom.js";
import * as format from "../format.js";

const HEIGHT = 190;

// `series`: { unit, usual, low, high, points: [{ at, value, hot, usual, low, high }] }; `severity` is that
// of the episode which the hot ones belong to, `limits` are the ratios that severities begin at. `head` is
// what is told while no point is chosen: { name, point, more }; the worst is marked.
export function Chart({ series, head, opened, ended, severity, limits }) {
  const box = useRef(null);
  const [at, setAt] = useState(null);
  const { points } = series;
  useEffect(() => {
    if (points.length === 0) return undefined;
    const element = box.current;
    const colours = tokens(element);
    const plot = new uPlot(options(series, { head, opened, severity, limits }, colours, element.clientWidth, setAt), data(series), element);
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const recolour = () => {
      Object.assign(colours, tokens(element));
      plot.redraw();
    };
    scheme.addEventListener("change", recolour);
    const chosen = new MutationObserver(recolour); // the reader's own choice
    chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      chosen.disconnect();
      scheme.removeEventListener("change", recolour);
      resized.disconnect();
      plot.destroy();
    };
  }, [series, head.name, opened, severity, limits]);
  const point = at === null ? null : points[at];
  return html`<div class="sect">
    <h3><b>kg CO₂e ${series.unit ? `per ${series.unit}` : ""}</b>
      <output aria-live="off">${point
        ? `${point === head.point ? `${head.name} ` : ""}${told(point, series)}`
        : `${head.name} ${told(head.point, series)}${head.more}`}</output></h3>
    <div class="chart" ref=${box} role="img" aria-label=${spoken(series, head, opened, ended)}></div>
    <details class="values"><summary>Values as a table</summary>
      <div class="scrolls" tabindex="0" role="region" aria-label="Values"><table>
        <thead><tr><th scope="col">Time</th><th scope="col">kg ${series.unit ? `per ${series.unit}` : ""}</th><th scope="col">Usual</th><th scope="col">Ratio</th></tr></thead>
        <tbody>${points.map((each) => html`<tr key=${each.id ?? each.at}><td>${format.moment(each.at)}</td><td>${format.short(each.value)}</td>
          <td>${format.short(each.usual ?? series.usual)}</td><td>${format.ratio(each.value / (each.usual ?? series.usual))}</td></tr>`)}</tbody>
      </table></div></details>
  </div>`;
}

// What an observation was, and what such work usually costs: both differ from one to the next.
const told = ({ at, days, value, usual }, series) => `${days ? format.date(at) : format.moment(at)}: ${format.short(value)}, usual ${format.short(usual ?? series.usual)}`;

function spoken(series, { name, point, more }, opened, ended) {
  const { points, unit } = series;
  return (
    `The last ${points.length} observations in kg CO2e ${unit ? `per ${unit}` : ""}, ${name} ${told(point, series)}${more}; ` +
    `above the usual ${ended ? `from ${format.moment(opened)} to ${format.moment(ended)}` : `since ${format.moment(opened)}`}`
  );
}

function data({ points, low, high, usual }) {
  const column = (pick) => points.map(pick);
  return [
    column(({ at }) => Date.parse(at) / 1000),
    column((point) => shown(point.high ?? high)),
    column((point) => shown(point.low ?? low)),
    column((point) => shown(point.usual ?? usual)),
    column(({ value }) => value),
  ];
}

// Whether one line of a limit is right for every observation: where long hauls and short ones differ in what is
// usual, it would have a hot one below "info".
const STEADY = 1.1;
function steady(points) {
  const usual = points.map((point) => point.usual).filter((value) => value > 0);
  return usual.length === 0 || Math.max(...usual) < STEADY * Math.min(...usual);
}

const shown = (value) => (Number.isFinite(value) ? value : null);

function options(series, { head, opened, severity, limits }, colours, width, point) {
  const { points, low, high, usual } = series;
  const limited = steady(points) ? Object.entries(limits) : [];
  const finite = [low, high, ...points.flatMap((each) => [each.value, each.usual, each.low, each.high])].filter(Number.isFinite); // nothing may be usual yet
  const most = Math.max(...finite) * 1.05 || 1;
  const least = Math.max(0, Math.min(...finite) * 0.95);
  const line = (stroke, more) => ({ stroke, points: { show: false }, ...more });
  const axis = { stroke: () => colours.faint, font: colours.font, grid: { show: false }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [12, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, dist: 8 } },
    scales: { y: { range: () => [least, most] } },
    axes: [
      { ...axis, size: 24, values: (_, ticks) => ticks.map((tick) => format.date(tick * 1000)), space: 64 },
      { ...axis, size: 44, values: (_, ticks) => ticks.map(format.short), space: 32 },
    ],
    bands: [{ series: [1, 2], fill: () => colours.band }],
    series: [
      {},
      line(() => "transparent"),
      line(() => "transparent"),
      line(() => colours.faint, { dash: [3, 3], width: 1 }),
      line(() => colours.ink, { width: 1.2 }),
    ],
    hooks: {
      drawAxes: [
        (plot) => {
          for (const [, factor] of limited) {
            if (usual * factor < most) rule(plot, usual * factor, colours);
          }
        },
      ],
      draw: [
        (plot) => {
          opening(plot, Date.parse(opened) / 1000, colours);
          points.forEach((each, index) => mark(plot, { ...each, severity }, plot.data[0][index], colours));
          if (head.name === "worst") worst(plot, Date.parse(head.point.at) / 1000, head.point.value, colours);
          for (const [name, factor] of limited) {
            if (usual * factor < most) label(plot, usual * factor, `${name} ×${factor}`, colours);
          }
        },
      ],
      setCursor: [(plot) => point(plot.cursor.idx ?? null)],
    },
  };
}

function tokens(element) {
  // getComputedStyle resolves light-dark() only in a colour property, so each is asked for as one.
  const probe = element.appendChild(document.createElement("i"));
  const of = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    band: of("band"),
    ink: of("ink-2"),
    faint: of("ink-3"),
    edge: of("edge"),
    strong: of("ink"),
    surface: of("surface"),
    critical: of("critical"),
    warn: of("warn"),
    info: of("info"),
    font: `11px ${getComputedStyle(element).fontFamily}`,
  };
  probe.remove();
  return found;
}

function rule(plot, value, colours) {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(value, "y", true);
  ctx.save();
  ctx.strokeStyle = colours.edge;
  ctx.globalAlpha = 0.4;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

// The name of a limit above its rule.
function label(plot, value, text, colours) {
  written(plot, text, plot.bbox.left + 4 * devicePixelRatio, plot.valToPos(value, "y", true) - 4 * devicePixelRatio, "left", colours);
}

// A ring around the observation that the reason and the figures are about.
function worst(plot, at, value, colours) {
  const { ctx, bbox } = plot;
  const [x, y] = [plot.valToPos(at, "x", true), plot.valToPos(value, "y", true)];
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = colours.strong;
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.beginPath();
  ctx.arc(x, y, 8 * devicePixelRatio, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.restore();
  const before = x > bbox.left + bbox.width * 0.8;
  written(plot, "worst", x + (before ? -12 : 12) * devicePixelRatio, y + 4 * devicePixelRatio, before ? "right" : "left", { ...colours, faint: colours.strong });
}

// Text that is legible where the course runs through it.
function written({ ctx }, text, x, y, align, colours) {
  const place = [text, x, y];
  ctx.save();
  ctx.font = scaled(colours.font);
  ctx.textAlign = align;
  ctx.textBaseline = "alphabetic";
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.lineJoin = "round";
  ctx.strokeStyle = colours.surface;
  ctx.strokeText(...place);
  ctx.fillStyle = colours.faint;
  ctx.fillText(...place);
  ctx.restore();
}

function opening(plot, at, colours) {
  const { ctx, bbox } = plot;
  const x = plot.valToPos(at, "x", true);
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colours.strong;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = scaled(colours.font);
  const before = x > bbox.left + bbox.width / 2;
  ctx.textAlign = before ? "right" : "left";
  ctx.fillText(`opened ${format.date(at * 1000)}`, x + (before ? -4 : 4) * devicePixelRatio, bbox.top + 8 * devicePixelRatio);
  ctx.restore();
}

// The shapes of the severities, as everywhere on the page; a dot for what is usual.
function mark(plot, { value, hot, severity }, at, colours) {
  const { ctx } = plot;
  const x = plot.valToPos(at, "x", true);
  const y = plot.valToPos(value, "y", true);
  if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) return;
  const size = 4.5 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.fillStyle = ctx.strokeStyle = hot ? (colours[severity] ?? colours.info) : colours.faint;
  if (!hot) ctx.arc(x, y, size / 3, 0, 2 * Math.PI);
  else if (severity === "critical") polygon(ctx, [[x, y - size], [x + size, y], [x, y + size], [x - size, y]]);
  else if (severity === "warn") polygon(ctx, [[x, y - size], [x + size, y + size * 0.8], [x - size, y + size * 0.8]]);
  else {
    ctx.arc(x, y, size * 0.7, 0, 2 * Math.PI);
    ctx.fillStyle = colours.surface;
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.fill();
    ctx.stroke();
    ctx.restore();
    return;
  }
  ctx.fill();
  ctx.restore();
}

function polygon(ctx, corners) {
  corners.forEach(([x, y], index) => (index === 0 ? ctx.moveTo(x, y) : ctx.lineTo(x, y)));
  ctx.closePath();
}

const scaled = (font) => font.replace(/^(\d+)px/, (_, size) => `${size * devicePixelRatio}px`);
