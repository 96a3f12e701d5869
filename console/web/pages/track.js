/** Track record: every past prediction with what happened, and how each model has done. */

import { address, get } from "../api.js";
import { styled } from "../charts/theme.js";
import { fill, h } from "../dom.js";
import { number, percent, price, t, time } from "../i18n.js";
import { attempt, card, chip, field, load, select, table } from "../ui.js";
import { instrument, signed } from "./trading/tables.js";

/**
 * @typedef {{id: string, instrument: string, at: number, horizon: string, target: string, name: string, model: string,
 *   base: number | null, value: number | null, direction: string, probability: number | null, outcome: number | null,
 *   outcome_at: number | null, realised: number | null, expected: number | null, hit: boolean | null}} Past
 * @typedef {{value: number, low: number | null, high: number | null}} Figure
 * @typedef {{name: string, target: string, horizon: string, made: number, known: number, days: number, judged: number,
 *   first: number, last: number, hit_rate: Figure | null, majority: number | null, rmse_ratio: Figure | null}} Judged
 */

/** A figure with its interval. @param {Figure | null} figure @param {(value: number) => string} text */
function ranged(figure, text) {
  if (!figure) return "–";
  const range = figure.low === null || figure.high === null ? t("too few days") : `${text(figure.low)}\u00a0–\u00a0${text(figure.high)}`;
  return [text(figure.value), h("div", { class: "muted" }, range)];
}

/** @param {number} share */
const share = (share) => `${number(share * 100, 1)}\u00a0%`;

/** What is expected over which horizon, in one line. @param {{target: string, horizon: string}} each */
const aim = (each) => `${t(each.target)},\u00a0${each.horizon}`;

/** @param {number | null} move */
const moved = (move) => signed(move, percent(move).replace(" ", "\u00a0"));

/** @param {Judged[]} models */
function modelTable(models) {
  return table(
    [
      { heading: t("Model"), cell: (each) => each.name },
      { heading: t("Target"), cell: aim },
      { heading: t("Predictions"), numeric: true, cell: (each) => number(each.made, 0) },
      { heading: t("Outcome known"), numeric: true, cell: (each) => number(each.known, 0) },
      { heading: t("Direction judged"), numeric: true, cell: (each) => number(each.judged, 0) },
      { heading: t("Hit rate"), numeric: true, cell: (each) => ranged(each.hit_rate, share) },
      { heading: t("More frequent side"), numeric: true, cell: (each) => (each.majority === null ? "–" : share(each.majority)) },
      { heading: t("RMSE to persistence"), numeric: true, cell: (each) => ranged(each.rmse_ratio, (value) => number(value, 4)) },
      { heading: t("Days"), numeric: true, cell: (each) => number(each.days, 0) },
    ],
    models,
    { caption: t("Record of each model"), empty: t("No model has predicted anything that fits.") },
  );
}

/** @param {Past} past */
function said(past) {
  const side = past.direction.startsWith("rise") ? "up" : past.direction.startsWith("fall") ? "down" : past.direction;
  if (past.value === null) return [chip(side, past.direction), past.probability === null ? null : ` ${number(past.probability * 100, 0)}\u00a0%`];
  if (past.target === "return") return percent(past.value);
  return [price(past.value), " ", past.expected === null ? null : moved(past.expected)];
}

/** @param {Past} past */
function verdict(past) {
  if (past.outcome === null) return chip("pending", t("pending"));
  if (past.hit === null) return t("no side");
  return past.hit ? chip("good", t("right")) : chip("bad", t("wrong"));
}

/** @param {Past[]} predictions */
function recordTable(predictions) {
  return table(
    [
      { heading: t("Made"), cell: (each) => time(each.at) },
      { heading: t("Instrument"), cell: (each) => instrument(each.instrument) },
      { heading: t("Model"), cell: (each) => h("span", { title: each.model }, each.name) },
      { heading: t("Target"), cell: aim },
      { heading: t("Price then"), numeric: true, cell: (each) => price(each.base) },
      { heading: t("Prediction"), numeric: true, cell: said },
      { heading: t("What happened"), numeric: true, cell: (each) => (each.outcome === null ? "–" : [price(each.outcome), " ", moved(each.realised)]) },
      { heading: t("At"), cell: (each) => time(each.outcome_at) },
      { heading: t("Direction"), cell: verdict },
    ],
    predictions,
    { caption: t("Past predictions"), empty: t("No prediction fits.") },
  );
}

/** Midnight UTC of a day. @param {string} day @param {number} more days */
const midnight = (day, more) => (day ? new Date(Date.parse(`${day}T00:00:00Z`) + more * 86_400_000).toISOString().replace(".000Z", "Z") : null);

/** @param {HTMLElement} root */
export async function draw(root) {
  styled("/static/pages/trading/trading.css");
  const models = h("div", {});
  const record = h("div", {});
  const facts = h("p", { class: "muted", role: "status" });
  const again = () => void attempt(refresh);
  /** @param {string} type */
  const input = (type) => /** @type {HTMLInputElement} */ (h("input", { type, onchange: again }));
  const [wanted, since, until] = [input("search"), input("date"), input("date")];
  wanted.placeholder = "*.XTAI";
  const name = select([["", t("All models")]], { onchange: again });
  const target = select([["", t("All targets")]], { onchange: again });
  const newer = h("button", { onclick: () => turn(-1) }, t("Newer"));
  const older = h("button", { onclick: () => turn(1) }, t("Older"));
  const taken = h("a", { class: "button", download: "track-record.csv" }, t("Table as CSV"));
  /** Cursors of the pages up to the one shown. */
  let cursors = [""];

  const chosen = () => ({
    model: name.value || null, target: target.value || null, instrument: wanted.value.trim() || null,
    since: midnight(since.value, 0), until: midnight(until.value, 1),
  });

  /** @param {number} way */
  function turn(way) {
    if (way < 0) cursors.splice(-2);
    void attempt(page);
  }

  async function page() {
    const found = await get("/track-record", { ...chosen(), cursor: cursors[cursors.length - 1] || null });
    fill(record, recordTable(found.predictions));
    newer.toggleAttribute("disabled", cursors.length < 2);
    older.toggleAttribute("disabled", !found.cursor);
    facts.textContent = t("Page {page}", { page: cursors.length });
    cursors.push(found.cursor);
  }

  async function refresh() {
    cursors = [""];
    taken.setAttribute("href", address("/track-record/export.csv", chosen()));
    const [judged] = await Promise.all([get("/track-record/models", chosen()), page()]);
    fill(models, modelTable(judged));
    return /** @type {Judged[]} */ (judged);
  }

  await load(root, async () => {
    const every = await refresh();
    for (const [list, key] of /** @type {const} */ ([[name, "name"], [target, "target"]])) {
      for (const each of new Set(every.map((one) => one[key]))) list.append(h("option", { value: each }, key === "target" ? t(each) : each));
    }
    return [
      h("div", { class: "row between" }, h("h1", {}, t("Track record")), taken),
      h("div", { class: "row filters" },
        field(t("Model"), name), field(t("Target"), target), field(t("Instrument"), wanted), field(t("From"), since), field(t("To"), until)),
      card(t("Models"), models, h("p", { class: "muted" }, t("Over 3,000 predictions that fit, the newest of each model and as many of each, with 95 % intervals over days. Persistence expects no move: below 1 is better."))),
      card(t("Past predictions"), record, h("div", { class: "row end" }, facts, newer, older)),
    ];
  });
}
