/** What every chart of TradingView's Lightweight Charts here begins with: look, local time, attribution. */

import { h } from "../dom.js";
import { language } from "../i18n.js";
import { createChart, CrosshairMode } from "../vendor/lightweight-charts/lightweight-charts.js";
import { colours, onTheme, styled } from "./theme.js";

/** @typedef {import("../vendor/lightweight-charts/lightweight-charts.js").IChartApi} Chart */
/** @typedef {import("../vendor/lightweight-charts/lightweight-charts.js").UTCTimestamp} Seconds */

/** @param {number} ms @returns {Seconds} */
export const seconds = (ms) => /** @type {Seconds} */ (ms / 1000);

/** @param {any} time */
const moment = (time) => new Date(Number(time) * 1000);

/** @param {any} time @param {number} kind 0 year, 1 month, 2 day, 3 minutes, 4 seconds */
function tick(time, kind) {
  const at = moment(time);
  if (kind === 0) return String(at.getFullYear());
  if (kind <= 2) return at.toLocaleDateString(language, { month: "short", day: "numeric" });
  return at.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: kind === 4 ? "2-digit" : undefined, hour12: false });
}

/** The options that follow the theme. */
function look() {
  const c = colours();
  return {
    layout: {
      background: { color: c.surface },
      textColor: c.text,
      fontFamily: getComputedStyle(document.body).fontFamily,
      // The library's own logo needs an inline style sheet, which the console's policy forbids: see `attribution`.
      attributionLogo: false,
      panes: { separatorColor: c.line, separatorHoverColor: c.raised },
    },
    grid: { vertLines: { color: c.raised }, horzLines: { color: c.raised } },
    rightPriceScale: { borderColor: c.line },
    timeScale: { borderColor: c.line },
  };
}

/** The notice that the library's licence asks for. */
export function attribution() {
  return h(
    "p",
    { class: "muted chart-notice" },
    h("a", { href: "https://www.tradingview.com/", rel: "noopener noreferrer", target: "_blank" },
      "TradingView Lightweight Charts™"),
    " © 2026 TradingView, Inc.",
  );
}

/**
 * A chart that fills the width of `root`, restyles itself with the theme and names itself to screen readers.
 * @param {HTMLElement} root
 * @param {{height: number, label: string, dress?: () => void}} options dress: restyles the series
 * @returns {{chart: Chart, remove: () => void}}
 */
export function makeChart(root, { height, label, dress }) {
  styled("/static/charts/charts.css");
  const box = h("div", { class: "chart", role: "img", "aria-label": label, style: { height: `${height}px` } });
  root.append(box, attribution());
  const chart = createChart(box, {
    ...look(),
    autoSize: true,
    height,
    crosshair: { mode: CrosshairMode.Normal },
    localization: { locale: language, timeFormatter: (/** @type {any} */ at) => moment(at).toLocaleString(language, { hour12: false }) },
    handleScroll: { vertTouchDrag: false },
  });
  chart.applyOptions({ timeScale: { timeVisible: true, secondsVisible: true, tickMarkFormatter: tick } });
  const ended = onTheme(() => {
    chart.applyOptions(look());
    dress?.();
  });
  return {
    chart,
    remove: () => {
      ended();
      chart.remove();
    },
  };
}

/** Decimals that a price needs. @param {number[]} values */
export function precision(values) {
  const found = values.find((each) => Number.isFinite(each) && each > 0) ?? 1;
  const digits = found >= 1000 ? 2 : found >= 1 ? 4 : Math.min(10, 3 - Math.floor(Math.log10(found)));
  return { type: /** @type {"price"} */ ("price"), precision: digits, minMove: 10 ** -digits };
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

