/** Where an alert comes from, and whether it can be recomputed: its input, configuration, models, build. */

import { get, post } from "../../api.js";
import { fill, h } from "../../dom.js";
import { number, t } from "../../i18n.js";
import { attempt, card } from "../../ui.js";
import { exact } from "./words.js";

/**
 * @param {{id: string, provenance: {topic: string, partition: number, onset_offset: number, decided_offset: number,
 *   updated_offset: number, configuration: string, models: Record<string, string>, build: string}}} alert
 */
export function provenance(alert) {
  const from = alert.provenance;
  const result = h("div", { role: "status" });
  const button = /** @type {HTMLButtonElement} */ (h("button", {}, t("Recompute and compare")));
  button.addEventListener("click", async () => {
    button.disabled = true;
    fill(result, h("p", { class: "muted" }, t("Recomputing from the log …")));
    const answer = await attempt(() => post(`/alerts/${alert.id}/verify`));
    if (answer) fill(result, verdict(answer));
    else fill(result);
    button.disabled = false;
  });
  void get(`/alerts/${alert.id}/verify`).then((answer) => answer && fill(result, verdict(answer))).catch(() => {});
  return card(
    t("Provenance"),
    h(
      "dl",
      { class: "facts" },
      fact(t("Input"), h("code", {}, `${from.topic}/${from.partition}`)),
      fact(t("Onset seen at offset"), number(from.onset_offset, 0)),
      fact(t("Decided at offset"), number(from.decided_offset, 0)),
      fact(t("This revision at offset"), number(from.updated_offset, 0)),
      fact(t("Configuration"), hash(from.configuration)),
      Object.entries(from.models).flatMap(([name, model]) => fact(t("Model {name}", { name }), hash(model))),
      fact(t("Build"), hash(from.build)),
      fact(t("Alert"), hash(alert.id)),
    ),
    h("div", { class: "row verify" }, button, result),
  );
}

/** @param {string} name @param {import("../../dom.js").Child} content */
const fact = (name, content) => [h("dt", {}, name), h("dd", {}, content)];

/** @param {string} text */
const hash = (text) => h("code", { title: text }, text.length > 16 ? `${text.slice(0, 16)}…` : text || "–");

/** The result in words. @param {any} answer */
function verdict(answer) {
  const kind = answer.verified === true ? "good" : answer.verified === false ? "bad" : "warn";
  const said = {
    good: t("Recomputed from the log: every byte is the same."),
    bad: t("Recomputed from the log: it differs."),
    warn: "",
  }[kind];
  return h(
    "p",
    { class: `verdict ${kind}` },
    said ? [h("strong", {}, said), " "] : null,
    answer.text ?? "",
    answer.at ? h("span", { class: "muted" }, ` ${exact(answer.at)}`) : null,
  );
}
