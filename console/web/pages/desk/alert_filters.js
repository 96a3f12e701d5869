/** The filters above the queue of alerts, with how many there are of each. */

import { h } from "../../dom.js";
import { number, t } from "../../i18n.js";
import { state } from "../../state.js";
import { choice, counted, text } from "./filter_parts.js";
import { CASE_STATES, OPEN_STATES, SEVERITIES, words } from "./words.js";

/** @typedef {typeof USUAL} Filters */
export const USUAL = {
  severity: /** @type {string[]} */ ([]),
  scenario: /** @type {string[]} */ ([]),
  work: "open",
  owner: "",
  search: "",
  instrument: "",
  venue: "",
  state: "",
  within: "",
  order: "rank",
};

const HOURS = /** @type {Record<string, number>} */ ({ "1h": 1, "24h": 24, "7d": 168, "30d": 720 });

/** The filters as the API takes them. @param {Filters} chosen */
export function query(chosen) {
  const { work, owner, within, ...rest } = chosen;
  const states = work === "open" ? [...OPEN_STATES, "none"] : work ? [work] : [];
  return {
    ...rest,
    case_state: states,
    owner: owner === "(me)" ? state.session?.name : owner === "(nobody)" ? "" : owner,
    nobody: owner === "(nobody)" ? "true" : "",
    since: within ? new Date(Date.now() - HOURS[within] * 3_600_000).toISOString() : "",
  };
}

/**
 * The bar of filters.
 * @param {Filters} chosen changed in place
 * @param {Record<string, Record<string, number>>} counts
 * @param {() => void} changed
 */
export function bar(chosen, counts, changed) {
  const scenarios = Object.keys({ ...counts.scenario, ...Object.fromEntries(chosen.scenario.map((each) => [each, 0])) }).sort();
  return h(
    "div",
    { class: "queue-filters", role: "search", "aria-label": t("Filters") },
    severities(chosen, counts.severity ?? {}, changed),
    h(
      "div",
      { class: "filters" },
      text(chosen, "search", t("Search"), t("instrument or words"), changed),
      choice(chosen, "work", t("Case"), [
        ["open", t("Open work")],
        ["", t("All")],
        ...CASE_STATES.map((each) => /** @type {[string, string]} */ ([each, counted(words(each), counts.case_state?.[each])])),
        ["none", t("No case yet")],
      ], changed),
      choice(chosen, "owner", t("Owner"), [["", t("Anybody")], ["(me)", t("Me")], ["(nobody)", t("Nobody")]], changed),
      choice(chosen, "scenario", t("Scenario"), [
        ["", t("All")],
        ...scenarios.map((each) => /** @type {[string, string]} */ ([each, counted(words(each), counts.scenario?.[each])])),
      ], changed),
      choice(chosen, "within", t("Decided within"), [["", t("Any time")], ["1h", t("1 hour")], ["24h", t("1 day")], ["7d", t("7 days")], ["30d", t("30 days")]], changed),
      choice(chosen, "order", t("Order"), [["rank", t("By risk")], ["newest", t("Newest first")]], changed),
      h(
        "details",
        { class: "more", open: Boolean(chosen.instrument || chosen.venue || chosen.state) },
        h("summary", {}, t("More")),
        h(
          "div",
          { class: "filters" },
          text(chosen, "instrument", t("Instrument"), "BTC*.BINANCE", changed),
          text(chosen, "venue", t("Venue"), "XTAI", changed),
          choice(chosen, "state", t("Episode"), [["", t("All")], ...["open", "update", "closed"].map((each) => /** @type {[string, string]} */ ([each, words(each)]))], changed),
        ),
      ),
    ),
  );
}

/** A button a severity: pressed ones are shown. @param {Filters} chosen @param {Record<string, number>} counts @param {() => void} changed */
function severities(chosen, counts, changed) {
  return h(
    "div",
    { class: "row severities", role: "group", "aria-label": t("Severity") },
    SEVERITIES.map((each) =>
      h(
        "button",
        {
          type: "button",
          class: `severity chip-${each}`,
          "aria-pressed": String(chosen.severity.includes(each)),
          onclick: () => {
            chosen.severity = chosen.severity.includes(each) ? chosen.severity.filter((other) => other !== each) : [...chosen.severity, each];
            changed();
          },
        },
        h("span", {}, words(each)),
        h("strong", {}, number(counts[each] ?? 0, 0)),
      ),
    ),
  );
}
