/** Replay of the order book: a slider over the moments that are kept, the ladder and the trades at each of them. */

import { fill, h } from "../../dom.js";
import { number, price, t } from "../../i18n.js";
import { select } from "../../ui.js";
import { clock } from "./words.js";

const LAST_TRADES = 9;
const SPEEDS = [1, 5, 20, 60];

/**
 * The replay; it begins at the onset. `to` goes to a moment, `keys` are for the page's list, `end` stops it.
 * @param {import("./minutes.js").Context} context
 * @param {(at: number) => void} moved called with each moment shown, ms
 * @returns {{element: HTMLElement, to: (at: number) => void, keys: import("./keys.js").Key[], end: () => void}}
 */
export function replay(context, moved) {
  const { books } = context;
  const moments = books.t.length ? books.t : context.trades.t;
  if (!moments.length) {
    const none = h("p", { class: "empty" }, t("No order books or trades are kept for these minutes."));
    return { element: none, to: () => {}, keys: [], end: () => {} };
  }
  return new Replay(context, moments, moved).handle();
}

/** The last place whose moment is not after `at`. @param {number[]} moments @param {number} at */
export function placeOf(moments, at) {
  let [low, high] = [0, moments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

class Replay {
  /** @param {import("./minutes.js").Context} context @param {number[]} moments @param {(at: number) => void} moved */
  constructor(context, moments, moved) {
    this.context = context;
    this.moments = moments;
    this.moved = moved;
    this.place = 0;
    this.speed = 1;
    this.frame = 0;
    this.slider = /** @type {HTMLInputElement} */ (
      h("input", { type: "range", min: "0", max: String(moments.length - 1), step: "1", value: "0", "aria-label": t("Moment of the replay") })
    );
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.time = h("output", { class: "replay-time" });
    this.ladder = h("div", { class: "ladder" });
    this.tape = h("div", { class: "tape" });
    this.button = h("button", { class: "primary", onclick: () => this.toggle() }, t("Play"));
    this.speeds = select(
      SPEEDS.map((each) => /** @type {[string, string]} */ ([String(each), `${each}×`])),
      { "aria-label": t("Speed"), value: "1", onchange: () => (this.speed = Number(this.speeds.value)) },
    );
  }

  handle() {
    const element = h(
      "div",
      { class: "replay" },
      h(
        "div",
        { class: "row" },
        this.button,
        h("button", { onclick: () => this.step(-1), "aria-label": t("Step back") }, "‹"),
        h("button", { onclick: () => this.step(1), "aria-label": t("Step forward") }, "›"),
        this.speeds,
        h("button", { onclick: () => this.to(this.context.onset) }, t("Onset")),
        h("button", { onclick: () => this.to(this.context.decided) }, t("Decided")),
        this.time,
      ),
      h("div", { class: "slider" }, this.slider, h("div", { class: "marks", "aria-hidden": "true" }, this.mark(this.context.onset, t("onset")), this.mark(this.context.decided, t("decided")))),
      h("div", { class: "replay-panes" }, this.ladder, this.tape),
    );
    this.to(this.context.onset);
    return { element, to: (/** @type {number} */ at) => this.to(at), keys: this.keys(), end: () => this.pause() };
  }

  /** @returns {import("./keys.js").Key[]} */
  keys() {
    return [
      { key: " ", text: t("play or pause the replay"), act: () => this.toggle() },
      { key: "ArrowRight", text: t("step forward"), act: (event) => this.step(event.shiftKey ? 10 : 1) },
      { key: "ArrowLeft", text: t("step back"), act: (event) => this.step(event.shiftKey ? -10 : -1) },
      { key: "+", text: t("faster"), act: () => this.faster(1) },
      { key: "-", text: t("slower"), act: () => this.faster(-1) },
      { key: "o", text: t("to the onset"), act: () => this.to(this.context.onset) },
      { key: "d", text: t("to the decision"), act: () => this.to(this.context.decided) },
    ];
  }

  /** A mark below the slider, whose thumb is 16 px wide. @param {number} at @param {string} text */
  mark(at, text) {
    const share = placeOf(this.moments, at) / Math.max(1, this.moments.length - 1);
    return h("span", { style: { left: `calc(8px + (100% - 16px) * ${share})` } }, text);
  }

  /** @param {number} at */
  to(at) {
    this.go(placeOf(this.moments, at));
  }

  /** @param {number} by */
  step(by) {
    this.pause();
    this.go(this.place + by);
  }

  /** @param {number} by */
  faster(by) {
    const place = Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(this.speed) + by));
    this.speed = SPEEDS[place];
    this.speeds.value = String(this.speed);
  }

  toggle() {
    if (this.frame) this.pause();
    else this.play();
  }

  play() {
    if (this.place === this.moments.length - 1) this.go(0);
    let at = this.moments[this.place];
    let before = performance.now();
    this.button.textContent = t("Pause");
    const tick = (/** @type {number} */ now) => {
      at += (now - before) * this.speed;
      before = now;
      const place = placeOf(this.moments, at);
      if (place !== this.place) this.go(place);
      if (this.place === this.moments.length - 1) this.pause();
      else this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  pause() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.button.textContent = t("Play");
  }

  /** Show a moment. @param {number} wanted */
  go(wanted) {
    this.place = Math.min(this.moments.length - 1, Math.max(0, wanted));
    const at = this.moments[this.place];
    this.slider.value = String(this.place);
    this.time.textContent = `${clock(at)} UTC`;
    const book = this.context.books.t.length ? levels(this.context.books, this.place) : [];
    const last = this.context.books.t.length ? levels(this.context.books, Math.max(0, this.place - 1)) : [];
    this.slider.setAttribute("aria-valuetext", spoken(at, book));
    if (book.length) fill(this.ladder, ladder(book, new Map(last.map((level) => [`${level.side}${level.price}`, level.qty]))));
    fill(this.tape, trades(this.context.trades, at));
    this.moved(at);
  }
}

/** @typedef {{side: "bid" | "ask", price: number, qty: number}} Level */

/** Levels from the highest ask down to the lowest bid. @param {import("./minutes.js").Context["books"]} books @param {number} place @returns {Level[]} */
function levels(books, place) {
  /** @type {Level[]} */
  const found = [];
  for (const side of /** @type {const} */ (["ask", "bid"])) {
    const prices = books[`${side}_price`][place];
    const sizes = books[`${side}_qty`][place];
    const some = prices.flatMap((each, level) => (each === null ? [] : [{ side, price: each, qty: sizes[level] ?? 0 }]));
    found.push(...(side === "ask" ? some.reverse() : some));
  }
  return found;
}

/** @param {number} at @param {Level[]} book */
function spoken(at, book) {
  const bid = book.find((level) => level.side === "bid");
  const ask = book.findLast((level) => level.side === "ask");
  return t("{time}, bid {bid} for {bought}, ask {ask} for {sold}", {
    time: clock(at), bid: price(bid?.price), bought: number(bid?.qty), ask: price(ask?.price), sold: number(ask?.qty),
  });
}

/** @param {Level[]} book @param {Map<string, number>} before sizes of the moment before, by side and price */
function ladder(book, before) {
  const most = Math.max(...book.map((level) => level.qty), 1e-12);
  return h(
    "table",
    {},
    h("caption", { class: "hidden" }, t("Order book")),
    h("thead", {}, h("tr", {}, [t("Change"), t("Bid size"), t("Price"), t("Ask size"), t("Change")].map((each) => h("th", { scope: "col", class: "number" }, each)))),
    h(
      "tbody",
      {},
      book.map((level) => {
        const size = h("td", { class: `number size ${level.side}` }, h("span", { style: { width: `${(100 * level.qty) / most}%` }, "aria-hidden": "true" }), h("b", {}, number(level.qty, 4)));
        const change = h("td", { class: "number" }, delta(level.qty - (before.get(`${level.side}${level.price}`) ?? 0)));
        const figure = h("td", { class: `number ${level.side === "bid" ? "up" : "down"}` }, price(level.price));
        const blank = h("td", {});
        return h("tr", {}, level.side === "bid" ? [change, size, figure, blank, h("td", {})] : [h("td", {}), blank, figure, size, change]);
      }),
    ),
  );
}

/** @param {number} by */
function delta(by) {
  if (Math.abs(by) < 1e-9) return "";
  return h("span", { class: by > 0 ? "up" : "down" }, `${by > 0 ? "+" : "−"}${number(Math.abs(by), 4)}`);
}

/** The last trades up to a moment, newest first. @param {import("./minutes.js").Context["trades"]} all @param {number} at */
function trades(all, at) {
  const end = all.t.length && all.t[0] <= at ? placeOf(all.t, at) + 1 : 0;
  const shown = Array.from({ length: Math.min(LAST_TRADES, end) }, (_, back) => end - 1 - back);
  return h(
    "table",
    {},
    h("caption", { class: "hidden" }, t("Last trades")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("Trade")), [t("Price"), t("Size")].map((each) => h("th", { scope: "col", class: "number" }, each)))),
    h(
      "tbody",
      {},
      shown.map((index) =>
        h(
          "tr",
          {},
          h("td", { class: "nowrap" }, clock(all.t[index])),
          h("td", { class: `number ${all.side[index] > 0 ? "up" : all.side[index] < 0 ? "down" : ""}` }, `${all.side[index] > 0 ? "▲ " : all.side[index] < 0 ? "▼ " : ""}${price(all.price[index])}`),
          h("td", { class: "number" }, number(all.qty[index], 4)),
        ),
      ),
    ),
  );
}
