/** Labels: what people say of alerts and news, with who and when; training data to take along. */

import { address, get, part, post } from "../api.js";
import { fill, h } from "../dom.js";
import { t, time } from "../i18n.js";
import { may } from "../state.js";
import { attempt, card, field, load, table } from "../ui.js";
import { sheet } from "./duty/sheet.js";

/**
 * @typedef {{id: string, kind: string, subject: string, label: string, who: string, at: string, why: string}} Label
 * @typedef {{kind: string, subject: string, instrument: string, at: string, text: string, detail: string, url: string,
 *   labels: Label[]}} Item
 */

/** @type {Record<string, [string, string][]>} */
const SAID = {
  alert: [
    ["manipulation", "Manipulation"],
    ["genuine", "Genuine"],
    ["unclear", "Unclear"],
  ],
  news: [
    ["positive", "Positive"],
    ["neutral", "Neutral"],
    ["negative", "Negative"],
  ],
};

/** @param {HTMLElement} root */
export function draw(root) {
  sheet();
  const page = new LabelPage(root);
  return page.show();
}

class LabelPage {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.kind = "alert";
    this.all = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", onchange: () => this.show() }));
    this.tabs = h("div", { class: "tabs", role: "tablist" });
    this.list = h("div", {});
    this.given = h("div", {});
    this.exports = h("div", { class: "row end" });
    fill(
      root,
      h("div", { class: "row between" }, h("h1", {}, t("Labels")), this.exports),
      this.tabs,
      h("label", { class: "row" }, this.all, t("Show what is labelled already, too")),
      may("analyst") ? h("p", { class: "muted" }, t("Keys 1, 2 and 3 label the item that has the focus.")) : null,
      this.list,
      this.given,
    );
  }

  async show() {
    fill(this.tabs, this.tab("alert", t("Alerts")), this.tab("news", t("News")));
    fill(this.exports, may("analyst") ? ["csv", "json"].map((format) => this.export(format)) : null);
    await load(this.list, async () => {
      /** @type {Item[]} */
      const items = await get("/labels/items", { kind: this.kind, all: this.all.checked || null });
      if (!items.length) return [h("p", { class: "empty" }, t("Everything is labelled."))];
      return [h("ul", { class: "items" }, items.map((item) => this.item(item)))];
    });
    await this.showGiven();
  }

  showGiven() {
    return load(this.given, async () => [card(t("Given so far"), given(await get("/labels", { kind: this.kind, limit: 100 })))]);
  }

  /** @param {string} kind @param {string} text */
  tab(kind, text) {
    const choose = () => {
      this.kind = kind;
      void this.show();
    };
    return h("button", { role: "tab", "aria-selected": String(this.kind === kind), onclick: choose }, text);
  }

  /** @param {string} format */
  export(format) {
    const href = address(`/labels/export.${format}`, { kind: this.kind });
    return h("a", { class: "button", href, download: `labels-${this.kind}.${format}` }, t("Training data as {format}", { format: format.toUpperCase() }));
  }

  /** @param {Item} item */
  item(item) {
    const why = /** @type {HTMLInputElement} */ (h("input", { maxlength: "4000", autocomplete: "off" }));
    const row = h("div", { class: "row" });
    const told = h("p", { class: "muted", role: "status" });
    const said = () => {
      fill(told, item.labels.map((each) => t("{who}: {label}", { who: each.who, label: t(each.label) })).join(", "));
      const focused = [...row.children].indexOf(/** @type {Element} */ (document.activeElement));
      fill(row, SAID[item.kind].map(([label, text], place) => this.button(item, label, `${place + 1} ${t(text)}`, why, said)));
      /** @type {HTMLElement | undefined} */ (row.children[focused])?.focus();
    };
    said();
    const title = item.kind === "alert" ? h("a", { href: `/alerts/${part(item.subject)}` }, item.text) : item.text;
    const made = h(
      "li",
      { class: "item" },
      h("h3", {}, title),
      h("p", { class: "muted" }, [item.instrument, item.detail, time(item.at)].filter(Boolean).join(" · ")),
      link(item.url),
      may("analyst") ? [row, field(t("Why (optional)"), why)] : null,
      told,
    );
    made.addEventListener("keydown", (event) => {
      const place = ["1", "2", "3"].indexOf(event.key);
      if (place < 0 || event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      /** @type {HTMLElement | undefined} */ (row.children[place])?.click();
    });
    return made;
  }

  /** @param {Item} item @param {string} label @param {string} text @param {HTMLInputElement} why @param {() => void} said */
  button(item, label, text, why, said) {
    const pressed = String(item.labels.some((each) => each.label === label));
    const give = async () => {
      const body = { kind: item.kind, subject: item.subject, label, why: why.value };
      const made = await attempt(() => post("/labels", body), t("Labelled."));
      if (!made) return;
      item.labels = [...item.labels.filter((each) => each.who !== made.who), made];
      said();
      void this.showGiven();
    };
    return h("button", { "aria-pressed": pressed, onclick: give }, text);
  }
}

/** A news item's own page, where its address is one of the web. @param {string} url */
function link(url) {
  return /^https?:\/\//.test(url) ? h("p", {}, h("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, t("Read it"))) : null;
}

/** @param {Label[]} labels */
function given(labels) {
  return table(
    [
      { heading: t("At"), cell: (/** @type {Label} */ row) => time(row.at) },
      { heading: t("Who"), cell: (row) => row.who },
      { heading: t("Label"), cell: (row) => t(row.label) },
      { heading: t("About"), cell: (row) => (row.kind === "alert" ? h("a", { href: `/alerts/${part(row.subject)}` }, row.subject.slice(0, 12)) : row.subject.slice(0, 12)) },
      { heading: t("Why"), cell: (row) => row.why },
    ],
    labels,
    { caption: t("Labels") },
  );
}
