/** Fields of a bar of filters: they change what is chosen in place, and say so. */

import { h } from "../../dom.js";
import { number } from "../../i18n.js";
import { field, select } from "../../ui.js";

/** A value with how many there are. @param {string} text @param {number | undefined} count */
export const counted = (text, count) => (count === undefined ? text : `${text} (${number(count, 0)})`);

/**
 * One of several values. A filter that takes a list gets one value, or none for the empty one.
 * @param {Record<string, any>} chosen
 * @param {string} name
 * @param {string} label
 * @param {[string, string][]} options
 * @param {() => void} changed
 */
export function choice(chosen, name, label, options, changed) {
  const many = Array.isArray(chosen[name]);
  return field(
    label,
    select(options, {
      id: `filter-${name}`,
      value: many ? (chosen[name][0] ?? "") : chosen[name],
      onchange: (/** @type {Event} */ event) => {
        const value = /** @type {HTMLSelectElement} */ (event.target).value;
        chosen[name] = many ? (value ? [value] : []) : value;
        changed();
      },
    }),
  );
}

/**
 * A text.
 * @param {Record<string, any>} chosen
 * @param {string} name
 * @param {string} label
 * @param {string} hint
 * @param {() => void} changed
 */
export function text(chosen, name, label, hint, changed) {
  return field(
    label,
    h("input", {
      type: "search",
      id: `filter-${name}`,
      value: chosen[name],
      placeholder: hint,
      maxlength: "100",
      onchange: (/** @type {Event} */ event) => {
        chosen[name] = /** @type {HTMLInputElement} */ (event.target).value.trim();
        changed();
      },
    }),
  );
}
