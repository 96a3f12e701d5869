/** Coins: ranked by the probability to reach a target before a stop, with what that rests on, and regimes over time. */

import { get } from "../api.js";
import { lineChart } from "../charts/series.js";
import { styled } from "../charts/theme.js";
import { fill, h } from "../dom.js";
import { number, percent, price, t, time } from "../i18n.js";
import { subscribe } from "../live/events.js";
import { attempt, chip, field, load, select, table } from "../ui.js";
import { strips } from "./trading/strips.js";
import { instrument, signed } from "./trading/tables.js";

/**
 * @typedef {{instrument: string, place: number, probability: number, regime: string, regimes: Record<string, string>,
 *   hourly_return: number | null, win_rate: number | null, buys: number | null, sells: number | null,
 *   volatility: number | null, volatility_level: number | null, high_line: number | null, low_line: number | null,
 *   position: number | null, averages: Record<string, number>, volumes: Record<string, number>}} Place
 */

/** @param {number | null} share @param {string} label */
const meter = (share, label) =>
  share === null ? "–" : [h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${share * 100}%` } })), label];

/** @param {string} regime */
const regimeChip = (regime) => (regime ? chip(regime === "bull" ? "up" : "down", regime) : "–");

/** @param {Place[]} places @param {string} empty @param {(place: Place) => void} chosen */
function rankingTable(places, empty, chosen) {
  return table(
    [
      { heading: t("Place"), numeric: true, cell: (each) => each.place },
      { heading: t("Coin"), cell: (each) => instrument(each.instrument) },
      { heading: t("Probability"), cell: (each) => meter(each.probability, `${number(each.probability * 100, 1)} %`) },
      { heading: t("Regime"), cell: (each) => regimeChip(each.regime) },
      { heading: t("Last hour"), numeric: true, cell: (each) => signed(each.hourly_return, percent(each.hourly_return)) },
      { heading: t("Win rate"), numeric: true, cell: (each) => (each.win_rate === null ? "–" : `${number(each.win_rate * 100, 0)} %`) },
      { heading: t("Volatility a minute"), numeric: true, cell: (each) => percent(each.volatility, 3).replace("+", "") },
      { heading: t("Buys / sells, 1 h"), numeric: true, cell: (each) => `${number(each.buys)} / ${number(each.sells)}` },
      { heading: t("Volume, 1 d"), numeric: true, cell: (each) => number(each.volumes["1d"] ?? each.volumes["24h"] ?? null) },
      { heading: t("Between low and high of the day"), cell: (each) => meter(each.position, `${price(each.low_line)} – ${price(each.high_line)}`) },
      { heading: t("Regimes"), cell: (each) => h("button", { onclick: () => chosen(each) }, t("Show"), h("span", { class: "hidden" }, ` ${each.instrument}`)) },
    ],
    places,
    { caption: t("Coins by probability"), empty },
  );
}

/** Averages and volumes over all windows. @param {Place} place */
function windows(place) {
  const names = Object.keys(place.volumes);
  if (!names.length) return null;
  return table(
    [
      { heading: t("Window"), cell: (/** @type {string} */ name) => name },
      { heading: t("Average price"), numeric: true, cell: (name) => price(place.averages[name] ?? null) },
      { heading: t("Volume"), numeric: true, cell: (name) => number(place.volumes[name] ?? null) },
    ],
    names,
    { caption: t("Averages and volumes of {coin}", { coin: place.instrument }) },
  );
}

/** @param {HTMLElement} root */
export async function draw(root) {
  styled("/static/pages/trading/trading.css");
  const facts = h("p", { class: "muted" });
  const list = h("div", {});
  const left = h("details", {});
  const detail = h("section", { class: "card" });
  const chartBox = h("div", {});
  const strip = h("div", {});
  const names = select([["", t("Newest")]], { onchange: () => void refresh().then(show) });
  const hours = select(
    [["6", t("6 hours")], ["24", t("1 day")], ["168", t("1 week")], ["720", t("30 days")]],
    { "aria-label": t("Time shown"), value: "24", onchange: () => void show() },
  );
  /** @type {ReturnType<typeof lineChart> | null} */
  let chart = null;
  /** @type {Place | null} */
  let coin = null;

  async function refresh() {
    const found = await get("/rankings", { name: names.value });
    if (names.options.length === 1) names.append(...found.names.map((/** @type {string} */ name) => h("option", { value: name }, name)));
    facts.textContent = found.at
      ? t("Reach {target} before {stop} within {minutes} minutes; made {at} by model {model}", {
          target: percent(found.target_return), stop: percent(found.stop_return), minutes: found.horizon_s / 60, at: time(found.at), model: found.model,
        })
      : "";
    const empty = found.at
      ? t("No coin can be ranked yet; the reasons are below.")
      : t("No ranking yet. Run `tapewatch run desk` beside the engine.");
    if (!list.contains(document.activeElement)) {
      fill(list, rankingTable(found.places, empty, (place) => { coin = place; void show(); }));
    }
    const out = Object.entries(found.left_out);
    left.hidden = !out.length;
    fill(left, h("summary", {}, t("Left out: {count}", { count: out.length })),
      h("ul", {}, out.map(([name, reason]) => h("li", {}, `${name}: ${reason}`))));
    coin = found.places.find((/** @type {Place} */ each) => each.instrument === coin?.instrument) ?? coin ?? found.places[0] ?? null;
  }

  async function show() {
    detail.hidden = !coin;
    if (!coin) return;
    const history = await get("/regimes", { instrument: coin.instrument, hours: hours.value, name: names.value });
    fill(strip, strips(history));
    fill(detail,
      h("div", { class: "row between" }, h("h2", {}, t("Regimes of {coin}", { coin: coin.instrument })), hours),
      strip, h("h3", {}, t("Probability")), chartBox, windows(coin));
    chart ??= lineChart(chartBox, { height: 220, label: t("Probability to reach the target over time") });
    chart.set([{ name: t("Probability, %"), t: history.at, value: history.probability.map((/** @type {number | null} */ each) => (each === null ? null : each * 100)) }]);
  }

  await load(root, async () => {
    await refresh();
    return [
      h("h1", {}, t("Coins")),
      facts,
      h("section", { class: "card" }, h("div", { class: "filters" }, field(t("Ranking"), names)), list, left),
      detail,
    ];
  });
  // Charts are drawn once they have a width.
  await attempt(show);
  const ended = subscribe(["rankings"], () => {
    if (!document.hidden) void refresh().then(show).catch(() => {});
  });
  return () => {
    ended();
    chart?.remove();
  };
}
