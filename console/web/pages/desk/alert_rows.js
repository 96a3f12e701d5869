/** The columns of the queue of alerts: one line to decide by, one sentence that says what happened. */

import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { chip } from "../../ui.js";
import { gauge, moment, priorityMark, words } from "./words.js";

/**
 * @typedef {{id: string, scenario: string, instrument: string, name: string, decided: string, state: string,
 *   revision: number, severity: string, score: number, sentence: string, case: import("./words.js").CaseBrief | null}} Row
 */

/** @returns {import("./grid.js").Column<Row>[]} */
export const columns = () => [
  { heading: t("Severity"), cell: (row) => chip(row.severity) },
  { heading: t("Score"), cell: (row) => gauge(row.score, t("Score")), kind: "number" },
  { heading: t("What happened"), cell: what, kind: "what" },
  { heading: t("Decided"), cell: (row) => moment(row.decided), kind: "nowrap" },
  { heading: t("Case"), cell: (row) => (row.case ? caseCell(row.case) : h("span", { class: "muted" }, t("none yet"))), kind: "nowrap case" },
  { heading: t("Risk"), cell: (row) => (row.case ? [priorityMark(row.case.priority), " ", row.case.risk.toFixed(0)] : "–"), kind: "number nowrap risk" },
];

/** @param {Row} row */
const what = (row) => [
  h(
    "div",
    { class: "row" },
    h("a", { href: `/alerts/${row.id}`, class: "strong" }, row.instrument),
    h("span", { class: "muted name" }, row.name),
    h("span", {}, words(row.scenario)),
    row.revision > 0 ? h("span", { class: "muted" }, t("revision {n}", { n: row.revision })) : null,
  ),
  h("div", { class: "sentence" }, row.sentence),
];

/** @param {import("./words.js").CaseBrief} brief */
const caseCell = (brief) => [
  h("a", { href: `/cases/${brief.id}`, class: "plain" }, chip(brief.state)),
  h("div", { class: "muted" }, brief.owner || t("nobody")),
];
