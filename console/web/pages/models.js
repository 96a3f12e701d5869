/** Models: champions and challengers with their cards, and whether scores still are what they were. */

import { get, part } from "../api.js";
import { lineChart } from "../charts/series.js";
import { styled } from "../charts/theme.js";
import { fill, h } from "../dom.js";
import { number, t, time } from "../i18n.js";
import { markdown } from "../markdown.js";
import { may } from "../state.js";
import { attempt, card, chip, load, select, table } from "../ui.js";

/**
 * @typedef {{hash: string, detector: string, role: "champion" | "shadow" | "challenger", places: string[], size: string,
 *   inputs: number, rows: number, data: string, since: string, who: string, why: string}} Model
 * @typedef {{detector: string, version: string, at: number[], psi: (number | null)[], probability: (number | null)[],
 *   rows: number[], state: "good" | "warn" | "bad"}} Shift
 * @typedef {{step_s: number, share: number, moderate: number, strong: number, detectors: Shift[]}} Shifts
 */

const ROLES = { champion: "good", shadow: "warn", challenger: "low" };

/** @param {string} hash */
async function showCard(hash) {
  const found = await attempt(() => get(`/models/${part(hash)}`));
  if (!found) return;
  const dialog = /** @type {HTMLDialogElement} */ (
    h("dialog", { class: "wide", "aria-label": t("Model card") },
      h("div", { class: "row between" }, h("span", { class: "mono muted" }, hash), h("button", { onclick: () => dialog.close(), autofocus: true }, t("Close"))),
      h("div", { class: "markdown" }, markdown(found.markdown)))
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {Model[]} models */
function modelTable(models) {
  return table(
    [
      { heading: t("Detector"), cell: (each) => each.detector },
      { heading: t("Role"), cell: (each) => chip(ROLES[each.role], each.role) },
      { heading: t("Content hash"), cell: (each) => h("code", {}, each.hash) },
      { heading: t("Size"), cell: (each) => each.size || "–" },
      { heading: t("Inputs"), numeric: true, cell: (each) => number(each.inputs, 0) },
      { heading: t("Training rows"), numeric: true, cell: (each) => number(each.rows, 0) },
      { heading: t("In force"), cell: (each) => (each.since ? h("span", { title: each.why }, `${time(each.since)}, ${each.who}`) : each.role === "champion" ? t("as shipped") : "–") },
      {
        heading: t("Acts"),
        cell: (each) => h("div", { class: "row" },
          h("button", { onclick: () => void showCard(each.hash) }, t("Card"), h("span", { class: "hidden" }, ` ${each.detector} ${each.hash}`)),
          each.role !== "champion" && may("analyst")
            ? h("a", { class: "button", href: `/proposals?kind=promotion&subject=${part(each.hash)}` }, t("Propose promotion"))
            : null),
      },
    ],
    models,
    { caption: t("Models by detector"), empty: t("No model is found.") },
  );
}

/** @param {Shifts} found */
function driftTable(found) {
  const newest = (/** @type {(number | null)[]} */ values) => values.findLast((each) => each !== null) ?? null;
  /** @type {Record<string, string>} */
  const words = { good: t("as before"), warn: t("worth a look"), bad: t("train anew") };
  return table(
    [
      { heading: t("Detector"), cell: (each) => each.detector },
      { heading: t("Version"), cell: (each) => h("code", {}, each.version) },
      { heading: t("State"), cell: (each) => chip(each.state, words[each.state]) },
      { heading: t("Stability index"), numeric: true, cell: (each) => number(newest(each.psi), 3) },
      { heading: t("Mean probability"), numeric: true, cell: (each) => number(newest(each.probability), 4) },
      { heading: t("Scores looked at"), numeric: true, cell: (each) => number(each.rows.reduce((sum, count) => sum + count, 0), 0) },
      { heading: t("Newest block ends"), cell: (each) => time(each.at.at(-1) ?? null) },
    ],
    found.detectors,
    { caption: t("Drift by detector"), empty: t("No score is kept yet.") },
  );
}

/** @param {HTMLElement} root */
export async function draw(root) {
  styled("/static/pages/trading/trading.css");
  const drift = h("div", {});
  const box = h("div", {});
  const step = select(
    [["0", t("Automatic")], ["86400", t("Days")], ["3600", t("Hours")], ["600", t("10 minutes")], ["60", t("Minutes")]],
    { "aria-label": t("Blocks of time"), value: "0", onchange: () => void attempt(showDrift) },
  );
  /** @type {ReturnType<typeof lineChart> | null} */
  let chart = null;

  async function showDrift() {
    const found = /** @type {Shifts} */ (await get("/drift", { step_s: step.value }));
    fill(drift, driftTable(found));
    const lines = found.detectors.filter((each) => each.psi.some((value) => value !== null));
    if (!lines.length) return;
    chart ??= lineChart(box, { label: t("Stability index over time by detector") });
    chart.set(lines.map((each) => ({ name: each.detector, t: each.at, value: each.psi })));
  }

  const body = h("div", {}, h("p", { class: "muted" }, t("Loading")));
  fill(root, h("h1", {}, t("Models")), body);
  await load(body, async () => {
    const models = /** @type {Model[]} */ (await get("/models"));
    const [champions, others] = [models.filter((each) => each.role === "champion"), models.filter((each) => each.role !== "champion")];
    return [
      card(t("Champions"), h("p", { class: "muted" }, t("What decides now. A change is proposed by one and approved by another.")), modelTable(champions)),
      card(t("Challengers"), modelTable(others)),
      h("section", { class: "card" },
        h("div", { class: "row between" }, h("h2", {}, t("Drift of scores")), step),
        h("p", { class: "muted" }, t("Population stability index of the kept scores against each detector's first block: from 0.1 worth a look, from 0.25 train anew.")),
        drift, box),
    ];
  });
  await attempt(showDrift);
  const timer = setInterval(() => {
    if (!document.hidden) void showDrift().catch(() => {});
  }, 60_000);
  return () => {
    clearInterval(timer);
    chart?.remove();
  };
}
