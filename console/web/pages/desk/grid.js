/** The rows of a queue as a grid: the current one has the focus, picked ones are marked, new ones stand out. */

import { go } from "../../app.js";
import { h } from "../../dom.js";
import { t } from "../../i18n.js";

/**
 * @template T
 * @typedef {{heading: string, cell: (row: T) => import("../../dom.js").Child, kind?: string}} Column kind: classes of its cells
 */

/**
 * The grid; `mark` dresses it after the current row or the picked ones changed.
 * @template {{id: string}} T
 * @param {import("./picking.js").Picking<T>} picking
 * @param {import("./queue.js").Spec<T>} spec
 * @param {Set<string>} fresh ids of rows that have just arrived
 * @returns {{table: HTMLElement, mark: () => void}}
 */
export function grid(picking, spec, fresh) {
  const all = /** @type {HTMLInputElement} */ (
    h("input", { type: "checkbox", "aria-label": t("Pick all"), onclick: () => picking.all() })
  );
  const lines = picking.rows.map((row, place) => line(row, place, picking, spec, fresh.has(row.id)));
  const table = h(
    "div",
    { class: `table queue queue-${spec.topic}` },
    h(
      "table",
      { role: "grid", "aria-multiselectable": "true", "aria-label": spec.title },
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          h("th", { scope: "col", role: "columnheader", class: "pick" }, all),
          spec.columns.map((each) => h("th", { scope: "col", role: "columnheader", class: each.kind }, each.heading)),
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

/**
 * @template {{id: string}} T
 * @param {T} row
 * @param {number} place
 * @param {import("./picking.js").Picking<T>} picking
 * @param {import("./queue.js").Spec<T>} spec
 * @param {boolean} fresh
 */
function line(row, place, picking, spec, fresh) {
  const box = h("input", {
    type: "checkbox",
    tabindex: "-1",
    "aria-label": t("Pick {name}", { name: spec.name(row) }),
    onclick: (/** @type {MouseEvent} */ event) => picking.toggle(place, event.shiftKey),
  });
  return h(
    "tr",
    {
      role: "row",
      class: `edge-${spec.edge(row)}${fresh ? " fresh" : ""}`,
      "data-id": row.id,
      onclick: (/** @type {MouseEvent} */ event) => clicked(event, place, picking),
      ondblclick: () => go(spec.path(row)),
    },
    h("td", { role: "gridcell", class: "pick" }, box),
    spec.columns.map((each) => h("td", { role: "gridcell", class: each.kind }, each.cell(row))),
  );
}

/**
 * A click makes the row the current one, unless it was on something that has a meaning of its own.
 * @param {MouseEvent} event
 * @param {number} place
 * @param {import("./picking.js").Picking<any>} picking
 */
function clicked(event, place, picking) {
  if (event.target instanceof Element && !event.target.closest("a, input")) picking.move(place - picking.current, event.shiftKey);
}
