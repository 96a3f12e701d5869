/** What people tell the paper broker: each act asks for a reason, the kill switch for a confirmation too. */

import { post } from "../../api.js";
import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { may } from "../../state.js";
import { ask, attempt, chip, field } from "../../ui.js";

/** @typedef {{running: string, auto: boolean, switched: Record<string, boolean>, skipped: Record<string, number>,
 *   partitions: {topic: string, partition: number, running: string, standing: number, orders: number, fills: number,
 *   clock: string | null}[]}} Paper */

/** @type {Record<string, {kind: string, text: string}>} */
const STATES = {
  start: { kind: "good", text: "trading" },
  stop: { kind: "warn", text: "stopped" },
  kill: { kind: "bad", text: "killed" },
  mixed: { kind: "warn", text: "partly" },
  "": { kind: "low", text: "not running" },
};

/** The broker's state as a coloured word. @param {string} running */
export function running(running) {
  const { kind, text } = STATES[running] ?? STATES[""];
  return chip(kind, text);
}

/**
 * Ask for a reason, then tell the broker. Gives whether it was told.
 * @param {"start" | "stop" | "kill" | "on" | "off"} action
 * @param {string} [instrument]
 */
export async function tell(action, instrument = "") {
  const headings = {
    start: t("Start paper trading"),
    stop: t("Stop paper trading"),
    kill: t("Kill switch"),
    on: t("Trade {instrument} automatically", { instrument }),
    off: t("Trade {instrument} no longer", { instrument }),
  };
  const meanings = {
    start: t("The broker sends orders on signals from now on."),
    stop: t("No new orders are sent; those that stand stay."),
    kill: t("No new orders are sent, and every order that stands is cancelled, in all instruments."),
    on: t("The broker follows the signals of this instrument."),
    off: t("The broker sends no more orders for this instrument and cancels those that stand."),
  };
  const fields = [
    h("p", {}, meanings[action]),
    field(t("Reason, kept in the audit log"), h("input", { name: "why", required: true, minlength: "3", maxlength: "500", autofocus: true })),
  ];
  if (action === "kill") {
    fields.push(h("p", {}, h("label", {}, h("input", { type: "checkbox", name: "sure", required: true }), " ", t("Yes, cancel everything"))));
  }
  const said = await ask(headings[action], fields, headings[action]);
  if (!said) return false;
  const given = await attempt(() => post("/paper/commands", { action, instrument, why: said.why }), t("Told the paper broker."));
  return given !== undefined;
}

/**
 * The three buttons of the broker; each calls `done` afterwards.
 * @param {() => void} done
 */
export function controls(done) {
  if (!may("analyst")) return null;
  /** @param {"start" | "stop" | "kill"} action @param {string} text @param {string} style */
  const button = (action, text, style) =>
    h("button", { class: style, onclick: async () => (await tell(action)) && done() }, text);
  return h(
    "div",
    { class: "row" },
    button("start", t("Start"), ""),
    button("stop", t("Stop"), ""),
    button("kill", t("Kill switch"), "danger"),
  );
}

/**
 * The switch of one instrument.
 * @param {string} instrument @param {boolean} on @param {() => void} done
 */
export function toggle(instrument, on, done) {
  return h(
    "button",
    {
      class: "switch", role: "switch", "aria-checked": String(on), disabled: !may("analyst"),
      "aria-label": t("Trade {instrument} automatically", { instrument }),
      onclick: async () => (await tell(on ? "off" : "on", instrument)) && done(),
    },
    on ? t("On") : t("Off"),
  );
}
