/** The audit log: who did what and why, newest first, and whether its chain holds. */

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { t, time } from "../i18n.js";
import { card, chip, field, load, table } from "../ui.js";

/** @param {HTMLElement} root */
export async function draw(root) {
  const chain = h("div", {});
  const list = h("div", {});
  const form = /** @type {HTMLFormElement} */ (
    h("form", { class: "filters" },
      field(t("Who"), h("input", { name: "who" })),
      field(t("Act begins with"), h("input", { name: "action", placeholder: "case." })),
      field(t("Subject"), h("input", { name: "subject" })),
      h("button", { type: "submit" }, t("Show")))
  );
  /** @param {number} [before] */
  const show = (before = 0) => load(list, () => entries(Object.fromEntries(new FormData(form)), before, show));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void show();
  });
  fill(root, h("h1", {}, t("Audit")), chain, form, list);
  await Promise.all([load(chain, verified), show()]);
}

async function verified() {
  const report = await get("/audit/verify");
  return [
    card(
      t("Chain"),
      h("p", {}, report.intact ? chip("good", "intact") : chip("bad", "broken"), " ",
        report.intact
          ? t("{count} entries, each chained to the one before.", { count: report.entries })
          : t("Entry {number} does not hold: {problem}", { number: report.broken, problem: report.problem })),
      report.note ? h("p", { class: "muted" }, report.note) : null,
      h("p", { class: "muted" }, t("Head: {hash}. Write it down elsewhere now and then.", { hash: report.head })),
    ),
  ];
}

/**
 * @param {Record<string, any>} filter
 * @param {number} before
 * @param {(before?: number) => Promise<void>} show
 */
async function entries(filter, before, show) {
  const found = await get("/audit", { ...filter, before: before || "" });
  const last = found.entries.at(-1);
  return [
    card(
      "",
      table(
        [
          { heading: "#", cell: (row) => row.sequence, numeric: true },
          { heading: t("When"), cell: (row) => time(row.at) },
          { heading: t("Who"), cell: (row) => row.who },
          { heading: t("Act"), cell: (row) => row.action },
          { heading: t("Subject"), cell: (row) => row.subject },
          { heading: t("Why"), cell: (row) => row.why },
          { heading: t("Details"), cell: (row) => details(row) },
        ],
        /** @type {any[]} */ (found.entries),
        { caption: t("Audit") },
      ),
      h("div", { class: "row" },
        before ? h("button", { onclick: () => void show() }, t("Newest")) : null,
        found.more && last ? h("button", { onclick: () => void show(last.sequence) }, t("Older")) : null),
    ),
  ];
}

/** @param {any} row */
function details(row) {
  const words = Object.entries(row.details).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return h("details", {}, h("summary", {}, t("Show")), words.map((each) => h("div", {}, each)), h("div", { class: "muted" }, row.hash));
}
