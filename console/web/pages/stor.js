/** A suspicious transaction and order report: written by people from a draft, revision by revision, then exported. */

import { address, get, part, put } from "../api.js";
import { fill, h } from "../dom.js";
import { t, time } from "../i18n.js";
import { may } from "../state.js";
import { attempt, card, chip, field, load, select, table } from "../ui.js";
import { sheet } from "./duty/sheet.js";
import { ITEM, PERSON, SUBMITTER, SUSPICION, TRADING } from "./duty/stor_fields.js";

/**
 * @typedef {import("./duty/stor_fields.js").Field} Field
 * @typedef {{id: string, revision: number, alert: string, instrument: string, state: string, who: string, at: string,
 *   missing: string[], content: any}} Draft
 */

/** @param {HTMLElement} root @param {{id?: string}} parameters */
export function draw(root, { id }) {
  sheet();
  return load(root, async () => (id ? [await report(root, id)] : [h("h1", {}, t("Suspicious transaction reports")), list(await get("/stor"))]));
}

/** @param {Draft[]} drafts */
function list(drafts) {
  return table(
    [
      { heading: t("Report"), cell: (/** @type {Draft} */ row) => h("a", { href: `/stor/${part(row.id)}` }, row.id.slice(0, 12)) },
      { heading: t("Instrument"), cell: (row) => row.instrument },
      { heading: t("State"), cell: (row) => chip(row.state === "final" ? "good" : "new", t(row.state)) },
      { heading: t("Revision"), cell: (row) => row.revision, numeric: true },
      { heading: t("Written by"), cell: (row) => row.who },
      { heading: t("At"), cell: (row) => time(row.at) },
    ],
    drafts,
    { caption: t("Reports"), empty: t("No report yet: draft one from an alert.") },
  );
}

/** @param {HTMLElement} root @param {string} id */
async function report(root, id) {
  const [draft, history] = await Promise.all([get(`/stor/${part(id)}`), get(`/stor/${part(id)}/history`)]);
  return form(draft, history, () => void load(root, async () => [await report(root, id)]));
}

/** @param {Draft} draft @param {Draft[]} history @param {() => void} again */
function form(draft, history, again) {
  const content = structuredClone(draft.content);
  const open = draft.state === "draft";
  const lines = /** @type {HTMLTextAreaElement} */ (h("textarea", { value: content.documents.join("\n"), readonly: !open }));
  const additional = /** @type {HTMLTextAreaElement} */ (h("textarea", { value: content.additional, maxlength: "20000", readonly: !open }));
  const made = /** @type {HTMLFormElement} */ (
    h(
      "form",
      { class: "stor" },
      header(draft),
      section(t("1. Who submits"), fields(SUBMITTER, content.submitter, open)),
      section(t("2. Orders and transactions"), fields(TRADING, content.trading, open), entries(t("Order or transaction"), ITEM, content.trading.items, open, { kind: "transaction", side: "" })),
      section(t("3. The suspicion"), fields(SUSPICION, content.suspicion, open)),
      section(t("4. Persons suspected"), entries(t("Person"), PERSON, content.persons, open, {})),
      section(t("5. Additional information"), field(t("Additional information"), additional)),
      section(t("6. Documents attached"), field(t("One a line"), lines)),
      open ? acts() : null,
      card(t("Revisions"), revisions(history)),
    )
  );
  /** @param {boolean} final */
  const save = async (final) => {
    if (!made.reportValidity()) return;
    content.additional = additional.value;
    content.documents = lines.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const body = { expected: draft.revision, content, final };
    if (await attempt(() => put(`/stor/${part(draft.id)}`, body), final ? t("Made final.") : t("Saved."))) again();
  };
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    const by = /** @type {HTMLButtonElement | null} */ (event.submitter);
    void save(by?.value === "final");
  });
  return made;
}

function acts() {
  return h(
    "div",
    { class: "acts row" },
    h("button", { type: "submit", class: "primary", value: "draft" }, t("Save")),
    may("approver") ? h("button", { type: "submit", value: "final" }, t("Save and make final")) : h("span", { class: "muted" }, t("An approver makes it final.")),
  );
}

/** @param {Draft} draft */
function header(draft) {
  const of = `/stor/${part(draft.id)}`;
  return h(
    "header",
    {},
    h("p", {}, h("a", { href: `/alerts/${part(draft.alert)}` }, `← ${t("Alert")}`)),
    h("h1", {}, t("Suspicious transaction and order report")),
    h(
      "div",
      { class: "row" },
      chip(draft.state === "final" ? "good" : "new", t(draft.state)),
      h("span", {}, draft.instrument),
      h("span", { class: "muted" }, t("revision {n}, {who}, {at}", { n: draft.revision, who: draft.who, at: time(draft.at) })),
      h("a", { class: "button end", href: address(`${of}/report.xml`), download: true }, t("XML")),
      h("a", { class: "button", href: address(`${of}/report.pdf`), download: true }, t("PDF")),
    ),
    draft.missing.length ? h("p", { class: "lacks" }, t("Not complete: {what}", { what: draft.missing.map((each) => t(each)).join(", ") })) : null,
  );
}

/** @param {string} legend @param {...import("../dom.js").Child} children */
const section = (legend, ...children) => h("fieldset", {}, h("legend", {}, legend), ...children);

/** Controls that write into `target` as they change. @param {Field[]} wanted @param {any} target @param {boolean} open */
function fields(wanted, target, open) {
  return h("div", { class: "fields" }, wanted.map((each) => control(each, target, open)));
}

/** @param {Field} wanted @param {any} target @param {boolean} open */
function control(wanted, target, open) {
  const value = target[wanted.name] ?? "";
  const common = { name: wanted.name, disabled: !open };
  /** @type {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} */
  let made;
  if (wanted.options) {
    made = select(wanted.options.map(([each, text]) => [each, t(text)]), { ...common, value });
  } else if (wanted.kind === "long") {
    made = /** @type {HTMLTextAreaElement} */ (h("textarea", { name: wanted.name, value, maxlength: "20000", readonly: !open }));
  } else {
    const type = wanted.kind === "date" ? "date" : "text";
    made = /** @type {HTMLInputElement} */ (
      h("input", { name: wanted.name, type, value, readonly: !open, maxlength: "300", pattern: wanted.pattern, placeholder: wanted.hint ? t(wanted.hint) : null, autocomplete: "off" })
    );
  }
  made.addEventListener("input", () => (target[wanted.name] = made.value));
  const label = field(t(wanted.text), made);
  if (wanted.kind === "long") label.classList.add("wide");
  return label;
}

/**
 * A list of entries that grows and shrinks.
 * @param {string} name @param {Field[]} wanted @param {any[]} list @param {boolean} open @param {any} fresh
 */
function entries(name, wanted, list, open, fresh) {
  const box = h("div", {});
  const show = () => {
    fill(
      box,
      list.map((entry, place) =>
        h(
          "div",
          { class: "entry", role: "group", "aria-label": `${name} ${place + 1}` },
          h("div", { class: "row between" }, h("h3", {}, `${name} ${place + 1}`), open ? h("button", { type: "button", class: "danger", onclick: () => drop(place) }, t("Remove")) : null),
          fields(wanted, entry, open),
        ),
      ),
      open ? h("button", { type: "button", onclick: add }, t("Add: {what}", { what: name })) : null,
    );
  };
  const add = () => {
    list.push({ ...fresh });
    show();
  };
  /** @param {number} place */
  const drop = (place) => {
    list.splice(place, 1);
    show();
  };
  show();
  return box;
}

/** @param {Draft[]} history */
function revisions(history) {
  return h(
    "ol",
    { class: "timeline" },
    [...history].reverse().map((each) =>
      h("li", {}, t("Revision {n} by {who}", { n: each.revision, who: each.who }), " ", h("time", { datetime: each.at }, time(each.at)), each.state === "final" ? [" ", chip("good", t("final"))] : null),
    ),
  );
}
