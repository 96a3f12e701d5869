/** Pieces that pages share: tables, chips, dialogs, messages. */

import { ApiError } from "./api.js";
import { fill, h } from "./dom.js";
import { t } from "./i18n.js";

/** A severity, state or action as a coloured word. @param {string} kind @param {string} [text] */
export function chip(kind, text = kind) {
  return h("span", { class: `chip chip-${kind.replace(/[^a-z_]/g, "")}` }, t(text.replaceAll("_", " ")));
}

/** @param {string} text @param {"good" | "bad" | ""} [kind] */
export function toast(text, kind = "") {
  const shown = h("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts")?.append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? 9000 : 4000);
}

/** What went wrong, in words. @param {unknown} error */
export function told(error) {
  return error instanceof ApiError ? [error.message, error.next].filter(Boolean).join(". ") : String(error);
}

/**
 * Do something with the server; failures become a message. Gives undefined where it failed.
 * @template T
 * @param {() => Promise<T>} work
 * @param {string} [done] said when it worked
 * @returns {Promise<T | undefined>}
 */
export async function attempt(work, done = "") {
  try {
    const answer = await work();
    if (done) toast(done, "good");
    return answer;
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) toast(told(error), "bad");
    return undefined;
  }
}

/** A card with a heading. @param {string} heading @param {...import("./dom.js").Child} children */
export function card(heading, ...children) {
  return h("section", { class: "card" }, heading ? h("h2", {}, heading) : null, ...children);
}

/**
 * A plain table. Columns: heading, how a row's cell is drawn, and whether it is a number.
 * @template T
 * @param {{heading: string, cell: (row: T) => import("./dom.js").Child, numeric?: boolean}[]} columns
 * @param {T[]} rows
 * @param {{caption?: string, empty?: string, onrow?: (row: T) => void}} [options]
 */
export function table(columns, rows, { caption = "", empty = t("Nothing here."), onrow } = {}) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  return h(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": caption || t("Table") },
    h(
      "table",
      {},
      caption ? h("caption", { class: "hidden" }, caption) : null,
      h("thead", {}, h("tr", {}, columns.map((each) => h("th", { scope: "col", class: each.numeric && "number" }, each.heading)))),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            onrow ? { class: "link", onclick: () => onrow(row) } : {},
            columns.map((each) => h("td", { class: each.numeric && "number" }, each.cell(row))),
          ),
        ),
      ),
    ),
  );
}

/**
 * A labelled field of a form.
 * @param {string} label
 * @param {HTMLElement} control an input, select or textarea
 */
export function field(label, control) {
  return h("label", { class: "field" }, h("span", {}, label), control);
}

/** @param {[string, string][]} options value and text @param {Record<string, any>} [attributes] */
export function select(options, attributes = {}) {
  const { value, ...rest } = attributes;
  const made = h("select", rest, options.map(([each, text]) => h("option", { value: each }, text)));
  if (value !== undefined) /** @type {HTMLSelectElement} */ (made).value = value;
  return /** @type {HTMLSelectElement} */ (made);
}

/**
 * A dialog with a form; gives the form's values by name, or null where it was given up.
 * @param {string} heading
 * @param {HTMLElement[]} fields
 * @param {string} [act] word on the button
 * @returns {Promise<Record<string, string> | null>}
 */
export function ask(heading, fields, act = t("OK")) {
  return new Promise((resolve) => {
    const form = /** @type {HTMLFormElement} */ (
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "dialog-heading" }, heading),
        fields,
        h(
          "div",
          { class: "row end" },
          h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("Cancel")),
          h("button", { type: "submit", class: "primary" }, act),
        ),
      )
    );
    /** @type {Record<string, string> | null} */
    let answer = null;
    form.addEventListener("submit", () => {
      answer = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    });
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": "dialog-heading" }, form));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Show a page's content once it is there, and what is wrong where it does not come.
 * @param {HTMLElement} root
 * @param {() => Promise<import("./dom.js").Child[]>} work
 */
export async function load(root, work) {
  root.setAttribute("aria-busy", "true");
  try {
    fill(root, ...(await work()));
  } catch (error) {
    fill(root, h("p", { class: "problem", role: "alert" }, told(error)));
  } finally {
    root.removeAttribute("aria-busy");
  }
}
