/** Words of the desk: scenarios, states, dispositions and ages, and the style sheet that its pages share. */

import { h } from "../../dom.js";
import { language, t } from "../../i18n.js";

/** @typedef {{id: string, state: string, owner: string, risk: number, priority: number, revision: number}} CaseBrief */

export const SEVERITIES = ["critical", "high", "medium", "low"];
export const CASE_STATES = ["new", "assigned", "in_review", "escalated", "reopened", "closed"];
export const OPEN_STATES = CASE_STATES.filter((state) => state !== "closed");

/** @type {[string, string][]} */
export const DISPOSITIONS = [
  ["false_positive", "False positive"],
  ["true_positive", "True positive"],
  ["reported", "Reported to the authority"],
  ["inconclusive", "Inconclusive"],
  ["duplicate", "Duplicate"],
];

/** Options of a disposition, in the reader's language. @returns {[string, string][]} */
export const dispositions = () => DISPOSITIONS.map(([value, text]) => [value, t(text)]);

/** A scenario's, state's or disposition's name as words. @param {string} name */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return t(text.charAt(0).toUpperCase() + text.slice(1));
}

/** How long ago, short. @param {string} at RFC 3339 @param {number} [now] ms */
export function age(at, now = Date.now()) {
  const seconds = Math.round((now - Date.parse(at)) / 1000);
  const form = new Intl.RelativeTimeFormat(language, { style: "narrow", numeric: "always" });
  const size = Math.abs(seconds);
  if (size < 60) return form.format(-seconds, "second");
  if (size < 3600) return form.format(-Math.round(seconds / 60), "minute");
  if (size < 86_400) return form.format(-Math.round(seconds / 3600), "hour");
  return form.format(-Math.round(seconds / 86_400), "day");
}

/** A moment with its exact time on hover. @param {string} at RFC 3339 */
export function moment(at) {
  return h("time", { datetime: at, title: exact(at), "data-age": true }, age(at));
}

/** Date and time to the millisecond, UTC. @param {string} at RFC 3339 */
export function exact(at) {
  return `${at.slice(0, 10)} ${at.slice(11, 23)} UTC`;
}

/** Time of day to the tenth of a second, UTC. @param {number} at ms */
export function clock(at) {
  return new Date(at).toISOString().slice(11, 21);
}

/** A risk or score as a number over a small bar. @param {number} value 0 to 100 @param {string} label */
export function gauge(value, label) {
  return h(
    "span",
    { class: "gauge", title: `${label}: ${value.toFixed(1)}` },
    h("span", { class: "gauge-value" }, value.toFixed(0)),
    h("span", { class: "gauge-track", "aria-hidden": "true" }, h("span", { style: { width: `${Math.min(100, Math.max(0, value))}%` } })),
  );
}

/** A priority: 1 is what to look at first. @param {number} priority */
export function priorityMark(priority) {
  return h("span", { class: `priority priority-${priority}`, title: t("Priority {n} of 4", { n: priority }) }, `P${priority}`);
}

/** Grey bars in the place of what is being fetched. @param {number} rows */
export function skeleton(rows) {
  return h(
    "div",
    { class: "skeleton", role: "status" },
    h("span", { class: "hidden" }, t("Loading")),
    Array.from({ length: rows }, () => h("div", { "aria-hidden": "true" })),
  );
}

/** The desk's style sheet, linked once; from then on, ages grow. */
export function dress() {
  if (document.getElementById("desk-style")) return;
  setInterval(() => {
    for (const each of document.querySelectorAll("time[data-age]")) each.textContent = age(each.getAttribute("datetime") ?? "");
  }, 20_000);
  document.head.append(h("link", { id: "desk-style", rel: "stylesheet", href: "/static/pages/desk/desk.css" }));
}
