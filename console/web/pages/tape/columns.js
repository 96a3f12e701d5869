/** The tape's columns: what a cell says of an instrument. */

import { language, percent, t } from "../../i18n.js";

/**
 * @typedef {import("../../live/tape.js").Tape} Tape
 * @typedef {{key: string, title: string, numeric: boolean, show: (tape: Tape, place: number) => [string, string]}} Column
 *   show: text and class of a cell
 */

/** @type {Map<number, Intl.NumberFormat>} */
const formats = new Map();

/** A number with so many decimals at most; formatters are costly to make. @param {number} value @param {number} digits */
export function written(value, digits) {
  if (!Number.isFinite(value)) return "–";
  let format = formats.get(digits);
  if (!format) formats.set(digits, (format = new Intl.NumberFormat(language, { maximumFractionDigits: digits })));
  return format.format(value);
}

/** @param {number} value */
export const priced = (value) => written(value, value >= 1000 ? 2 : value >= 1 ? 4 : 8);

/** @type {Column[]} */
export const COLUMNS = [
  { key: "name", title: "Instrument", numeric: false, show: (tape, i) => [tape.names[i], ""] },
  { key: "last", title: "Last", numeric: true, show: (tape, i) => [priced(tape.columns.last[i]), ""] },
  {
    key: "change", title: "Change", numeric: true, show: (tape, i) => {
      const value = tape.columns.change[i];
      if (!Number.isFinite(value)) return ["–", ""];
      return [percent(value), value > 0 ? "up" : value < 0 ? "down" : ""];
    },
  },
  { key: "volume", title: "Volume", numeric: true, show: (tape, i) => [written(tape.columns.volume[i], 2), ""] },
  { key: "bid", title: "Bid", numeric: true, show: (tape, i) => [priced(tape.columns.bid[i]), ""] },
  { key: "ask", title: "Ask", numeric: true, show: (tape, i) => [priced(tape.columns.ask[i]), ""] },
  { key: "score", title: "Score", numeric: true, show: (tape, i) => [Number.isFinite(tape.columns.score[i]) ? tape.columns.score[i].toFixed(2) : "–", tape.columns.score[i] >= 0.8 ? "down" : ""] },
  { key: "action", title: "Action", numeric: false, show: (tape, i) => {
    const action = tape.actions[tape.columns.action[i]] ?? "";
    return [action && t(action.replaceAll("_", " ")), action && `chip chip-${action}`];
  } },
  { key: "alerts", title: "Alerts", numeric: false, show: (tape, i) => {
    const count = tape.columns.alerts[i];
    const severity = tape.severities[tape.columns.severity[i]] ?? "";
    return [count ? `${count} ${t(severity)}` : "", count ? `chip chip-${severity}` : ""];
  } },
];
