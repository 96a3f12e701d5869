/** The form of a subscription: fields with what there is, and what was filled in as the API wants it. */

import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { field, select } from "../../ui.js";

const KINDS = ["webhook", "email", "slack", "telegram", "teams"];
const SEVERITIES = ["low", "medium", "high", "critical"];

/** @param {string[]} words @returns {[string, string][]} */
const options = (words) => words.map((each) => [each, t(each)]);

/**
 * The fields; `row` is the subscription to edit, null for a new one.
 * @param {any} row
 * @returns {HTMLElement[]}
 */
export function form(row) {
  const filter = row?.filter ?? { about: "alerts", scenarios: [], instruments: [], venues: [], min_severity: "low", states: [], revisions: "every" };
  const pace = row?.pace ?? { digest_minutes: 0, per_hour: 0, quiet: null };
  const quiet = pace.quiet ?? { start: "", end: "", zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC", through: "" };
  const words = (/** @type {string} */ name, /** @type {string[]} */ value, placeholder = "") =>
    h("input", { name, value: value.join(", "), placeholder, autocomplete: "off" });
  const count = (/** @type {string} */ name, /** @type {number} */ value, /** @type {number} */ max) =>
    h("input", { name, type: "number", min: 0, max, value: String(value), required: true });
  return [
    field(t("Name"), h("input", { name: "name", required: true, maxlength: 100, value: row?.name ?? "", autocomplete: "off" })),
    ...(row ? [] : [field(t("Kind"), select(options(KINDS), { name: "kind" }))]),
    field(row ? t("New address (empty: stays)") : t("Address"), h("input", { name: "target", required: !row, maxlength: 2000, placeholder: "https://", autocomplete: "off", spellcheck: "false" })),
    h("p", { class: "muted" }, t("Webhooks: https://. Mail and chat: an apprise address such as mailto://, slack://, tgram://, workflows://.")),
    field(t("About"), select([["alerts", t("alerts")], ["operation", t("missed canaries, for the operator")]], { name: "about", value: filter.about })),
    h("fieldset", {}, h("legend", {}, t("Which alerts")),
      field(t("Scenarios, separated by commas (empty: all)"), words("scenarios", filter.scenarios, "spoofing, layering")),
      field(t("Instruments, with * and ?"), words("instruments", filter.instruments, "2330.XTAI, BTC*")),
      field(t("Venues"), words("venues", filter.venues, "XTAI")),
      field(t("Severity from"), select(options(SEVERITIES), { name: "min_severity", value: filter.min_severity })),
      field(t("Revisions"), select([["every", t("every revision")], ["first", t("first revision only")]], { name: "revisions", value: filter.revisions }))),
    h("fieldset", {}, h("legend", {}, t("When")),
      field(t("Digest every so many minutes (0: at once)"), count("digest_minutes", pace.digest_minutes, 1440)),
      field(t("Single alerts an hour at most (0: no limit)"), count("per_hour", pace.per_hour, 100000)),
      field(t("Quiet from"), h("input", { name: "start", type: "time", value: quiet.start })),
      field(t("Quiet until"), h("input", { name: "end", type: "time", value: quiet.end })),
      field(t("Time zone"), h("input", { name: "zone", value: quiet.zone, maxlength: 60, autocomplete: "off" })),
      field(t("Sent in quiet hours all the same"), select([["", t("nothing")], ...options(SEVERITIES)], { name: "through", value: quiet.through }))),
    h("input", { type: "hidden", name: "kept", value: JSON.stringify({ states: filter.states, days: quiet.days ?? [] }) }),
  ];
}

/**
 * What was filled in, as the API takes it: name, filter and pace.
 * @param {Record<string, string>} answer
 */
export function asked(answer) {
  const words = (/** @type {string} */ text) => text.split(",").map((each) => each.trim()).filter(Boolean);
  const kept = JSON.parse(answer.kept);
  const quiet = answer.start && answer.end
    ? { start: answer.start, end: answer.end, zone: answer.zone || "UTC", days: kept.days, through: answer.through }
    : null;
  return {
    name: answer.name,
    filter: {
      about: answer.about,
      scenarios: words(answer.scenarios),
      instruments: words(answer.instruments),
      venues: words(answer.venues),
      min_severity: answer.min_severity,
      revisions: answer.revisions,
      states: kept.states,
    },
    pace: { digest_minutes: Number(answer.digest_minutes), per_hour: Number(answer.per_hour), quiet },
  };
}
