/** What charts draw, as plain values: points that rise in time, bars that a price moves, lines and markers on bars. */

import { language } from "../i18n.js";

/** @typedef {import("../vendor/lightweight-charts/lightweight-charts.js").UTCTimestamp} Seconds */
/**
 * @typedef {{t: number[], open: number[], high: number[], low: number[], close: number[], volume: number[]}} Bars
 *   columns as the API gives them; t: begin of the bar, ms
 * @typedef {{t: number[], value: (number | null)[]}} Line t: rising
 */

/** @param {number} ms @returns {Seconds} */
export const seconds = (ms) => /** @type {Seconds} */ (ms / 1000);

/** @param {any} time */
export const moment = (time) => new Date(Number(time) * 1000);

/** @param {any} time @param {number} kind 0 year, 1 month, 2 day, 3 minutes, 4 seconds */
export function tick(time, kind) {
  const at = moment(time);
  if (kind === 0) return String(at.getFullYear());
  if (kind <= 2) return at.toLocaleDateString(language, { month: "short", day: "numeric" });
  return at.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: kind === 4 ? "2-digit" : undefined, hourCycle: "h23" });
}

/** Decimals that a price needs. @param {number[]} values */
export function precision(values) {
  const found = values.find((each) => Number.isFinite(each) && each > 0) ?? 1;
  const digits = found >= 1000 ? 2 : found >= 1 ? 4 : Math.min(10, 3 - Math.floor(Math.log10(found)));
  return { type: /** @type {"price"} */ ("price"), precision: digits, minMove: 1 / 10 ** digits };
}

/**
 * Points with rising times, each once, without holes in their values; what a chart takes.
 * @template T
 * @param {number[]} times ms
 * @param {(index: number) => T | null} make
 * @returns {(T & {time: Seconds})[]}
 */
export function points(times, make) {
  /** @type {(T & {time: Seconds})[]} */
  const made = [];
  let before = -Infinity;
  times.forEach((at, index) => {
    const value = make(index);
    if (value === null || at < before) return;
    if (at === before) made.pop();
    before = at;
    made.push({ ...value, time: seconds(at) });
  });
  return made;
}

/** The place of the last time that is not after `at`. @param {number[]} times rising @param {number} at */
export function floor(times, at) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return Math.max(low - 1, 0);
}

/**
 * A price that came now: moves the last bar, or opens the next. Earlier times are passed over.
 * @param {Bars} bars changed in place
 * @param {number} at begin of its bar, ms @param {number} price @param {number} qty traded since the last call
 * @returns {boolean} whether a bar changed
 */
export function moved(bars, at, price, qty) {
  const last = bars.t.length - 1;
  if (last >= 0 && at < bars.t[last]) return false;
  if (last < 0 || at > bars.t[last]) {
    for (const name of /** @type {const} */ (["open", "high", "low", "close"])) bars[name].push(price);
    bars.t.push(at);
    bars.volume.push(qty);
  } else {
    bars.high[last] = Math.max(bars.high[last], price);
    bars.low[last] = Math.min(bars.low[last], price);
    bars.close[last] = price;
    bars.volume[last] += qty;
  }
  return true;
}

/**
 * A line on bars: of the values within a bar the highest, or the last; null where there is none.
 * @param {number[]} times of the bars
 * @param {Line} line
 * @param {"highest" | "last"} pick
 */
export function onBars(times, line, pick) {
  /** @type {(number | null)[]} */
  const values = times.map(() => null);
  line.t.forEach((at, i) => {
    const value = line.value[i];
    if (value === null || !Number.isFinite(value) || !(at >= times[0])) return;
    const place = floor(times, at);
    const before = values[place];
    values[place] = pick === "highest" && before !== null ? Math.max(before, value) : value;
  });
  return values;
}

/**
 * Markers, each at the bar that it falls into, in the order of time.
 * @template {{t: number}} M
 * @param {number[]} times of the bars
 * @param {M[]} markers
 * @returns {{each: M, time: Seconds}[]}
 */
export function placed(times, markers) {
  if (!times.length) return [];
  return markers
    .map((each) => ({ each, place: floor(times, each.t) }))
    .sort((a, b) => a.place - b.place)
    .map(({ each, place }) => ({ each, time: seconds(times[place]) }));
}
