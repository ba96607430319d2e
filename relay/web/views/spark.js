// The last observations of a hotspot's key with the usual band, small.
import { html } from "../dom.js";

const WIDTH = 120;
const HEIGHT = 28;
const MARGIN = 2;

// `series`: { points: [{ value, hot }], low, high } or undefined while it is not known.
export function Spark({ series, severity, width = WIDTH, height = HEIGHT }) {
  if (!series || series.points.length === 0) {
    return html`<svg class="spark" width=${width} height=${height} aria-hidden="true"></svg>`;
  }
  const { points, low, high } = series;
  const values = points.map(({ value }) => value);
  const least = Math.min(low, ...values);
  const most = Math.max(high, ...values);
  const span = most - least || 1;
  const x = (index) => (points.length === 1 ? width : (index / (points.length - 1)) * (width - 4));
  const y = (value) => height - MARGIN - ((value - least) / span) * (height - 2 * MARGIN);
  const path = (from, to) =>
    values
      .slice(from, to)
      .map((value, index) => `${index ? "L" : "M"}${x(from + index).toFixed(1)} ${y(value).toFixed(1)}`)
      .join("");
  const first = points.findIndex(({ hot }) => hot);
  const turn = first < 0 ? points.length : Math.max(1, first);
  const hot = points.filter((point) => point.hot).length;
  return html`<svg class="spark" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img"
    aria-label=${`${hot} of the last ${points.length} above the usual`}>
    <rect class="band" y=${y(high).toFixed(1)} width=${width} height=${Math.max(1, y(low) - y(high)).toFixed(1)} rx="1" />
    <path d=${path(0, turn)} />
    ${turn < points.length && html`<path class="hot ${severity}" d=${path(turn - 1, points.length)} />`}
    <circle class=${severity} cx=${x(points.length - 1).toFixed(1)} cy=${y(values.at(-1)).toFixed(1)} r="2.2" />
  </svg>`;
}
