/** Alert: what happened in a sentence, the evidence, the minutes around it, its proof, and the case it belongs to. */

import { address, get, part, post } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { subscribe } from "../live/events.js";
import { may, sees } from "../state.js";
import { attempt, card, chip } from "../ui.js";
import { actor, casePanel } from "./desk/case_panel.js";
import { evidence } from "./desk/evidence.js";
import { help, listen } from "./desk/keys.js";
import { minutes } from "./desk/minutes.js";
import { caseAt } from "./desk/orders.js";
import { provenance } from "./desk/provenance.js";
import { replay } from "./desk/replay.js";
import { dress, exact, gauge, moment, skeleton, words } from "./desk/words.js";

/** @param {HTMLElement} root @param {{id: string}} parameters */
export async function draw(root, { id }) {
  dress();
  fill(root, skeleton(6));
  const [view, revisions] = await Promise.all([get(`/alerts/${part(id)}`), get(`/alerts/${part(id)}/history`)]);
  const page = new AlertPage(root, view, revisions);
  await page.drawCase();
  void page.drawMinutes();
  return () => page.end();
}

class AlertPage {
  /** @param {HTMLElement} root @param {any} view @param {any[]} revisions */
  constructor(root, view, revisions) {
    this.id = view.alert.id;
    this.caseId = view.case?.id ?? "";
    /** @type {import("./desk/case_panel.js").Case | null} */
    this.found = null;
    this.panel = h("div", { "aria-live": "polite" });
    this.around = h("div", {}, skeleton(3));
    this.changed = h("div", { role: "status" });
    /** @type {import("./desk/keys.js").Key[]} */
    this.replayKeys = [];
    /** @type {(() => void)[]} */
    this.stops = [subscribe(["alerts", "cases"], (event) => this.arrived(event))];
    this.stopKeys = listen(this.keys());
    const first = revisions[0] ?? view.alert;
    fill(
      root,
      heading(view, this.changed, () => help(this.keys())),
      h(
        "div",
        { class: "alert-columns" },
        h(
          "div",
          {},
          card(t("Evidence"), evidence(view.alert, first), h("p", { class: "muted" }, t("Rests on: {tier}", { tier: view.alert.data_tier }))),
          card(t("The minutes around it"), this.around),
          card(t("Revisions"), revisionList(revisions)),
        ),
        h("div", {}, this.panel, exports(view.alert.id), labels(view.alert), provenance(view.alert)),
      ),
    );
  }

  end() {
    for (const stop of this.stops) stop();
    this.stopKeys();
  }

  /** @returns {import("./desk/keys.js").Key[]} */
  keys() {
    const act = (/** @type {string} */ action) => () => void (this.found && actor(this.found, (revision) => this.drawCase(revision))(action)());
    const acts = may("analyst")
      ? [
          { key: "a", text: t("assign to me"), act: act("claim") },
          { key: "m", text: t("add a note"), act: act("note") },
          { key: "e", text: t("escalate"), act: act("escalate") },
          { key: "c", text: t("close, with outcome and reason"), act: act("close") },
        ]
      : [];
    return [...acts, ...this.replayKeys];
  }

  /** Fetch and draw the case's panel; what is missing is said. @param {number} [revision] at least */
  async drawCase(revision = -1) {
    if (!this.caseId) {
      const view = await attempt(() => get(`/alerts/${this.id}`));
      this.caseId = view?.case?.id ?? "";
    }
    if (!this.caseId) {
      fill(this.panel, card(t("Case"), h("p", { class: "muted" }, t("No case yet: it follows within moments."))));
      return;
    }
    if (!sees("cases")) {
      fill(this.panel, card(t("Case"), h("p", { class: "muted" }, t("Cases are not part of your seat."))));
      return;
    }
    const view = await caseAt(this.caseId, revision);
    if (!view || view.case.revision < (this.found?.revision ?? -1)) return;
    this.found = view.case;
    fill(this.panel, casePanel(view.case, (newer) => this.drawCase(newer)));
  }

  /** The drawing and the replay, which move each other. */
  async drawMinutes() {
    const context = await attempt(() => get(`/alerts/${this.id}/context`));
    if (!context) {
      fill(this.around, h("p", { class: "problem" }, t("The minutes around it cannot be shown.")));
      return;
    }
    const drawing = minutes(context, (at) => player.to(at));
    const player = replay(context, (at) => drawing.cursor(at));
    this.stops.push(drawing.end, player.end);
    this.replayKeys = player.keys;
    this.stopKeys();
    this.stopKeys = listen(this.keys());
    fill(
      this.around,
      drawing.element,
      h("h3", {}, t("Order book replay")),
      player.element,
      context.cut ? h("p", { class: "muted" }, t("Only the first 5,000 trades are shown.")) : null,
    );
  }

  /** @param {{topic: string, message: any}} event */
  arrived({ topic, message }) {
    if (topic === "cases" && (message.id === this.caseId || message.alerts.some((/** @type {any} */ each) => each.id === this.id))) {
      this.caseId = message.id;
      if (message.revision > (this.found?.revision ?? -1)) void this.drawCase(message.revision);
    }
    if (topic === "alerts" && message.id === this.id) {
      fill(
        this.changed,
        h("p", { class: "changed" }, t("There is a newer look at this alert: revision {n}.", { n: message.revision }), " ", h("a", { href: `/alerts/${this.id}` }, t("Show it"))),
      );
    }
  }
}

/** @param {any} view @param {HTMLElement} changed @param {() => void} keys */
function heading({ alert, name }, changed, keys) {
  return h(
    "header",
    { class: "alert-head" },
    h("p", { class: "row" }, h("a", { href: "/alerts" }, `← ${t("Alerts")}`), h("button", { class: "quiet end", onclick: keys }, t("Keys"), " ", h("kbd", {}, "?"))),
    h("h1", {}, alert.sentence),
    h(
      "div",
      { class: "row" },
      chip(alert.severity),
      h("span", {}, words(alert.scenario)),
      h("a", { href: `/instruments/${part(alert.instrument)}` }, alert.instrument),
      h("span", { class: "muted" }, name),
      gauge(alert.score, t("Score")),
      alert.probability === null ? null : h("span", {}, t("probability {p}", { p: `${(alert.probability * 100).toFixed(1)} %` })),
      h("span", { class: "muted" }, t("decided"), " ", moment(alert.decided), `, ${exact(alert.decided)}`),
      h("span", { class: "muted" }, t("onset {at}", { at: exact(alert.onset) })),
    ),
    changed,
  );
}

/** Every look at the episode, newest first. @param {any[]} revisions */
function revisionList(revisions) {
  return h(
    "ol",
    { class: "timeline" },
    [...revisions].reverse().map((each) =>
      h(
        "li",
        {},
        h("div", { class: "row" }, h("strong", {}, t("Revision {n}", { n: each.revision })), chip(each.severity), h("span", {}, t("score {n}", { n: each.score.toFixed(1) })), h("span", { class: "muted" }, t("episode {state}", { state: t(each.state) }))),
        h("div", {}, each.sentence),
        h("time", { datetime: each.updated }, exact(each.updated)),
      ),
    ),
  );
}

/** Reports and the bundle. @param {string} id */
function exports(id) {
  const link = (/** @type {string} */ what, /** @type {string} */ text) =>
    h("a", { class: "button", href: address(`/alerts/${id}/${what}`), target: "_blank", rel: "noopener" }, text);
  return card(
    t("Take it along"),
    h(
      "div",
      { class: "row" },
      link("report.html", t("Report")),
      link("report.pdf", t("Report as PDF")),
      h("a", { class: "button", href: address(`/alerts/${id}/bundle`), download: true }, t("Evidence bundle")),
      may("analyst") ? h("button", { onclick: () => draft(id) }, t("Draft a STOR")) : null,
    ),
  );
}

/** A draft of a suspicious transaction and order report, opened at once. @param {string} id */
async function draft(id) {
  const made = await attempt(() => post(`/alerts/${id}/stor`));
  if (made) (await import("../app.js")).go(`/stor/${made.id}`);
}

/** What somebody says the alert is: training data. @param {any} alert */
function labels(alert) {
  if (!may("analyst")) return null;
  const give = (/** @type {string} */ label) =>
    attempt(() => post("/labels", { kind: "alert", subject: alert.id, label, instrument: alert.instrument, why: "" }), t("Labelled."));
  return card(
    t("Label"),
    h("p", { class: "muted" }, t("Labels become training data, with your name and the time.")),
    h(
      "div",
      { class: "row" },
      [["manipulation", t("Manipulation")], ["genuine", t("Genuine")], ["unclear", t("Unclear")]].map(([label, text]) =>
        h("button", { onclick: () => give(label) }, text),
      ),
    ),
  );
}
