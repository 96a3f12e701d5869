/** The depth ladder: asks above, bids below, the quantity of each level as a bar behind it. */

import { fill, h } from "../dom.js";
import { number, price, t, time } from "../i18n.js";
import { styled } from "./theme.js";

/**
 * @typedef {{t: number, bid_price: (number | null)[], bid_qty: (number | null)[], ask_price: (number | null)[],
 *   ask_qty: (number | null)[]}} Book best level first; t: ms
 */

/**
 * A table that `set` fills with a book.
 * @param {HTMLElement} root
 */
export function ladder(root) {
  styled("/static/charts/charts.css");
  const caption = h("caption", {}, "");
  const body = h("tbody", {});
  root.append(
    h("table", { class: "ladder" }, caption,
      h("thead", {}, h("tr", {},
        h("th", { scope: "col", class: "number" }, t("Bid quantity")),
        h("th", { scope: "col", class: "number" }, t("Price")),
        h("th", { scope: "col", class: "number" }, t("Ask quantity")))),
      body),
  );

  /** @param {number | null} level @param {number | null} qty @param {number} most @param {"bid" | "ask"} side */
  function row(level, qty, most, side) {
    const share = most > 0 ? Math.round((100 * (qty ?? 0)) / most) : 0;
    const token = side === "bid" ? "up" : "down";
    const direction = side === "bid" ? "left" : "right";
    const bar = `linear-gradient(to ${direction}, color-mix(in srgb, var(--${token}) 26%, transparent) ${share}%, transparent ${share}%)`;
    const quantity = h("td", { class: "number", style: { background: bar } }, number(qty, 8));
    const empty = h("td", {});
    return h("tr", {}, side === "bid" ? quantity : empty, h("td", { class: `number ${token}` }, price(level)), side === "bid" ? empty : quantity);
  }

  return {
    /** @param {Book | null} book */
    set(book) {
      if (!book || (!book.bid_price.length && !book.ask_price.length)) {
        caption.textContent = t("No book.");
        fill(body);
        return;
      }
      caption.textContent = t("Order book at {time}", { time: time(book.t) });
      const most = Math.max(0, ...[...book.bid_qty, ...book.ask_qty].map((each) => each ?? 0));
      const asks = book.ask_price.map((each, i) => (each === null ? null : row(each, book.ask_qty[i], most, "ask"))).reverse();
      const bids = book.bid_price.map((each, i) => (each === null ? null : row(each, book.bid_qty[i], most, "bid")));
      fill(body, ...asks, ...bids);
    },
  };
}
