/** Languages: English words are the keys, catalogues in i18n/<language>.json translate them. */

/** @type {Record<string, string>} */
let catalogue = {};
export let language = "en";
export const LANGUAGES = { en: "English", "zh-TW": "繁體中文", ko: "한국어" };

/** Load a language's catalogue. @param {string} wanted */
export async function speak(wanted) {
  language = wanted in LANGUAGES ? wanted : "en";
  catalogue = language === "en" ? {} : await (await fetch(`/static/i18n/${language}.json`)).json();
  document.documentElement.lang = language;
  localStorage.setItem("tapewatch.language", language);
}

/**
 * The text in the reader's language; {name} stands for a value.
 * @param {string} text
 * @param {Record<string, any>} [values]
 */
export function t(text, values = {}) {
  return (catalogue[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** @param {number | null | undefined} value @param {number} [digits] */
export function number(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value.toLocaleString(language, { maximumFractionDigits: digits, signDisplay: "negative" });
}

/** A price keeps its own digits. @param {number | null | undefined} value */
export const price = (value) => number(value, 8);
/** @param {number | null | undefined} value @param {number} [digits] */
export function percent(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const figure = (value * 100).toFixed(digits);
  return `${Number(figure) > 0 ? "+" : ""}${Number(figure) === 0 ? figure.replace("-", "") : figure} %`;
}

/** Time of day, and the date where it is not today's. @param {string | number | null} at RFC 3339, or milliseconds */
export function time(at) {
  if (!at) return "–";
  const moment = new Date(at);
  const clock = moment.toLocaleTimeString(language, { hourCycle: "h23" });
  return moment.toDateString() === new Date().toDateString() ? clock : `${moment.toLocaleDateString(language)} ${clock}`;
}
