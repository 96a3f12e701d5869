/** The panel of a case: where it stands, what one may do with it and why not, four eyes, and everything done so far. */

import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { may, state } from "../../state.js";
import { card, chip } from "../../ui.js";
import { asked, tell } from "./orders.js";
import { exact, gauge, moment, priorityMark, words } from "./words.js";

/**
 * @typedef {{at: string, who: string, action: string, why: string, subject: string}} CaseEvent
 * @typedef {{id: string, revision: number, instrument: string, neighbourhood: string, instruments: string[], state: string,
 *   disposition: string, closing: {who: string, disposition: string, why: string, at: string} | null, owner: string,
 *   risk: number, priority: number, opened: string, updated: string, history: CaseEvent[],
 *   alerts: {id: string, revision: number, scenario: string, instrument: string, severity: string, score: number,
 *     state: string, onset: string, inhibited: string, inhibition?: string}[]}} Case
 */

/** Whether two names are one account, as the case stage sees it. @param {string} one @param {string} other */
const same = (one, other) => one.normalize("NFKC").trim().toLowerCase() === other.normalize("NFKC").trim().toLowerCase();

/**
 * The panel.
 * @param {Case} found
 * @param {(revision: number) => Promise<void>} changed called after each act, with the case's new revision
 * @param {{link?: boolean}} [options] link : to the case's own page
 */
export function casePanel(found, changed, { link = true } = {}) {
  const act = actor(found, changed);
  return card(
    t("Case"),
    h(
      "dl",
      { class: "facts" },
      h("dt", {}, t("State")),
      h("dd", {}, chip(found.state), found.disposition ? [" ", words(found.disposition)] : null),
      h("dt", {}, t("Owner")),
      h("dd", {}, found.owner || t("nobody")),
      h("dt", {}, t("Risk")),
      h("dd", { class: "row" }, priorityMark(found.priority), gauge(found.risk, t("Risk"))),
      h("dt", {}, t("Opened")),
      h("dd", {}, moment(found.opened), " ", h("span", { class: "muted" }, exact(found.opened))),
      link ? [h("dt", {}, t("Alerts")), h("dd", {}, h("a", { href: `/cases/${found.id}` }, t("{n} in this case", { n: found.alerts.length })))] : null,
    ),
    closing(found, act),
    h("div", { class: "row acts" }, buttons(found, act)),
    h("h3", {}, t("History")),
    timeline(found.history),
  );
}

/** @typedef {(action: string) => () => Promise<void>} Act */

/** Ask for what is missing, tell the case stage, and draw anew. @param {Case} found @param {(revision: number) => Promise<void>} changed @returns {Act} */
export const actor = (found, changed) => (action) => async () => {
  const owners = found.history.map((event) => event.who);
  const order = await asked(action, owners);
  if (!order) return;
  const answer = await tell(found.id, { ...order, expected: found.revision });
  await changed(answer?.revision ?? -1);
};

/** @param {Case} found @param {Act} act */
function buttons(found, act) {
  if (!may("analyst")) return h("p", { class: "muted" }, t("Your role reads; an analyst works on cases."));
  const open = found.state !== "closed";
  const mine = same(found.owner, state.session?.name ?? "");
  return [
    open && !mine ? h("button", { class: "primary", onclick: act("claim") }, t("Assign to me")) : null,
    open && found.state !== "in_review" ? h("button", { class: mine ? "primary" : null, onclick: act("review") }, t("Start the review")) : null,
    h("button", { onclick: act("note") }, t("Add a note")),
    open && found.state !== "escalated" ? h("button", { onclick: act("escalate") }, t("Escalate")) : null,
    open && !found.closing ? h("button", { onclick: act("close") }, t("Close")) : null,
    open ? h("button", { onclick: act("assign") }, t("Assign")) : null,
    open ? null : h("button", { class: "primary", onclick: act("reopen") }, t("Reopen")),
  ];
}

/** A close that waits for a second pair of eyes. @param {Case} found @param {Act} act */
function closing(found, act) {
  const asks = found.closing;
  if (!asks) return null;
  const own = same(asks.who, state.session?.name ?? "");
  const why = own
    ? t("Four eyes: you asked for this close, so another person has to approve it.")
    : may("approver")
      ? t("Four eyes: {who} asked, you decide.", { who: asks.who })
      : t("Four eyes: it takes the role approver, and another person than {who}.", { who: asks.who });
  const allowed = !own && may("approver");
  return h(
    "div",
    { class: "closing" },
    h("p", {}, h("strong", {}, asks.who), " ", t("asks to close it as"), " ", h("strong", {}, words(asks.disposition)), " · ", moment(asks.at)),
    h("blockquote", {}, asks.why),
    h("p", { class: "muted", id: "four-eyes" }, why),
    h(
      "div",
      { class: "row" },
      h("button", { class: "primary", disabled: !allowed, "aria-describedby": "four-eyes", onclick: act("approve") }, t("Approve")),
      may("approver") ? h("button", { onclick: act("reject") }, own ? t("Take it back") : t("Reject")) : null,
    ),
  );
}

/** Every step, newest first. @param {CaseEvent[]} history */
function timeline(history) {
  return h(
    "ol",
    { class: "timeline" },
    [...history].reverse().map((event) =>
      h(
        "li",
        {},
        h("div", {}, h("strong", {}, event.who), " ", step(event)),
        event.why ? h("div", { class: "why" }, event.why) : null,
        h("time", { datetime: event.at }, exact(event.at)),
      ),
    ),
  );
}

/** @param {CaseEvent} event */
function step(event) {
  const person = ["assign", "assigned", "in_review"].includes(event.action);
  const outcome = ["closing", "closed", "close_rejected"].includes(event.action);
  const subject = person ? event.subject : outcome ? words(event.subject) : "";
  return [words(event.action), subject].filter(Boolean).join(": ");
}
