/** Subscriptions: who is told of which alerts, where, at what pace; what was sent, and sending it again. */

import { get, part, patch, post } from "../api.js";
import { fill, h } from "../dom.js";
import { number, t, time } from "../i18n.js";
import { state } from "../state.js";
import { ask, attempt, card, chip, field, load, select, table, toast } from "../ui.js";
import { asked, form } from "./subscriptions/form.js";

const STATES = ["waiting", "queued", "delivered", "dead", "gathering", "folded"];

/** @param {HTMLElement} root */
export async function draw(root) {
  const list = h("div", {});
  const sent = h("div", {});
  const shown = { subscription: "", state: "" };
  /** @type {any[]} */
  let found = [];
  const again = () => load(list, async () => {
    found = await get("/subscriptions");
    return [subscriptions(found, again, look)];
  });
  const deliveries = () => load(sent, () => outbox(shown, found, deliveries));
  const look = (/** @type {string} */ id, /** @type {string} */ wanted) => {
    Object.assign(shown, { subscription: id, state: wanted });
    void deliveries().then(() => sent.scrollIntoView({ block: "start" }));
  };
  fill(
    root,
    h("div", { class: "row between" },
      h("h1", {}, t("Subscriptions")),
      h("button", { class: "primary", onclick: () => void make(again) }, t("New subscription"))),
    list,
    sent,
  );
  await again();
  await deliveries();
}

/**
 * @param {any[]} found @param {() => Promise<void>} again
 * @param {(id: string, state: string) => void} look
 */
function subscriptions(found, again, look) {
  const owner = state.session?.role === "admin" ? [{ heading: t("By"), cell: (/** @type {any} */ row) => row.created_by }] : [];
  return card(
    "",
    table(
      [
        { heading: t("Name"), cell: (row) => row.name },
        { heading: t("Kind"), cell: (row) => t(row.kind) },
        { heading: t("Address"), cell: (row) => h("code", {}, row.target) },
        { heading: t("For"), cell: (row) => h("div", { style: { minWidth: "12rem" } }, filtered(row.filter), h("div", { class: "muted" }, paced(row.pace))) },
        { heading: t("State"), cell: (row) => [chip(row.state), row.reason || row.failing_since ? h("div", { class: "muted" }, row.reason || t("failing since {at}", { at: time(row.failing_since) })) : null] },
        { heading: t("Deliveries"), cell: (row) => counts(row, look) },
        ...owner,
        { heading: t("Actions"), cell: (row) => acts(row, again) },
      ],
      found,
      { caption: t("Subscriptions"), empty: t("Nobody is told of alerts yet.") },
    ),
  );
}

/** How many deliveries are in each state, as buttons. @param {any} row @param {(id: string, state: string) => void} look */
function counts(row, look) {
  const there = STATES.filter((each) => row.deliveries[each]);
  if (!there.length) return h("span", { class: "muted" }, t("none"));
  return h("div", { class: "row" }, there.map((each) =>
    h("button", { class: each === "dead" ? "danger" : "quiet", onclick: () => look(row.id, each) }, `${number(row.deliveries[each], 0)} ${t(each)}`)));
}

/** @param {any} wanted a filter */
function filtered(wanted) {
  if (wanted.about === "operation") return t("missed canaries, for the operator");
  const parts = [...wanted.scenarios, ...wanted.venues, ...wanted.instruments, ...wanted.states.map((/** @type {string} */ each) => t(each))];
  if (wanted.min_severity !== "low") parts.push(t("{severity} and above", { severity: t(wanted.min_severity) }));
  if (wanted.revisions === "first") parts.push(t("first revision only"));
  return parts.length ? parts.join(", ") : t("every alert");
}

/** @param {any} pace */
function paced(pace) {
  const parts = [pace.digest_minutes ? t("every {count} minutes", { count: pace.digest_minutes }) : t("at once")];
  if (pace.per_hour) parts.push(t("{count} an hour at most", { count: pace.per_hour }));
  if (pace.quiet) parts.push(t("quiet {start} to {end} {zone}", pace.quiet));
  return parts.join(", ");
}

/** What can be done with a subscription. @param {any} row @param {() => Promise<void>} again */
function acts(row, again) {
  const path = `/subscriptions/${part(row.id)}`;
  const button = (/** @type {string} */ text, /** @type {() => Promise<unknown>} */ work, kind = "quiet") =>
    h("button", { class: kind, "aria-label": `${text}: ${row.name}`, onclick: () => void work() }, text);
  const switched = row.state === "active"
    ? button(t("Disable"), () => disable(path, again), "danger")
    : button(t("Enable"), async () => (await attempt(() => post(`${path}/enable`), t("Enabled."))) && again());
  return h("div", { class: "row", style: { flexWrap: "nowrap" } },
    button(t("Test"), async () => (await attempt(() => post(`${path}/test`), t("A test message is on its way."))) && again()),
    button(t("Edit"), () => edit(row, path, again)),
    row.kind === "webhook" ? button(t("Rotate secret"), () => rotate(path)) : null,
    button(t("Replay"), () => replay(path, again)),
    switched);
}

/** @param {() => Promise<void>} again */
async function make(again) {
  const answer = await ask(t("New subscription"), form(null), t("Make"));
  if (!answer) return;
  const made = await attempt(() => post("/subscriptions", { kind: answer.kind, target: answer.target, ...asked(answer) }), t("Made."));
  if (!made) return;
  if (made.secret) await reveal(made.secret);
  await again();
}

/** @param {any} row @param {string} path @param {() => Promise<void>} again */
async function edit(row, path, again) {
  const answer = await ask(t("Edit {name}", { name: row.name }), form(row), t("Save"));
  if (!answer) return;
  const target = answer.target ? { target: answer.target } : {};
  if (await attempt(() => patch(path, { ...target, ...asked(answer) }), t("Saved."))) await again();
}

/** @param {string} path @param {() => Promise<void>} again */
async function disable(path, again) {
  const answer = await ask(t("Disable"), [
    h("p", {}, t("Nothing new is kept for it; what waits is sent when it is enabled again.")),
    field(t("Reason"), h("textarea", { name: "why", required: true, maxlength: 1000 })),
  ], t("Disable"));
  if (answer && (await attempt(() => post(`${path}/disable`, { why: answer.why }), t("Disabled.")))) await again();
}

/** @param {string} path */
async function rotate(path) {
  const answer = await ask(t("Rotate secret"), [
    h("p", {}, t("Messages carry both signatures until the old secret runs out.")),
    field(t("Hours until then"), h("input", { name: "hours", type: "number", min: 0, max: 2160, step: "any", required: true, value: "24" })),
  ], t("Rotate secret"));
  const made = answer && (await attempt(() => post(`${path}/rotate`, { overlap_hours: Number(answer.hours) })));
  if (made) await reveal(made.secret);
}

/** Show a secret, this once. @param {string} secret */
async function reveal(secret) {
  const copy = async () => {
    await navigator.clipboard?.writeText(secret);
    toast(t("Copied."), "good");
  };
  await ask(t("Webhook secret"), [
    h("p", {}, t("Keep it now: nothing shows it again.")),
    field(t("Secret"), h("input", { readonly: true, value: secret, size: 50, onfocus: (/** @type {any} */ event) => event.target.select() })),
    h("button", { type: "button", class: "quiet", onclick: () => void copy() }, t("Copy")),
  ], t("I have kept it"));
}

/** @param {string} path @param {() => Promise<void>} again */
async function replay(path, again) {
  const answer = await ask(t("Replay"), [
    h("p", {}, t("Messages made in this time go out again, under the same ids.")),
    field(t("From"), h("input", { name: "since", type: "datetime-local", required: true })),
    field(t("Until (empty: now)"), h("input", { name: "until", type: "datetime-local" })),
    h("label", { class: "row" }, h("input", { name: "dead", type: "checkbox" }), t("Dead letters only")),
  ], t("Replay"));
  if (!answer) return;
  const moment = (/** @type {string} */ text) => (text ? new Date(text).toISOString() : "");
  const body = { since: moment(answer.since), until: moment(answer.until), dead: answer.dead === "on" };
  const done = await attempt(() => post(`${path}/replay`, body));
  if (!done) return;
  toast(t("{count} messages go out again.", { count: done.messages }), "good");
  await again();
}

/**
 * Deliveries, newest first.
 * @param {{subscription: string, state: string}} shown @param {any[]} found @param {() => Promise<void>} again
 */
async function outbox(shown, found, again) {
  const rows = await get("/deliveries", { ...shown, limit: 100 });
  const names = Object.fromEntries(found.map((each) => [each.id, each.name]));
  const change = (/** @type {"subscription" | "state"} */ name) => (/** @type {any} */ event) => {
    shown[name] = event.target.value;
    void again();
  };
  return [
    h("div", { class: "row between" },
      h("h2", {}, t("Deliveries")),
      h("div", { class: "row" },
        select([["", t("All subscriptions")], ...found.map((each) => /** @type {[string, string]} */ ([each.id, each.name]))],
          { "aria-label": t("Subscription"), value: shown.subscription, onchange: change("subscription") }),
        select([["", t("All states")], ...STATES.map((each) => /** @type {[string, string]} */ ([each, t(each)]))],
          { "aria-label": t("State"), value: shown.state, onchange: change("state") }))),
    card(
      "",
      table(
        [
          { heading: t("Made"), cell: (row) => time(row.created_ns / 1e6) },
          { heading: t("Subscription"), cell: (row) => names[row.subscription_id] ?? "–" },
          { heading: t("Message"), cell: (row) => [row.type, h("div", { class: "muted" }, h("code", {}, row.message_id))] },
          { heading: t("Instrument"), cell: (row) => (row.alert_id ? h("a", { href: `/alerts/${part(row.alert_id)}` }, row.instrument) : "–") },
          { heading: t("State"), cell: (row) => chip(row.state) },
          { heading: t("Attempts"), cell: (row) => row.attempts, numeric: true },
          { heading: t("Last error"), cell: (row) => row.last_error || "–" },
        ],
        /** @type {any[]} */ (rows),
        { caption: t("Deliveries"), empty: t("Nothing was sent yet.") },
      ),
    ),
  ];
}
