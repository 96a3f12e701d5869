/** Keyboard work on a page: single keys, the dialog that lists them, and the switch that turns them off. */

import { h } from "../../dom.js";
import { t } from "../../i18n.js";

const OFF = "tapewatch.keys.off";

/** @typedef {{key: string, text: string, act: (event: KeyboardEvent) => void}} Key */

/**
 * Listen to single keys until the answer is called. Nothing is heard while somebody types, in a dialog, or once they
 * are turned off (WCAG 2.1.4).
 * @param {Key[]} keys `key` as KeyboardEvent.key has it
 * @returns {() => void}
 */
export function listen(keys) {
  /** @param {KeyboardEvent} event */
  const heard = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target instanceof HTMLElement && typing(event.target)) return;
    if (event.key === "?") {
      event.preventDefault();
      help(keys);
      return;
    }
    const found = keys.find((each) => each.key === event.key);
    if (!found || (localStorage.getItem(OFF) && event.key.length === 1)) return;
    if (event.target instanceof HTMLElement && native(event.target, event.key)) return;
    event.preventDefault();
    found.act(event);
  };
  document.addEventListener("keydown", heard);
  return () => document.removeEventListener("keydown", heard);
}

/** Whether a key has its own meaning where the focus is. @param {HTMLElement} element @param {string} key */
function native(element, key) {
  if (element instanceof HTMLInputElement && element.type === "range") return key.startsWith("Arrow");
  return [" ", "Enter"].includes(key) && element.closest("a, button, summary, input") !== null;
}

/** @param {HTMLElement} element */
function typing(element) {
  if (element.isContentEditable || element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement) return true;
  return element instanceof HTMLInputElement && !["checkbox", "button", "range"].includes(element.type);
}

const NAMES = /** @type {Record<string, string>} */ ({ ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", " ": "Space" });

/** The dialog that lists the keys. @param {Key[]} keys */
export function help(keys) {
  const off = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", checked: !localStorage.getItem(OFF) }));
  off.addEventListener("change", () => (off.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
  const dialog = /** @type {HTMLDialogElement} */ (
    h(
      "dialog",
      { "aria-labelledby": "keys-heading", class: "keys" },
      h("h2", { id: "keys-heading" }, t("Keys")),
      h(
        "dl",
        {},
        [...keys, { key: "?", text: t("this list") }].map((each) =>
          h("div", {}, h("dt", {}, h("kbd", {}, NAMES[each.key] ?? each.key)), h("dd", {}, each.text)),
        ),
      ),
      h("label", { class: "row" }, off, t("Single keys work on this device")),
      h("form", { method: "dialog", class: "row end" }, h("button", { class: "primary" }, t("Close"))),
    )
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
