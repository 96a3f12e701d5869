/** The rows of the queue of alerts: one line to decide by, one sentence that says what happened. */

import { go } from "../../app.js";
import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { chip } from "../../ui.js";
import { gauge, moment, priorityMark, words } from "./words.js";

/**
 * @typedef {{id: string, scenario: string, instrument: string, name: string, decided: string, state: string,
 *   revision: number, severity: string, score: number, sentence: string, case: import("./words.js").CaseBrief | null}} Row
 */

/**
 * The table; `mark` dresses it after the current row or the picked ones changed.
 * @param {import("./picking.js").Picking<Row>} picking
 * @param {Set<string>} fresh ids of rows that have just arrived
 * @returns {{table: HTMLElement, mark: () => void}}
 */
export function rows(picking, fresh) {
  const all = /** @type {HTMLInputElement} */ (
    h("input", { type: "checkbox", "aria-label": t("Pick all"), onclick: () => picking.all() })
  );
  const lines = picking.rows.map((row, place) => line(row, place, picking, fresh.has(row.id)));
  const table = h(
    "div",
    { class: "table queue" },
    h(
      "table",
      { role: "grid", "aria-multiselectable": "true", "aria-label": t("Alerts") },
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          h("th", { scope: "col", role: "columnheader", class: "pick" }, all),
          [t("Severity"), t("Score"), t("What happened"), t("Decided"), t("Case"), t("Risk")].map((each, place) =>
            h("th", { scope: "col", role: "columnheader", class: [1, 5].includes(place) && "number" }, each),
          ),
        ),
      ),
      h("tbody", { role: "rowgroup" }, lines),
    ),
  );
  const mark = () => {
    lines.forEach((element, place) => {
      const picked = picking.picked.has(picking.rows[place].id);
      element.setAttribute("aria-selected", String(picked));
      element.classList.toggle("current", place === picking.current);
      element.tabIndex = place === picking.current ? 0 : -1;
      /** @type {HTMLInputElement} */ (element.querySelector("input")).checked = picked;
    });
    all.checked = picking.picked.size > 0 && picking.picked.size === picking.rows.length;
    all.indeterminate = picking.picked.size > 0 && !all.checked;
  };
  mark();
  return { table, mark };
}

/** @param {Row} row @param {number} place @param {import("./picking.js").Picking<Row>} picking @param {boolean} fresh */
function line(row, place, picking, fresh) {
  return h(
    "tr",
    { role: "row", class: `alert-row edge-${row.severity}${fresh ? " fresh" : ""}`, "data-id": row.id, onclick: clicked(place, picking), ondblclick: () => go(`/alerts/${row.id}`) },
    cell(
      "pick",
      h("input", {
        type: "checkbox",
        tabindex: "-1",
        "aria-label": t("Pick {instrument}", { instrument: row.instrument }),
        onclick: (/** @type {MouseEvent} */ event) => picking.toggle(place, event.shiftKey),
      }),
    ),
    cell("", chip(row.severity)),
    cell("number", gauge(row.score, t("Score"))),
    cell(
      "what",
      h(
        "div",
        { class: "row" },
        h("a", { href: `/alerts/${row.id}`, class: "strong" }, row.instrument),
        h("span", { class: "muted name" }, row.name),
        h("span", {}, words(row.scenario)),
        row.revision > 0 ? h("span", { class: "muted" }, t("revision {n}", { n: row.revision })) : null,
      ),
      h("div", { class: "sentence" }, row.sentence),
    ),
    cell("nowrap", moment(row.decided)),
    cell("nowrap", row.case ? caseCell(row.case) : h("span", { class: "muted" }, t("none yet"))),
    cell("number nowrap", row.case ? [priorityMark(row.case.priority), " ", row.case.risk.toFixed(0)] : "–"),
  );
}

/**
 * A click makes the row the current one, unless it was on something that has a meaning of its own.
 * @param {number} place
 * @param {import("./picking.js").Picking<Row>} picking
 */
const clicked = (place, picking) => (/** @type {MouseEvent} */ event) => {
  if (event.target instanceof Element && !event.target.closest("a, input")) picking.move(place - picking.current, event.shiftKey);
};

/** @param {string} kind @param {...import("../../dom.js").Child} children */
const cell = (kind, ...children) => h("td", { role: "gridcell", class: kind || null }, ...children);

/** @param {import("./words.js").CaseBrief} brief */
function caseCell(brief) {
  return [
    h("a", { href: `/cases/${brief.id}`, class: "plain" }, chip(brief.state)),
    h("div", { class: "muted" }, brief.owner || t("nobody")),
  ];
}
