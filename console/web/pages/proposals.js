/** Four eyes for thresholds and promotions: propose, look at what is proposed, approve or reject. */

import { get, part, post } from "../api.js";
import { fill, h } from "../dom.js";
import { t, time } from "../i18n.js";
import { may, state } from "../state.js";
import { ask, attempt, card, chip, field, load, select, table } from "../ui.js";

/** @param {HTMLElement} root */
export async function draw(root) {
  const list = h("div", {});
  const force = h("div", {});
  const filter = select(
    [["", t("All")], ["proposed", t("proposed")], ["applied", t("applied")], ["rejected", t("rejected")], ["failed", t("failed")]],
    { "aria-label": t("State"), onchange: () => void again() },
  );
  const again = () => load(list, () => proposals(filter.value, again));
  fill(
    root,
    h("div", { class: "row between" },
      h("h1", {}, t("Proposals")),
      h("div", { class: "row" },
        filter,
        h("button", { onclick: () => void propose("promotion", again) }, t("Propose a promotion")),
        h("button", { class: "primary", onclick: () => void propose("configuration", again) }, t("Propose thresholds")))),
    list,
    force,
  );
  await Promise.all([again(), load(force, inForce)]);
}

/** @param {string} wanted @param {() => Promise<void>} again */
async function proposals(wanted, again) {
  const found = await get("/proposals", { state: wanted });
  return [
    card(
      "",
      table(
        [
          { heading: t("Proposed"), cell: (row) => time(row.created) },
          { heading: t("Kind"), cell: (row) => t(row.kind) },
          { heading: t("State"), cell: (row) => chip(row.state) },
          { heading: t("By"), cell: (row) => row.who },
          { heading: t("Why"), cell: (row) => row.why },
          { heading: t("Change"), cell: (row) => h("details", {}, h("summary", {}, row.subject.slice(0, 12)), h("pre", {}, row.content)) },
          { heading: t("Decided"), cell: (row) => (row.decided ? [row.decided_by, " ", time(row.decided), h("div", { class: "muted" }, row.answer)] : "–") },
          { heading: "", cell: (row) => acts(row, again) },
        ],
        /** @type {any[]} */ (found),
        { caption: t("Proposals") },
      ),
    ),
  ];
}

/** @param {any} row @param {() => Promise<void>} again */
function acts(row, again) {
  if (row.state !== "proposed" || !may("approver")) return null;
  if (row.who === state.session?.name) return h("span", { class: "muted" }, t("waits for somebody else"));
  const decide = async (/** @type {boolean} */ approve) => {
    const answer = await ask(approve ? t("Approve and apply") : t("Reject"), [
      h("p", {}, row.why),
      field(t("Reason"), h("textarea", { name: "why", required: true, maxlength: 2000 })),
    ]);
    if (!answer) return;
    const done = await attempt(() => post(`/proposals/${part(row.id)}/decision`, { approve, why: answer.why }));
    if (done) await again();
  };
  return h("div", { class: "row" },
    h("button", { class: "primary", onclick: () => void decide(true) }, t("Approve")),
    h("button", { class: "danger", onclick: () => void decide(false) }, t("Reject")));
}

/** @param {"configuration" | "promotion"} kind @param {() => Promise<void>} again */
async function propose(kind, again) {
  const content = kind === "configuration"
    ? field(t("Configuration as TOML; what it does not name stays"), h("textarea", { name: "content", required: true, rows: 10, spellcheck: "false", placeholder: "[pump_and_dump]" }))
    : field(t("Hash of the model"), h("input", { name: "content", required: true, minlength: 6, pattern: "[0-9a-zA-Z]+" }));
  const wanted = await ask(kind === "configuration" ? t("Propose thresholds") : t("Propose a promotion"), [
    content,
    field(t("Reason"), h("textarea", { name: "why", required: true, maxlength: 2000 })),
  ], t("Propose"));
  if (!wanted) return;
  const done = await attempt(() => post("/proposals", { kind, content: wanted.content, why: wanted.why }), t("Proposed."));
  if (done) await again();
}

async function inForce() {
  const found = await get("/configuration");
  return [
    card(
      t("Detector configuration in force"),
      h("p", { class: "muted" }, found.applied ? t("Hash {hash}, applied {at}", { hash: found.hash, at: time(found.applied) }) : t("Hash {hash}, as shipped", { hash: found.hash })),
      Object.entries(found.values).map(([name, values]) =>
        typeof values === "object" && values !== null
          ? h("details", {}, h("summary", {}, name),
              h("dl", { class: "facts" }, Object.entries(values).flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, JSON.stringify(value))])))
          : h("p", {}, `${name}: ${JSON.stringify(values)}`)),
    ),
  ];
}
