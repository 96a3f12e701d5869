/** What every chart of TradingView's Lightweight Charts here begins with: look, local time, attribution. */

import { h } from "../dom.js";
import { language } from "../i18n.js";
import { createChart, CrosshairMode } from "../vendor/lightweight-charts/lightweight-charts.js";
import { moment, tick } from "./data.js";
import { colours, onTheme, styled } from "./theme.js";

/** @typedef {import("../vendor/lightweight-charts/lightweight-charts.js").IChartApi} Chart */

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
    localization: { locale: language, timeFormatter: (/** @type {any} */ at) => moment(at).toLocaleString(language, { hourCycle: "h23" }) },
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
