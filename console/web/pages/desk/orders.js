/** What people tell cases: asking for what is missing (a reason, an owner), sending it, and saying what came of it. */

import { get, post } from "../../api.js";
import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { state } from "../../state.js";
import { ask, attempt, field, select, toast } from "../../ui.js";
import { dispositions, words } from "./words.js";

/** @typedef {{action: string, why?: string, owner?: string, disposition?: string, expected?: number}} Order */

/** A text that has to be given. @param {string} label @param {boolean} [required] */
const reason = (label, required = true) => field(label, h("textarea", { name: "why", required, maxlength: "4000" }));

/**
 * Ask for what an action needs; null where it was given up.
 * @param {string} action
 * @param {string[]} [owners] names that are offered
 * @returns {Promise<Order | null>}
 */
export async function asked(action, owners = []) {
  const me = state.session?.name ?? "";
  if (action === "claim") return { action: "assign", owner: me };
  if (action === "review") return { action };
  const fields = {
    assign: () => [
      field(t("Owner"), h("input", { name: "owner", list: "owners", value: me, maxlength: "100", autocomplete: "off" })),
      h("datalist", { id: "owners" }, [...new Set([me, ...owners])].map((name) => h("option", { value: name }))),
      h("p", { class: "muted" }, t("An empty name gives the case back to the queue.")),
    ],
    escalate: () => [reason(t("Why it goes up"))],
    note: () => [reason(t("Note"))],
    close: () => [
      field(t("Outcome"), select(dispositions(), { name: "disposition" })),
      reason(t("Reason")),
      h("p", { class: "muted" }, t("A second person has to approve: you cannot approve what you close.")),
    ],
    approve: () => [reason(t("Remark"), false)],
    reject: () => [reason(t("Why it stays open"))],
    reopen: () => [reason(t("What is new"))],
  }[action];
  const answer = await ask(heading(action), fields ? fields() : [], heading(action));
  return answer && { action, ...answer };
}

/** @param {string} action */
const heading = (action) =>
  ({
    assign: t("Assign"),
    escalate: t("Escalate"),
    note: t("Add a note"),
    close: t("Close"),
    approve: t("Approve the close"),
    reject: t("Reject the close"),
    reopen: t("Reopen"),
  })[action] ?? words(action);

/**
 * Tell one case something.
 * @param {string} id of the case
 * @param {Order} order
 * @returns {Promise<{revision: number} | undefined>}
 */
export const tell = (id, order) => attempt(() => post(`/cases/${id}/commands`, order), t("Done."));

/**
 * A case at a revision or later: the case stage answers a moment before the database shows what it answered.
 * @param {string} id
 * @param {number} [revision]
 * @returns {Promise<{case: import("./case_panel.js").Case, sentences: Record<string, string>} | undefined>}
 */
export async function caseAt(id, revision = -1) {
  for (let tries = 0; ; tries++) {
    const view = await attempt(() => get(`/cases/${id}`));
    if (!view || view.case.revision >= revision || tries === 20) return view;
    await new Promise((resolve) => setTimeout(resolve, 100 + 50 * tries));
  }
}

/**
 * Tell many cases the same, and say in one sentence what came of it.
 * @param {string[]} ids
 * @param {Order} order
 * @returns {Promise<string>} what to announce
 */
export async function tellAll(ids, order) {
  /** @type {{case: string, accepted: boolean, reason: string}[]} */
  const answers = [];
  for (let from = 0; from < ids.length; from += 100) {
    const some = await attempt(() => post("/cases/commands", { cases: ids.slice(from, from + 100), ...order }));
    answers.push(...(some ?? []));
  }
  if (!answers.length) return "";
  const refused = answers.filter((each) => !each.accepted);
  const reasons = [...new Set(refused.map((each) => each.reason))].join("; ");
  const text = refused.length
    ? t("Cases done: {done} of {all}. Refused: {reasons}", { done: answers.length - refused.length, all: answers.length, reasons })
    : t("Cases done: {n}.", { n: answers.length });
  toast(text, refused.length ? "bad" : "good");
  return text;
}
