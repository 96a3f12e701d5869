/** Case: its alerts with what each says, and the panel in which it is worked on. */

import { get, part } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { subscribe } from "../live/events.js";
import { may } from "../state.js";
import { card, chip, table } from "../ui.js";
import { actor, casePanel } from "./desk/case_panel.js";
import { help, listen } from "./desk/keys.js";
import { caseAt } from "./desk/orders.js";
import { dress, moment, skeleton, words } from "./desk/words.js";

/** @typedef {import("./desk/case_panel.js").Case} Case */

/** @param {HTMLElement} root @param {{id: string}} parameters */
export async function draw(root, { id }) {
  dress();
  fill(root, skeleton(5));
  /** @type {Case | null} */
  let shown = null;
  const show = async (revision = -1) => {
    const view = shown ? await caseAt(part(id), revision) : await get(`/cases/${part(id)}`);
    if (!view || view.case.revision < (shown?.revision ?? -1)) return;
    shown = view.case;
    fill(root, ...content(view.case, view.sentences, show, keys));
  };
  const act = (/** @type {string} */ action) => () => void (shown && actor(shown, show)(action)());
  const keys = may("analyst")
    ? [
        { key: "a", text: t("assign to me"), act: act("claim") },
        { key: "m", text: t("add a note"), act: act("note") },
        { key: "e", text: t("escalate"), act: act("escalate") },
        { key: "c", text: t("close, with outcome and reason"), act: act("close") },
      ]
    : [];
  await show();
  const stops = [
    listen(keys),
    subscribe(["cases"], ({ topic, message }) => {
      if (topic === "gap") void show();
      else if (message.id === id && message.revision > (shown?.revision ?? -1)) void show(message.revision);
    }),
  ];
  return () => stops.forEach((stop) => stop());
}

/**
 * @param {Case} found
 * @param {Record<string, string>} sentences
 * @param {(revision?: number) => Promise<void>} show
 * @param {import("./desk/keys.js").Key[]} keys
 */
function content(found, sentences, show, keys) {
  return [
    h(
      "header",
      { class: "alert-head" },
      h("p", { class: "row" }, h("a", { href: "/cases" }, `← ${t("Cases")}`), h("button", { class: "quiet end", onclick: () => help(keys) }, t("Keys"), " ", h("kbd", {}, "?"))),
      h("h1", {}, t("Case of {instrument}", { instrument: found.instrument })),
      h(
        "div",
        { class: "row" },
        chip(found.state),
        found.instruments.map((name) => h("a", { href: `/instruments/${part(name)}` }, name)),
        found.neighbourhood ? h("span", { class: "muted" }, t("neighbourhood {name}", { name: found.neighbourhood })) : null,
        h("span", { class: "muted" }, t("updated"), " ", moment(found.updated)),
      ),
    ),
    h(
      "div",
      { class: "alert-columns case-columns" },
      h("div", {}, card(t("Alerts"), alerts(found, sentences))),
      h("div", {}, casePanel(found, show, { link: false })),
    ),
  ];
}

const QUIET = /** @type {Record<string, string>} */ ({
  stronger: "quiet: a stronger alert speaks for it",
  suppression: "quiet: a suppression is in force",
  cooldown: "quiet: just after a close",
});

/** @param {Case} found @param {Record<string, string>} sentences */
function alerts(found, sentences) {
  const rank = ["critical", "high", "medium", "low"];
  const sorted = [...found.alerts].sort((one, other) => rank.indexOf(one.severity) - rank.indexOf(other.severity) || other.score - one.score);
  return table(
    [
      { heading: t("Severity"), cell: (each) => chip(each.severity || "low") },
      { heading: t("Score"), cell: (each) => each.score.toFixed(0), numeric: true },
      {
        heading: t("What happened"),
        cell: (each) => [
          h("div", { class: "row" }, h("a", { href: `/alerts/${each.id}`, class: "strong" }, words(each.scenario)), h("span", { class: "muted" }, each.instrument)),
          h("div", { class: "said" }, sentences[each.id] ?? ""),
          each.inhibited ? h("div", { class: "muted" }, t(QUIET[each.inhibition ?? ""] ?? "quiet")) : null,
        ],
      },
      { heading: t("Episode"), cell: (each) => [words(each.state), each.revision ? h("div", { class: "muted nowrap" }, t("revision {n}", { n: each.revision })) : null] },
      { heading: t("Onset"), cell: (each) => (each.onset ? h("span", { class: "nowrap" }, moment(each.onset)) : "–") },
    ],
    sorted,
    { caption: t("Alerts of this case") },
  );
}
