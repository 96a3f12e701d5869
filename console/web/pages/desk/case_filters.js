/** The filters above the queue of cases, with how many there are of each. */

import { h } from "../../dom.js";
import { t } from "../../i18n.js";
import { state } from "../../state.js";
import { choice, counted, text } from "./filter_parts.js";
import { CASE_STATES, OPEN_STATES, words } from "./words.js";

export const USUAL = { work: "open", owner: "", priority: "", search: "", instrument: "" };

/** The filters as the API takes them. @param {typeof USUAL} chosen */
export function query({ work, owner, ...rest }) {
  return {
    ...rest,
    state: work === "open" || work === "closing" ? OPEN_STATES : work ? [work] : [],
    closing: work === "closing" ? "true" : "",
    owner: owner === "(me)" ? state.session?.name : owner === "(nobody)" ? "" : owner,
    nobody: owner === "(nobody)" ? "true" : "",
  };
}

/**
 * The bar of filters.
 * @param {typeof USUAL} chosen changed in place
 * @param {import("./queue.js").Counts} counts
 * @param {() => void} changed
 */
export function bar(chosen, counts, changed) {
  const names = Object.keys(counts.owner ?? {}).filter(Boolean).sort();
  if (chosen.owner && !chosen.owner.startsWith("(") && !names.includes(chosen.owner)) names.push(chosen.owner);
  return h(
    "div",
    { class: "queue-filters filters", role: "search", "aria-label": t("Filters") },
    text(chosen, "search", t("Search"), t("instrument or neighbourhood"), changed),
    choice(chosen, "work", t("State"), [
      ["open", t("Open work")],
      ["closing", t("Waits for approval")],
      ["", t("All")],
      ...CASE_STATES.map((each) => /** @type {[string, string]} */ ([each, counted(words(each), counts.state?.[each])])),
    ], changed),
    choice(chosen, "owner", t("Owner"), [
      ["", t("Anybody")],
      ["(me)", t("Me")],
      ["(nobody)", t("Nobody")],
      ...names.map((each) => /** @type {[string, string]} */ ([each, counted(each, counts.owner?.[each])])),
    ], changed),
    choice(chosen, "priority", t("Priority"), [
      ["", t("All")],
      ...["1", "2", "3", "4"].map((each) => /** @type {[string, string]} */ ([each, counted(`P${each}`, counts.priority?.[each])])),
    ], changed),
    text(chosen, "instrument", t("Instrument"), "BTC*.BINANCE", changed),
  );
}
