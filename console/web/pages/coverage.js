/** Coverage: what of a day was watched, instrument by instrument, and trades against the venues' own totals. */

import { get, part } from "../api.js";
import { fill, h } from "../dom.js";
import { number, t } from "../i18n.js";
import { card, chip, field, load, table } from "../ui.js";
import { sheet } from "./duty/sheet.js";

/**
 * @typedef {{source: string, venue: number, seen: number, venue_trades: number | null, seen_trades: number,
 *   difference: number, agrees: boolean}} Total
 * @typedef {{instrument: string, topic: string, watched: number, missed: Record<string, number>, share: number | null,
 *   trades: number, volume: number, other: number, totals: Total[]}} Covered
 */

/** @param {HTMLElement} root */
export function draw(root) {
  sheet();
  const day = input("date", new Date().toISOString().slice(0, 10));
  const instrument = input("search", "");
  const totals = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", name: "totals" }));
  const shown = h("div", { "aria-live": "polite" });
  const form = h(
    "form",
    { class: "filters" },
    field(t("Day (UTC)"), day),
    field(t("Instrument"), instrument),
    h("label", { class: "row" }, totals, t("With the venues' totals")),
    h("button", { type: "submit", class: "primary" }, t("Show")),
  );
  const show = () =>
    load(shown, async () => {
      const wanted = { day: day.value, instrument: instrument.value.trim(), totals: totals.checked || null };
      const found = await get("/coverage", wanted);
      return content(found.instruments, totals.checked);
    });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void show();
  });
  fill(root, h("h1", {}, t("Coverage")), form, shown);
  return show();
}

/** @param {string} type @param {string} value */
function input(type, value) {
  return /** @type {HTMLInputElement} */ (h("input", { type, value, maxlength: "60", autocomplete: "off" }));
}

/** @param {Covered[]} instruments @param {boolean} totals */
function content(instruments, totals) {
  const watched = sum(instruments, (each) => each.watched);
  const missed = sum(instruments, (each) => all(each.missed));
  const differ = instruments.filter((each) => each.totals.some((total) => !total.agrees)).length;
  return [
    h(
      "div",
      { class: "figures" },
      card(t("Watched"), figure(watched + missed ? `${((100 * watched) / (watched + missed)).toFixed(2)} %` : "–"), h("p", { class: "muted" }, t("of {n} instrument-seconds", { n: number(watched + missed, 0) }))),
      card(t("Not watched"), figure(duration(missed)), h("p", { class: "muted" }, t("of {n} instruments together", { n: number(instruments.length, 0) }))),
      totals ? card(t("Venue totals"), figure(number(differ, 0)), h("p", { class: "muted" }, t("instruments whose totals differ"))) : null,
    ),
    card("", table(columns(totals), instruments, { caption: t("Coverage by instrument"), empty: t("Nothing of this day is kept.") })),
    h("p", { class: "muted" }, t("A closed market is neither watched nor missed. On-book trades; cancellations are taken off.")),
  ];
}

/** @param {boolean} totals */
function columns(totals) {
  /** @type {{heading: string, cell: (row: Covered) => import("../dom.js").Child, numeric?: boolean}[]} */
  const plain = [
    { heading: t("Instrument"), cell: (row) => h("a", { href: `/instruments/${part(row.instrument)}` }, row.instrument) },
    { heading: t("Feed"), cell: (row) => row.topic.replace("market.", "") },
    { heading: t("Share"), cell: share },
    { heading: t("Watched"), cell: (row) => duration(row.watched), numeric: true },
    { heading: t("Not watched"), cell: (row) => reasons(row.missed) },
    { heading: t("Trades"), cell: (row) => number(row.trades, 0), numeric: true },
    { heading: t("Volume"), cell: (row) => number(row.volume, 4), numeric: true },
  ];
  return totals ? [...plain, { heading: t("Venue totals"), cell: (/** @type {Covered} */ row) => row.totals.map(compared) }] : plain;
}

/** A bar with its share in words. @param {Covered} row */
function share(row) {
  if (row.share === null) return "–";
  const told = `${(row.share * 100).toFixed(2)} %`;
  return h("span", { class: "share" }, h("meter", { min: "0", max: "1", low: "0.95", optimum: "1", value: row.share, "aria-label": t("Share watched") }), told);
}

/** @param {Record<string, number>} missed */
function reasons(missed) {
  const found = Object.entries(missed);
  return found.length ? found.map(([reason, seconds]) => h("span", { class: "reason" }, `${duration(seconds)} ${t(reason)}`)) : "–";
}

/** @param {Total} total */
function compared(total) {
  const counts = total.venue_trades === null ? "" : t("{seen} of {venue} trades", { seen: number(total.seen_trades, 0), venue: number(total.venue_trades, 0) });
  const volume = t("volume {seen} of {venue}", { seen: number(total.seen, 4), venue: number(total.venue, 4) });
  return h(
    "div",
    {},
    total.agrees ? chip("good", t("agrees")) : chip("bad", t("differs by {p}", { p: `${(total.difference * 100).toFixed(3)} %` })),
    " ",
    h("span", { class: "muted" }, [t(total.source), counts, volume].filter(Boolean).join(", ")),
  );
}

/** @param {string} text */
const figure = (text) => h("p", { class: "figure" }, text);

/** @param {Record<string, number>} numbers */
const all = (numbers) => Object.values(numbers).reduce((one, other) => one + other, 0);

/** @template T @param {T[]} rows @param {(row: T) => number} of */
const sum = (rows, of) => rows.reduce((total, row) => total + of(row), 0);

/** Seconds as hours, minutes and seconds. @param {number} seconds */
function duration(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const units = ["h", "min", "s"];
  const told = parts.map((value, place) => (value ? `${number(value, 0)} ${units[place]}` : "")).filter(Boolean);
  return told.join(" ") || "0 s";
}
