/** The minutes around an alert, drawn: price, volume, scores and features over one time, with a cursor for the replay. */

import { fill, h, svg } from "../../dom.js";
import { price as priceText, t } from "../../i18n.js";
import { value } from "./evidence.js";
import { across, broken, marks, scale } from "./scales.js";
import { clock, words } from "./words.js";

/**
 * @typedef {{t: number[], open: number[], high: number[], low: number[], close: number[], volume: number[], buys: number[]}} Seconds
 * @typedef {{t: number[], value: (number | null)[]}} Points
 * @typedef {{instrument: string, start: number, end: number, onset: number, decided: number, seconds: Seconds,
 *   features: {t: number[], values: Record<string, (number | null)[]>}, scores: Record<string, Points>,
 *   trades: {t: number[], price: number[], qty: number[], side: number[]},
 *   books: {t: number[], bid_price: number[][], bid_qty: number[][], ask_price: number[][], ask_qty: number[][], step_ms: number},
 *   cut: boolean}} Context
 */

const RIGHT = 68;
const PRICE = 210;
const VOLUME = 56;
const LINE = 46;
const GAP = 20;

/**
 * The drawing. `cursor` moves the line that shows where the replay stands; `end` stops watching its width.
 * @param {Context} context
 * @param {(at: number) => void} picked a moment that was clicked, ms
 * @returns {{element: HTMLElement, cursor: (at: number) => void, end: () => void}}
 */
export function minutes(context, picked) {
  const element = h("div", { class: "minutes" });
  /** @type {SVGElement | null} */
  let line = null;
  let at = context.onset;
  const place = () => {
    const x = across(context, element.clientWidth - RIGHT)(at);
    line?.setAttribute("x1", String(x));
    line?.setAttribute("x2", String(x));
  };
  const draw = () => {
    const width = element.clientWidth;
    if (width < 50) return;
    line = svg("line", { class: "cursor", y1: 0, y2: height(context) });
    const drawing = picture(context, width, line);
    drawing.addEventListener("click", (event) => {
      const box = drawing.getBoundingClientRect();
      picked(context.start + ((event.clientX - box.left) / (width - RIGHT)) * (context.end - context.start));
    });
    fill(element, drawing);
    place();
  };
  const watch = new ResizeObserver(draw);
  watch.observe(element);
  return {
    element,
    cursor: (moment) => {
      at = moment;
      place();
    },
    end: () => watch.disconnect(),
  };
}

/** The lines below price and volume: features of the evidence and usual ones, then the detectors that saw most. @param {Context} context */
function lines(context) {
  const features = Object.entries(context.features.values).map(([name, values]) => ({ name, points: { t: context.features.t, value: values }, unit: false }));
  const scores = Object.entries(context.scores)
    .map(([name, points]) => ({ name: t("{name} score", { name: words(name) }), points, unit: true }))
    .sort((one, other) => highest(other.points) - highest(one.points));
  return [...features.slice(0, 6), ...scores.slice(0, 4)].filter((each) => each.points.value.filter((figure) => figure !== null).length > 1);
}

/** @param {Points} points */
const highest = (points) => Math.max(...points.value.map((figure) => figure ?? 0));

/** @param {Context} context */
const height = (context) => PRICE + GAP + VOLUME + lines(context).length * (LINE + GAP) + GAP;

/** @param {Context} context @param {number} width @param {SVGElement} cursor */
function picture(context, width, cursor) {
  const x = across(context, width - RIGHT);
  const { seconds } = context;
  const tall = height(context);
  const parts = [
    svg("rect", { class: "episode", x: x(context.onset), y: 0, width: Math.max(2, x(context.decided) - x(context.onset)), height: tall - GAP }),
    marker(x(context.onset), tall, t("onset"), "end"),
    marker(x(context.decided), tall, t("decided"), "start"),
    candles(seconds, x, width),
    volumes(seconds, x, PRICE + GAP, width),
  ];
  lines(context).forEach((each, index) => {
    parts.push(trace(each, x, PRICE + GAP + VOLUME + GAP + index * (LINE + GAP), width));
  });
  const label = seconds.t.length
    ? t("{instrument} from {from} to {to}: from {low} to {high}", {
        instrument: context.instrument,
        from: clock(context.start),
        to: clock(context.end),
        low: priceText(Math.min(...seconds.low)),
        high: priceText(Math.max(...seconds.high)),
      })
    : t("No trades or quotes are kept for these minutes.");
  return svg("svg", { width, height: tall, role: "img", "aria-label": label }, ...parts, times(context, x, tall), cursor);
}

/** @param {number} x @param {number} tall @param {string} text @param {string} anchor */
function marker(x, tall, text, anchor) {
  return svg(
    "g",
    { class: "marker" },
    svg("line", { x1: x, x2: x, y1: 0, y2: tall - GAP }),
    svg("text", { x: anchor === "end" ? x - 4 : x + 4, y: 11, "text-anchor": anchor }, text),
  );
}

/** @param {Seconds} seconds @param {(at: number) => number} x @param {number} width */
function candles(seconds, x, width) {
  if (!seconds.t.length) {
    return svg("text", { class: "tick", x: 8, y: PRICE / 2 }, t("No trades or quotes are kept for these minutes."));
  }
  const { low, high, y } = scale([...seconds.low, ...seconds.high], 18, PRICE - 18);
  const thick = Math.max(1, Math.min(7, x(seconds.t[0] + 700) - x(seconds.t[0])));
  const paths = { up: "", down: "" };
  seconds.t.forEach((at, index) => {
    const middle = x(at + 500).toFixed(1);
    const side = seconds.close[index] >= seconds.open[index] ? "up" : "down";
    const [top, bottom] = [y(Math.max(seconds.open[index], seconds.close[index])), y(Math.min(seconds.open[index], seconds.close[index]))];
    paths[side] += `M${middle},${y(seconds.high[index]).toFixed(1)}V${y(seconds.low[index]).toFixed(1)}`;
    paths[side] += `M${(Number(middle) - thick / 2).toFixed(1)},${top.toFixed(1)}h${thick.toFixed(1)}v${Math.max(1, bottom - top).toFixed(1)}h${(-thick).toFixed(1)}z`;
  });
  const ticks = [high, (high + low) / 2, low].map((figure) => rule(y(figure), width, value(figure)));
  return svg("g", {}, ...ticks, svg("path", { class: "candle up", d: paths.up }), svg("path", { class: "candle down", d: paths.down }));
}

/** @param {Seconds} seconds @param {(at: number) => number} x @param {number} top @param {number} width */
function volumes(seconds, x, top, width) {
  const sizes = seconds.volume.map((size) => size ?? 0);
  const most = Math.max(...sizes, 1e-12);
  const { y } = scale([0, most], top + 12, VOLUME - 12);
  let all = "";
  let bought = "";
  seconds.t.forEach((at, index) => {
    const middle = x(at + 500).toFixed(1);
    all += `M${middle},${y(0).toFixed(1)}V${y(sizes[index]).toFixed(1)}`;
    if (seconds.buys[index]) bought += `M${middle},${y(0).toFixed(1)}V${y(seconds.buys[index]).toFixed(1)}`;
  });
  return svg(
    "g",
    {},
    rule(y(most), width, value(most)),
    svg("path", { class: "volume down", d: all }),
    svg("path", { class: "volume up", d: bought }),
    svg("text", { class: "name", x: 4, y: top + 4 }, t("Volume, buyers' part green")),
  );
}

/** @param {{name: string, points: Points, unit: boolean}} each @param {(at: number) => number} x @param {number} top @param {number} width */
function trace(each, x, top, width) {
  const known = /** @type {number[]} */ (each.points.value.filter((figure) => figure !== null));
  const { low, high, y } = scale(each.unit ? [0, 1] : known, top + 12, LINE - 12);
  const path = broken(each.points, x, y);
  return svg(
    "g",
    {},
    rule(y(high), width, value(high)),
    rule(y(low), width, value(low)),
    svg("path", { class: "trace", d: path }),
    svg("text", { class: "name", x: 4, y: top + 4 }, each.name),
  );
}

/** @param {number} y @param {number} width @param {string} text */
function rule(y, width, text) {
  return svg(
    "g",
    {},
    svg("line", { class: "rule", x1: 0, x2: width - RIGHT, y1: y, y2: y }),
    svg("text", { class: "tick", x: width - RIGHT + 6, y: y + 4 }, text),
  );
}

/** Times of day below. @param {Context} context @param {(at: number) => number} x @param {number} tall */
function times(context, x, tall) {
  const found = marks(context, x(context.end)).map((at) =>
    svg("text", { class: "tick", x: x(at), y: tall - 4, "text-anchor": "middle" }, clock(at).slice(0, 8)),
  );
  return svg("g", {}, ...found);
}
