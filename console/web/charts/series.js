/** Lines over time: equity, rankings, regimes, drift. */

import { LineSeries } from "../vendor/lightweight-charts/lightweight-charts.js";
import { makeChart } from "./base.js";
import { points } from "./data.js";
import { colours } from "./theme.js";

/** @typedef {{name: string, t: number[], value: (number | null)[], stepped?: boolean}} Named t: ms, rising */

/**
 * Lines in one chart. Set them anew as often as there is something new.
 * @param {HTMLElement} root
 * @param {{height?: number, label: string}} options
 */
export function lineChart(root, { height = 260, label }) {
  const { chart, remove } = makeChart(root, { height, label, dress: () => dress() });
  /** @type {Map<string, import("../vendor/lightweight-charts/lightweight-charts.js").ISeriesApi<"Line">>} */
  const lines = new Map();

  function dress() {
    const c = colours();
    [...lines.values()].forEach((line, place) => line.applyOptions({ color: [c.accent, c.warn, c.up, c.down, c.muted, c.critical][place % 6] }));
  }

  return {
    chart,
    /** @param {Named[]} next */
    set(next) {
      for (const [name, line] of lines) {
        if (!next.some((each) => each.name === name)) {
          chart.removeSeries(line);
          lines.delete(name);
        }
      }
      for (const each of next) {
        const line = lines.get(each.name) ?? chart.addSeries(LineSeries, { lineWidth: 2, title: each.name, priceLineVisible: false, lineType: each.stepped ? 1 : 0 });
        lines.set(each.name, line);
        line.setData(points(each.t, (i) => (Number.isFinite(each.value[i]) && each.value[i] !== null ? { value: Number(each.value[i]) } : null)));
      }
      dress();
      chart.timeScale().fitContent();
    },
    remove,
  };
}
