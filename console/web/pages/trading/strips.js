/** Bull and bear over time as strips, a horizon a row: what is now, and how much of the time it was bull. */

import { h, svg } from "../../dom.js";
import { number, t, time } from "../../i18n.js";
import { chip } from "../../ui.js";

/**
 * Stretches of the same sign.
 * @param {number[]} signs
 * @returns {{sign: number, from: number, to: number}[]} places, `to` exclusive
 */
export function stretches(signs) {
  /** @type {{sign: number, from: number, to: number}[]} */
  const found = [];
  signs.forEach((sign, place) => {
    const last = found.at(-1);
    if (last && last.sign === sign) last.to = place + 1;
    else found.push({ sign, from: place, to: place + 1 });
  });
  return found;
}

/** @param {string} horizon @param {number[]} signs */
function strip(horizon, signs) {
  const bull = signs.filter((each) => each > 0).length;
  const told = signs.filter((each) => each !== 0).length;
  const now = signs.at(-1) ?? 0;
  const share = told ? number((bull / told) * 100, 0) : "–";
  const label = t("{horizon}: bull {share} % of the time", { horizon, share });
  return [
    h("span", {}, horizon),
    svg(
      "svg",
      { viewBox: `0 0 ${Math.max(signs.length, 1)} 10`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      stretches(signs)
        .filter((each) => each.sign)
        .map((each) => svg("rect", {
          // Bear is lower as well as of another colour.
          x: each.from, width: each.to - each.from, y: each.sign > 0 ? 0 : 5, height: 5, class: each.sign > 0 ? "strip-bull" : "strip-bear",
        })),
    ),
    h("span", {}, now > 0 ? chip("up", "bull") : now < 0 ? chip("down", "bear") : "–", ` ${share} %`),
  ];
}

/** @param {{at: number[], regimes: Record<string, number[]>}} history */
export function strips(history) {
  const horizons = Object.entries(history.regimes);
  if (!horizons.length) return h("p", { class: "empty" }, t("No regime is told of this coin."));
  return h(
    "div",
    { class: "strips" },
    horizons.flatMap(([horizon, signs]) => strip(horizon, signs)),
    h("div", { class: "strip-ends" }, h("span", {}, time(history.at[0])), h("span", {}, time(history.at.at(-1) ?? null))),
  );
}
