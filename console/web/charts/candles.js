/** Candles with markers, and panes below for volume, score and a feature: the Instrument and the Alert page's chart. */

import { t } from "../i18n.js";
import {
  CandlestickSeries, createSeriesMarkers, HistogramSeries, LineSeries,
} from "../vendor/lightweight-charts/lightweight-charts.js";
import { makeChart } from "./base.js";
import { moved, onBars, placed, points, precision, seconds } from "./data.js";
import { colours, faded } from "./theme.js";

/**
 * @typedef {import("./data.js").Bars} Bars
 * @typedef {import("./data.js").Line} Line
 * @typedef {{t: number, kind: string, text?: string}} Marker kind: low, medium, high, critical (alerts), buy, sell,
 *   cancel_buy, cancel_sell (actions), or any other word for a neutral mark
 */

/** @param {string} kind @returns {{position: any, shape: any, token: keyof ReturnType<typeof colours>}} */
function marked(kind) {
  if (kind === "buy") return { position: "belowBar", shape: "arrowUp", token: "up" };
  if (kind === "sell") return { position: "aboveBar", shape: "arrowDown", token: "down" };
  if (kind.startsWith("cancel")) return { position: "belowBar", shape: "square", token: "muted" };
  if (["low", "medium", "high", "critical"].includes(kind)) {
    return { position: "aboveBar", shape: "circle", token: /** @type {any} */ (kind) };
  }
  return { position: "aboveBar", shape: "square", token: "accent" };
}

/**
 * @param {HTMLElement} root
 * @param {{height?: number, label: string, panes?: string[]}} options panes: names of lines below, each its own pane
 */
export function candleChart(root, { height = 520, label, panes = [] }) {
  const { chart, remove } = makeChart(root, { height, label, dress: () => dress() });
  const candles = chart.addSeries(CandlestickSeries, {}, 0);
  const volume = chart.addSeries(HistogramSeries, { title: t("Volume"), priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1);
  const lines = new Map(panes.map((name, place) => [name, chart.addSeries(LineSeries, { lineWidth: 2, title: name, priceLineVisible: false }, 2 + place)]));
  const markers = createSeriesMarkers(candles, []);
  chart.panes()[0].setStretchFactor(4);
  chart.panes().slice(1).forEach((pane) => pane.setStretchFactor(1));
  /** @type {Bars} */
  let bars = { t: [], open: [], high: [], low: [], close: [], volume: [] };
  /** @type {Marker[]} */
  let shown = [];

  /** @param {number} index */
  const volumePoint = (index) => {
    const c = colours();
    return { value: bars.volume[index] ?? 0, color: faded(bars.close[index] >= bars.open[index] ? c.up : c.down, 0.55) };
  };

  function dress() {
    const c = colours();
    candles.applyOptions({
      upColor: c.up, downColor: c.down, borderUpColor: c.up, borderDownColor: c.down, wickUpColor: c.up, wickDownColor: c.down,
    });
    [...lines.values()].forEach((line, place) => line.applyOptions({ color: [c.accent, c.warn, c.high, c.low][place % 4] }));
    volume.setData(points(bars.t, volumePoint));
    mark();
  }

  function mark() {
    const c = colours();
    markers.setMarkers(
      placed(bars.t, shown).map(({ each, time }) => {
        const { position, shape, token } = marked(each.kind);
        return { time, position, shape, color: c[token], text: each.text ?? "" };
      }),
    );
  }

  dress();
  return {
    chart,
    /** Replace all bars. @param {Bars} next */
    setBars(next) {
      bars = { t: [...next.t], open: [...next.open], high: [...next.high], low: [...next.low], close: [...next.close], volume: [...next.volume] };
      candles.applyOptions({ priceFormat: precision(bars.close) });
      candles.setData(points(bars.t, (i) => ({ open: bars.open[i], high: bars.high[i], low: bars.low[i], close: bars.close[i] })));
      volume.setData(points(bars.t, volumePoint));
      mark();
    },
    /**
     * A price that came now: moves the last bar, or opens the next. Earlier times are passed over.
     * @param {number} at begin of its bar, ms @param {number} price @param {number} [qty] traded since the last call
     */
    tick(at, price, qty = 0) {
      if (!moved(bars, at, price, qty)) return;
      const i = bars.t.length - 1;
      candles.update({ time: seconds(at), open: bars.open[i], high: bars.high[i], low: bars.low[i], close: bars.close[i] });
      volume.update({ time: seconds(at), ...volumePoint(i) });
    },
    /** Replace all markers; each is drawn at the bar that it falls into. @param {Marker[]} next */
    setMarkers(next) {
      shown = next;
      mark();
    },
    /**
     * Replace a line of the panes. The chart has one time axis, whose points are the bars: of the values within a bar the
     * highest is drawn, or the last.
     * @param {string} name @param {Line} line @param {string} [title] @param {"highest" | "last"} [pick]
     */
    setLine(name, line, title, pick = "last") {
      const series = lines.get(name);
      if (title) series?.applyOptions({ title });
      const values = onBars(bars.t, line, pick);
      series?.setData(points(bars.t, (i) => (values[i] === null ? null : { value: Number(values[i]) })));
    },
    /** Show everything. */
    fit: () => chart.timeScale().fitContent(),
    remove,
  };
}
