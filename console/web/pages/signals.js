/** Signals: actions and predictions in one table, the paper broker's switches, positions, equity, orders and fills. */

import { get } from "../api.js";
import { lineChart } from "../charts/series.js";
import { styled } from "../charts/theme.js";
import { fill, h } from "../dom.js";
import { number, t } from "../i18n.js";
import { subscribe } from "../live/events.js";
import { card, load, select } from "../ui.js";
import { controls, running } from "./trading/paper.js";
import { fillTable, orderTable, positionTable, signalTable, signed } from "./trading/tables.js";

const EVERY_MS = 5000;

/** @param {string} heading @param {...import("../dom.js").Child} children */
const figure = (heading, ...children) => h("section", { class: "card" }, h("h2", {}, heading), ...children);

/**
 * @param {import("./trading/paper.js").Paper} paper
 * @param {{currency: string, closed: number, won: number, win_rate: number | null, result: number}[]} trips
 * @param {import("./trading/tables.js").Account[]} accounts
 * @param {() => void} again
 */
function figures(paper, trips, accounts, again) {
  /** @type {Map<string, number>} */
  const results = new Map();
  for (const each of accounts) results.set(each.currency, (results.get(each.currency) ?? 0) + each.result);
  const standing = paper.partitions.reduce((sum, each) => sum + each.standing, 0);
  return [
    figure(t("Paper trading"), h("p", {}, running(paper.running), " ", t("{count} orders standing", { count: standing })), controls(again)),
    figure(
      t("Result"),
      results.size
        ? [...results].map(([currency, result]) => h("div", { class: "figure" }, signed(result, number(result)), ` ${currency}`))
        : h("p", { class: "empty" }, t("Nothing was traded yet.")),
      h("p", { class: "muted" }, t("Realised and unrealised, less fees and taxes")),
    ),
    figure(
      t("Win rate"),
      trips.length
        ? trips.map((each) =>
            h("div", {},
              h("span", { class: "figure" }, each.win_rate === null ? "–" : `${number(each.win_rate * 100, 0)} %`),
              ` ${t("{won} of {closed} round trips", { won: each.won, closed: each.closed })}, ${each.currency}`))
        : h("p", { class: "empty" }, t("No round trip is closed yet.")),
      h("p", { class: "muted" }, t("From flat to flat again, after fees and taxes")),
    ),
    figure(
      t("Positions"),
      h("div", { class: "figure" }, number(accounts.filter((each) => each.position !== 0).length, 0)),
      h("p", { class: "muted" }, t("{count} instruments traded", { count: accounts.length })),
    ),
  ];
}

/** Signals that led to no order. @param {Record<string, number>} skipped */
function skippedList(skipped) {
  const reasons = Object.entries(skipped).sort((a, b) => b[1] - a[1]);
  if (!reasons.length) return null;
  return h("details", {},
    h("summary", {}, t("Signals that led to no order")),
    h("ul", {}, reasons.map(([reason, count]) => h("li", {}, `${t(reason.replaceAll("_", " "))}: ${number(count, 0)}`))));
}

/** @param {HTMLElement} root */
export async function draw(root) {
  styled("/static/pages/trading/trading.css");
  const top = h("div", { class: "figures" });
  const actions = h("div", {});
  const held = h("div", {});
  const orders = h("div", {});
  const fills = h("div", {});
  const equity = h("div", {});
  const nothing = h("p", { class: "empty" });
  const search = /** @type {HTMLInputElement} */ (h("input", { type: "search", "aria-label": t("Find an instrument"), placeholder: t("Find an instrument"), oninput: () => showLines() }));
  const model = select([["", t("Newest of any model")]], { "aria-label": t("Model"), onchange: () => showLines() });
  const hours = select(
    [["1", t("1 hour")], ["6", t("6 hours")], ["24", t("1 day")], ["168", t("1 week")]],
    { "aria-label": t("Time shown"), value: "24", onchange: () => void refresh() },
  );
  /** @type {import("./trading/tables.js").Line[]} */
  let lines = [];
  /** @type {ReturnType<typeof lineChart> | null} */
  let chart = null;

  function showLines() {
    const wanted = search.value.trim().toLowerCase();
    const chosen = lines
      .filter((line) => `${line.instrument} ${line.name}`.toLowerCase().includes(wanted))
      .map((line) => (model.value ? { ...line, forecast: line.forecasts.find((each) => each.name === model.value) ?? null } : line));
    // A table that is being used is left alone: the next look draws it.
    if (!actions.contains(document.activeElement)) fill(actions, signalTable(chosen, () => void refresh()));
  }

  async function refresh() {
    show(await looked());
  }

  const looked = () =>
    Promise.all([
      get("/signals/table"), get("/positions"), get("/equity", { hours: hours.value }), get("/round-trips"), get("/paper"),
      get("/orders", { limit: 50 }), get("/fills", { limit: 50 }),
    ]);

  /** @param {Awaited<ReturnType<typeof looked>>} found */
  function show(found) {
    const [table, accounts, curve, trips, paper, ordered, filled] = found;
    lines = table;
    const known = new Set([...model.options].map((each) => each.value));
    for (const each of new Set(lines.flatMap((line) => line.forecasts.map((one) => one.name)))) {
      if (!known.has(each)) model.append(h("option", { value: each }, each));
    }
    model.hidden = model.options.length < 2;
    showLines();
    if (!top.contains(document.activeElement)) fill(top, ...figures(paper, trips, accounts, () => void refresh()));
    fill(held, positionTable(accounts));
    fill(orders, orderTable(ordered), skippedList(paper.skipped));
    fill(fills, fillTable(filled));
    const results = Object.entries(curve.result);
    nothing.textContent = results.length ? "" : t("No account yet: the curve begins with the first trade.");
    if (results.length) {
      chart ??= lineChart(equity, { label: t("Paper result over time by currency") });
      chart.set(results.map(([currency, value]) => ({ name: currency, t: curve.at, value: /** @type {number[]} */ (value) })));
    }
  }

  /** @type {Awaited<ReturnType<typeof looked>> | null} */
  let first = null;
  await load(root, async () => {
    first = await looked();
    return [
      h("h1", {}, t("Signals")),
      top,
      h("section", { class: "card" }, h("div", { class: "row between" }, h("h2", {}, t("Actions and predictions")), h("div", { class: "row" }, model, search)), actions),
      h("section", { class: "card" }, h("div", { class: "row between" }, h("h2", {}, t("Equity")), hours), nothing, equity),
      card(t("Paper positions"), held),
      h("div", { class: "grid" }, card(t("Recent orders"), orders), card(t("Recent fills"), fills)),
    ];
  });
  // Charts are drawn once they have a width.
  if (first) show(first);
  let fresh = false;
  const ended = subscribe(["signals"], () => (fresh = true));
  let rounds = 0;
  const timer = setInterval(() => {
    // New signals are shown at once; accounts and orders now and then.
    if (document.hidden || (!fresh && ++rounds % 3)) return;
    fresh = false;
    void refresh().catch(() => {});
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    ended();
    chart?.remove();
  };
}
