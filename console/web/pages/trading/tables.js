/** Tables of trading: signals with predictions, positions, orders, fills. */

import { part } from "../../api.js";
import { h } from "../../dom.js";
import { number, percent, price, t, time } from "../../i18n.js";
import { chip, table } from "../../ui.js";
import { toggle } from "./paper.js";

/**
 * @typedef {{name: string, target: string, horizon: string, at: number, reference: number | null, value: number | null,
 *   direction: string, probability: number | null}} Forecast
 * @typedef {{instrument: string, name: string, currency: string, yesterday: number | null, last: number | null,
 *   last_at: number | null, action: string, policy: string, advantage: number | null, price: number | null,
 *   action_at: number | null, forecast: Forecast | null, forecasts: Forecast[], switched: boolean}} Line
 * @typedef {{instrument: string, at: number, currency: string, position: number, cost: number, realised: number,
 *   unrealised: number, fees: number, taxes: number, result: number}} Account
 */

/** @param {string} id */
export const instrument = (id) => h("a", { href: `/instruments/${part(id)}` }, id);

/** A number with its sign's colour. @param {number | null} value @param {string} text */
export const signed = (value, text) =>
  h("span", { class: value === null || value === 0 ? "" : value > 0 ? "up" : "down" }, value !== null && value > 0 ? `+${text.replace(/^\+/, "")}` : text);

/** @param {number | null} now @param {number | null} then */
const change = (now, then) => (now === null || !then ? null : now / then - 1);

/** What a model expects: a value with its way from the reference, or a class. @param {Forecast} forecast */
function predicted(forecast) {
  const way = change(forecast.value, forecast.reference);
  const said = forecast.value !== null
    ? [forecast.target === "return" ? percent(forecast.value) : price(forecast.value), way !== null ? [" (", signed(way, percent(way)), ")"] : null]
    : [chip(forecast.direction)];
  return h("span", { title: t("{name} over {horizon}, made {at}", { name: forecast.name, horizon: forecast.horizon, at: time(forecast.at) }) }, said.flat(2));
}

/**
 * Action, prediction and yesterday's close of each instrument.
 * @param {Line[]} lines @param {() => void} changed
 */
export function signalTable(lines, changed) {
  const forecasts = lines.some((line) => line.forecast);
  const wanted = [
    { heading: t("Instrument"), cell: (/** @type {Line} */ line) => [instrument(line.instrument), line.name ? h("div", { class: "muted" }, line.name) : null] },
    { heading: t("Yesterday's close"), numeric: true, cell: (/** @type {Line} */ line) => price(line.yesterday) },
    { heading: t("Last"), numeric: true, cell: (/** @type {Line} */ line) => price(line.last) },
    {
      heading: t("Change"), numeric: true,
      cell: (/** @type {Line} */ line) => {
        const way = change(line.last, line.yesterday);
        return way === null ? "–" : signed(way, percent(way));
      },
    },
    { heading: t("Prediction"), numeric: true, forecast: true, cell: (/** @type {Line} */ line) => (line.forecast ? [predicted(line.forecast), h("div", { class: "muted" }, `${line.forecast.name}, ${line.forecast.horizon}`)] : "–") },
    {
      heading: t("Probability"), numeric: true, forecast: true,
      cell: (/** @type {Line} */ line) => (line.forecast?.probability ? `${number(line.forecast.probability * 100, 0)} %` : "–"),
    },
    { heading: t("Action"), cell: (/** @type {Line} */ line) => (line.action ? chip(line.action) : "–") },
    { heading: t("At price"), numeric: true, cell: (/** @type {Line} */ line) => price(line.price) },
    { heading: t("Advantage"), numeric: true, cell: (/** @type {Line} */ line) => number(line.advantage, 3) },
    { heading: t("Decided"), cell: (/** @type {Line} */ line) => time(line.action_at) },
    { heading: t("Auto-trading"), cell: (/** @type {Line} */ line) => toggle(line.instrument, line.switched, changed) },
  ];
  return table(
    wanted.filter((each) => forecasts || !each.forecast),
    lines,
    { caption: t("Actions and predictions by instrument"), empty: t("No policy has acted yet. Run `tapewatch run engine` with a policy in force.") },
  );
}

/** @param {Account[]} accounts */
export function positionTable(accounts) {
  return table(
    [
      { heading: t("Instrument"), cell: (each) => instrument(each.instrument) },
      { heading: t("Position"), numeric: true, cell: (each) => number(each.position, 8) },
      { heading: t("Cost"), numeric: true, cell: (each) => number(each.cost) },
      { heading: t("Realised"), numeric: true, cell: (each) => signed(each.realised, number(each.realised)) },
      { heading: t("Unrealised"), numeric: true, cell: (each) => signed(each.unrealised, number(each.unrealised)) },
      { heading: t("Fees and taxes"), numeric: true, cell: (each) => number(each.fees + each.taxes) },
      { heading: t("Result"), numeric: true, cell: (each) => [signed(each.result, number(each.result)), " ", each.currency] },
      { heading: t("As of"), cell: (each) => time(each.at) },
    ],
    accounts,
    { caption: t("Paper positions"), empty: t("Nothing is held, and nothing was traded.") },
  );
}

/** @param {any[]} orders */
export function orderTable(orders) {
  return table(
    [
      { heading: t("Changed"), cell: (each) => time(each.updated) },
      { heading: t("Instrument"), cell: (each) => instrument(each.instrument) },
      { heading: t("Side"), cell: (each) => chip(each.side) },
      { heading: t("Kind"), cell: (each) => t(each.kind) },
      { heading: t("Price"), numeric: true, cell: (each) => price(each.price) },
      { heading: t("Quantity"), numeric: true, cell: (each) => number(each.qty, 8) },
      { heading: t("Filled"), numeric: true, cell: (each) => number(each.filled, 8) },
      { heading: t("State"), cell: (each) => chip(each.state) },
      { heading: t("Reason"), cell: (each) => each.reason },
    ],
    orders,
    { caption: t("Recent orders"), empty: t("No order yet.") },
  );
}

/** @param {any[]} fills */
export function fillTable(fills) {
  return table(
    [
      { heading: t("Executed"), cell: (each) => time(each.at) },
      { heading: t("Instrument"), cell: (each) => instrument(each.instrument) },
      { heading: t("Side"), cell: (each) => chip(each.side) },
      { heading: t("Price"), numeric: true, cell: (each) => price(each.price) },
      { heading: t("Quantity"), numeric: true, cell: (each) => number(each.qty, 8) },
      { heading: t("Liquidity"), cell: (each) => t(each.liquidity || "unknown") },
      { heading: t("Fees and taxes"), numeric: true, cell: (each) => `${number(each.fee + each.tax, 4)} ${each.currency}` },
    ],
    fills,
    { caption: t("Recent fills"), empty: t("Nothing was executed yet.") },
  );
}
