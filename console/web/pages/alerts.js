/** Alerts: the ranked queue that a compliance officer works down, by mouse or by keys, while new ones arrive. */

import { get } from "../api.js";
import { t } from "../i18n.js";
import { bar, query, USUAL } from "./desk/alert_filters.js";
import { columns } from "./desk/alert_rows.js";
import { drawQueue } from "./desk/queue.js";

/** @param {HTMLElement} root */
export function draw(root) {
  return drawQueue(root, {
    title: t("Alerts"),
    topic: "alerts",
    remember: "tapewatch.alerts.current",
    quiet: t("New alerts appear here as they are decided."),
    usual: USUAL,
    fetch: async (chosen, page) => {
      const { alerts, ...rest } = await get("/alerts", { ...query(chosen), ...page });
      return { rows: /** @type {import("./desk/alert_rows.js").Row[]} */ (alerts), ...rest };
    },
    filters: bar,
    columns: columns(),
    edge: (row) => row.severity,
    name: (row) => row.instrument,
    path: (row) => `/alerts/${row.id}`,
    cases: (row) => (row.case ? [row.case.id] : []),
    revision: (row) => row.case?.revision ?? -1,
    news: (message) => t("New alert: {sentence}", { sentence: message.sentence }),
  });
}
