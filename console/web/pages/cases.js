/** Cases: the queue of work, most risk first; closed cases and closes that wait for a second person too. */

import { get } from "../api.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { chip } from "../ui.js";
import { bar, query, USUAL } from "./desk/case_filters.js";
import { drawQueue } from "./desk/queue.js";
import { gauge, moment, priorityMark, words } from "./desk/words.js";

/**
 * @typedef {{id: string, revision: number, instrument: string, instruments: string[], neighbourhood: string, state: string,
 *   disposition: string, closing: string, owner: string, risk: number, priority: number, opened: string,
 *   updated: string, alerts: number, scenarios: string[]}} Row
 */

/** @param {HTMLElement} root */
export function draw(root) {
  return drawQueue(root, {
    title: t("Cases"),
    topic: "cases",
    remember: "tapewatch.cases.current",
    quiet: t("A case opens with the first alert of an instrument and its neighbourhood."),
    usual: USUAL,
    fetch: async (chosen, page) => {
      const { cases, ...rest } = await get("/cases", { ...query(chosen), ...page });
      return { rows: /** @type {Row[]} */ (cases), ...rest };
    },
    filters: bar,
    columns: columns(),
    edge: (row) => ["", "critical", "high", "medium", "low"][row.priority],
    name: (row) => row.instrument,
    path: (row) => `/cases/${row.id}`,
    cases: (row) => [row.id],
    revision: (row) => row.revision,
    news: (message) => t("New case: {instrument}", { instrument: message.instrument }),
  });
}

/** @returns {import("./desk/grid.js").Column<Row>[]} */
const columns = () => [
  { heading: t("Priority"), cell: (row) => priorityMark(row.priority) },
  { heading: t("Risk"), cell: (row) => gauge(row.risk, t("Risk")), kind: "number" },
  { heading: t("Case"), cell: what, kind: "what" },
  { heading: t("Updated"), cell: (row) => moment(row.updated), kind: "nowrap" },
  { heading: t("State"), cell: stateCell, kind: "nowrap case" },
  { heading: t("Alerts"), cell: (row) => row.alerts, kind: "number risk" },
];

/** @param {Row} row */
const what = (row) => [
  h(
    "div",
    { class: "row" },
    h("a", { href: `/cases/${row.id}`, class: "strong" }, row.instrument),
    row.instruments.length > 1 ? h("span", { class: "muted" }, t("and {n} more", { n: row.instruments.length - 1 })) : null,
    h("span", { class: "muted name" }, t("opened"), " ", moment(row.opened)),
  ),
  h("div", { class: "sentence" }, row.scenarios.map(words).join(", ")),
];

/** @param {Row} row */
const stateCell = (row) => [
  row.closing ? chip("warn", t("close by {who} waits", { who: row.closing })) : chip(row.state),
  h("div", { class: "muted" }, row.disposition ? words(row.disposition) : row.owner || t("nobody")),
];
