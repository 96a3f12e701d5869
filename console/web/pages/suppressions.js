/** Suppressions: rules by which alerts raise nobody for a time, with owner, reason, end, and a second pair of eyes. */

import { get, post } from "../api.js";
import { fill, h } from "../dom.js";
import { language, t } from "../i18n.js";
import { may, state } from "../state.js";
import { ask, attempt, card, chip, field, load, select, table } from "../ui.js";
import { dress, exact, SEVERITIES, skeleton, words } from "./desk/words.js";

/**
 * @typedef {{id: string, revision: number, state: string, scenario: string, instrument: string, venue: string, below: string,
 *   owner: string, reason: string, approved_by: string, ended_by?: string, created: string, starts: string, expires: string}} Rule
 */

/** @param {HTMLElement} root */
export async function draw(root) {
  dress();
  const list = h("div", {}, skeleton(4));
  const show = () => load(list, async () => content(await get("/suppressions"), show));
  fill(
    root,
    h(
      "div",
      { class: "row between page-head" },
      h("h1", {}, t("Suppressions")),
      may("analyst") ? h("button", { class: "primary", onclick: () => propose(show) }, t("Propose a rule")) : null,
    ),
    h(
      "p",
      { class: "muted lead" },
      t("A rule keeps alerts from raising anybody for a time; they are still written and still lie in their case. It needs a reason, an end, and the approval of a second person."),
    ),
    list,
  );
  await show();
  const timer = setInterval(() => {
    for (const each of list.querySelectorAll("[data-expires]")) each.textContent = left(/** @type {HTMLElement} */ (each).dataset.expires ?? "");
  }, 1000);
  return () => clearInterval(timer);
}

/** @param {Rule[]} rules @param {() => Promise<void>} show */
function content(rules, show) {
  const over = (/** @type {Rule} */ rule) => ["ended", "rejected"].includes(rule.state) || Date.parse(rule.expires) <= Date.now();
  const waiting = rules.filter((rule) => rule.state === "proposed" && !over(rule));
  const force = rules.filter((rule) => rule.state === "in_force" && !over(rule));
  const past = rules.filter(over);
  return [
    card(t("Waits for approval"), tableOf(waiting, show, t("No rule waits."))),
    card(t("In force"), tableOf(force, show, t("No rule is in force: every alert raises somebody."))),
    past.length ? h("details", { class: "card" }, h("summary", {}, t("Past rules ({n})", { n: past.length })), tableOf(past, show, "")) : null,
  ];
}

/** @param {Rule[]} rules @param {() => Promise<void>} show @param {string} empty */
function tableOf(rules, show, empty) {
  return table(
    [
      { heading: t("State"), cell: (rule) => chip(rule.state) },
      { heading: t("For"), cell: scope },
      { heading: t("Reason"), cell: (rule) => h("div", { class: "said" }, rule.reason) },
      { heading: t("Owner"), cell: (rule) => [rule.owner, rule.approved_by ? h("div", { class: "muted nowrap" }, t("approved by {who}", { who: rule.approved_by })) : null] },
      { heading: t("Ends"), cell: (rule) => h("div", { class: "nowrap" }, ends(rule), h("div", { class: "muted" }, exact(rule.expires).slice(0, 16))) },
      { heading: t("Act"), cell: (rule) => acts(rule, show) },
    ],
    rules,
    { caption: t("Suppressions"), empty },
  );
}

/** @param {Rule} rule */
function scope(rule) {
  return h(
    "div",
    {},
    h("strong", {}, rule.scenario ? words(rule.scenario) : t("Every scenario")),
    h("div", {}, rule.instrument || (rule.venue ? t("every instrument of {venue}", { venue: rule.venue }) : t("every instrument"))),
    rule.below ? h("div", { class: "muted" }, t("only below {severity}", { severity: t(rule.below) })) : null,
  );
}

/** The time left, as long as there is any. @param {Rule} rule */
function ends(rule) {
  const over = ["ended", "rejected"].includes(rule.state) || Date.parse(rule.expires) <= Date.now();
  if (over) return h("span", {}, rule.ended_by ? t("ended by {who}", { who: rule.ended_by }) : t("over"));
  return h("span", { "data-expires": rule.expires, class: "countdown" }, left(rule.expires));
}

/** @param {string} at */
function left(at) {
  const seconds = Math.max(0, Math.floor((Date.parse(at) - Date.now()) / 1000));
  if (!seconds) return t("over");
  const days = Math.floor(seconds / 86_400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map((each) => String(each).padStart(2, "0")).join(":");
  return days ? t("{n} d {clock}", { n: days.toLocaleString(language), clock }) : clock;
}

/** @param {Rule} rule @param {() => Promise<void>} show */
function acts(rule, show) {
  if (["ended", "rejected"].includes(rule.state) || Date.parse(rule.expires) <= Date.now() || !may("analyst")) return "";
  const own = rule.owner.trim().toLowerCase() === (state.session?.name ?? "").trim().toLowerCase();
  const why = own
    ? t("Four eyes: you proposed it, so another person has to approve it.")
    : may("approver") ? "" : t("Four eyes: it takes the role approver.");
  const approve = async () => {
    const answer = await ask(t("Approve the rule"), [field(t("Remark"), h("textarea", { name: "why", maxlength: "2000" }))], t("Approve"));
    if (answer && (await attempt(() => post(`/suppressions/${rule.id}/approve`, answer), t("The rule is in force.")))) await soon(show);
  };
  const end = async () => {
    const answer = await ask(t("End the rule"), [field(t("Why"), h("textarea", { name: "why", maxlength: "2000" }))], t("End it"));
    if (answer && (await attempt(() => post(`/suppressions/${rule.id}/end`, answer), t("The rule has ended.")))) await soon(show);
  };
  return h(
    "div",
    {},
    h(
      "div",
      { class: "row" },
      rule.state === "proposed"
        ? h("button", { class: "primary", disabled: Boolean(why), "aria-describedby": why ? `why-${rule.id}` : null, onclick: approve }, t("Approve"))
        : null,
      h("button", { class: "danger", onclick: end }, rule.state === "proposed" ? (own ? t("Take it back") : t("Reject")) : t("End it")),
    ),
    rule.state === "proposed" && why ? h("p", { class: "muted four-eyes", id: `why-${rule.id}` }, why) : null,
  );
}

/** The sink needs a moment until the database shows what the case stage answered. @param {() => Promise<void>} show */
async function soon(show) {
  await new Promise((resolve) => setTimeout(resolve, 600));
  await show();
}

/** Propose a rule; what it would have silenced is shown while it is written. @param {() => Promise<void>} show */
async function propose(show) {
  const counts = await attempt(() => get("/alerts", { limit: 1 }));
  const scenarios = Object.keys(counts?.counts.scenario ?? {}).sort();
  const effect = h("p", { role: "status", class: "effect" });
  const parts = {
    scenario: select([["", t("Every scenario")], ...scenarios.map((each) => /** @type {[string, string]} */ ([each, words(each)]))], { name: "scenario" }),
    instrument: h("input", { name: "instrument", maxlength: "100", placeholder: "2330.XTAI" }),
    venue: h("input", { name: "venue", maxlength: "100", placeholder: "XTAI" }),
    below: select([["", t("All severities")], ...SEVERITIES.slice(0, 3).map((each) => /** @type {[string, string]} */ ([each, t("only below {severity}", { severity: t(each) })]))], { name: "below" }),
  };
  const hours = select([["1", t("1 hour")], ["8", t("8 hours")], ["24", t("1 day")], ["168", t("7 days")], ["720", t("30 days")]], { name: "hours", value: "24" });
  const tell = async () => {
    const chosen = Object.fromEntries(Object.entries(parts).map(([name, control]) => [name, /** @type {HTMLInputElement} */ (control).value.trim()]));
    const told = await get("/suppressions/effect", chosen).catch(() => null);
    effect.textContent = told ? t("In the last {days} days it would have kept {n} of {all} alerts from people.", { days: told.days, n: told.alerts, all: told.of }) : "";
  };
  for (const control of Object.values(parts)) control.addEventListener("change", () => void tell());
  void tell();
  const answer = await ask(
    t("Propose a rule"),
    [
      field(t("Scenario"), parts.scenario),
      field(t("Instrument, empty for every one"), parts.instrument),
      field(t("Venue, empty for every one"), parts.venue),
      field(t("Severity"), parts.below),
      field(t("Ends after"), hours),
      field(t("Reason"), h("textarea", { name: "reason", required: true, maxlength: "2000" })),
      effect,
      h("p", { class: "muted" }, t("You own the rule. A second person has to approve it before it holds.")),
    ],
    t("Propose"),
  );
  if (!answer) return;
  const { hours: length, ...rule } = answer;
  const expires = new Date(Date.now() + Number(length) * 3_600_000).toISOString();
  if (await attempt(() => post("/suppressions", { ...rule, expires }), t("Proposed: a second person has to approve it."))) await soon(show);
}
