/** Evidence against thresholds: each feature's value at the first decision and at the newest look, and by how much. */

import { h } from "../../dom.js";
import { number, t } from "../../i18n.js";
import { table } from "../../ui.js";

/** @typedef {{feature: string, value: number | null, threshold: number | null, relation: string, unit: string}} Item */

/**
 * Evidence of the newest revision, beside that of the first decision where they differ.
 * @param {{evidence: Item[], revision: number}} newest
 * @param {{evidence: Item[], revision: number}} first
 */
export function evidence(newest, first) {
  const before = new Map(first.evidence.map((item) => [item.feature, item]));
  const looked = newest.revision !== first.revision;
  const tested = newest.evidence.filter((item) => item.threshold !== null);
  const rest = newest.evidence.filter((item) => item.threshold === null);
  const then = (/** @type {Item} */ item) => before.get(item.feature) ?? item;
  /** @type {{heading: string, cell: (item: Item) => import("../../dom.js").Child, numeric?: boolean}[]} */
  const columns = [
    { heading: t("Feature"), cell: (item) => [h("code", {}, item.feature), " ", h("span", { class: "muted unit" }, item.unit)] },
    { heading: t("Decided"), cell: (item) => value(then(item).value), numeric: true },
    { heading: t("Threshold"), cell: (item) => threshold(then(item)), numeric: true },
    { heading: t("Times"), cell: (item) => (item.threshold === null ? h("span", { class: "muted" }, t("context")) : bar(then(item))) },
    ...(looked ? [{ heading: t("Newest"), cell: (/** @type {Item} */ item) => newer(item, then(item)), numeric: true }] : []),
  ];
  return table(columns, [...tested, ...rest], { caption: t("Evidence against thresholds") });
}

/** @param {Item} item */
const threshold = (item) => (item.threshold === null ? "" : `${sign(item.relation)} ${value(item.threshold)}`);

/**
 * The newest value, with its threshold where that has moved since: thresholds follow an instrument's usual measure.
 * @param {Item} item
 * @param {Item} then
 */
const newer = (item, then) => [
  value(item.value),
  item.threshold === then.threshold ? null : h("div", { class: "muted unit nowrap" }, threshold(item)),
];

/** A figure to four significant digits. @param {number | null | undefined} figure */
export function value(figure) {
  if (figure === null || figure === undefined) return t("not warm");
  const size = Math.abs(figure);
  if (size >= 10_000) return number(figure, 0);
  return number(Number(figure.toPrecision(4)), 8);
}

/** @param {string} relation */
const sign = (relation) => ({ ">=": "≥", "<=": "≤" })[relation] ?? relation;

/**
 * How many times the threshold, as a bar where the tick is the threshold; a difference where a ratio says nothing.
 * @param {Item} item
 */
function bar(item) {
  const { value: figure, threshold: limit, relation } = item;
  if (figure === null || limit === null) return t("not warm");
  const met = relation === "<=" ? figure <= limit : figure >= limit;
  const mark = h("span", { class: met ? "met" : "muted" }, met ? t("met") : t("not met"));
  if (limit <= 0 || figure < 0) {
    const by = figure - limit;
    return h("div", { class: "row times" }, mark, h("span", {}, by >= 0 ? t("{n} above", { n: value(by) }) : t("{n} below", { n: value(-by) })));
  }
  const times = figure / limit;
  const full = Math.max(2, Math.ceil(times));
  return h(
    "div",
    { class: "row times" },
    mark,
    h(
      "span",
      { class: "times-track", "aria-hidden": "true" },
      h("span", { class: met ? "times-fill met" : "times-fill", style: { width: `${(100 * times) / full}%` } }),
      h("span", { class: "times-tick", style: { left: `${100 / full}%` } }),
    ),
    h("strong", {}, `${number(times, times < 10 ? 2 : 1)}×`),
  );
}
