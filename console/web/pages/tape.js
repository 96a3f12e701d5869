/** Tape: all instruments live. Values lie in typed arrays; only the rows in sight are elements. */

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { styled } from "../charts/theme.js";
import { watchTape } from "../live/tape.js";
import { COLUMNS } from "./tape/columns.js";
import { arrange, chosen } from "./tape/order.js";

const ROW = 32;
const EVERY_MS = 250;
const SORT_MS = 1000;

/**
 * @typedef {import("../live/tape.js").Tape} Tape
 * @typedef {import("./tape/columns.js").Column} Column
 */

/** @param {HTMLElement} root */
export function draw(root) {
  styled("/static/pages/tape.css");
  const page = new Page(root);
  return () => page.end();
}

class Page {
  /** @param {HTMLElement} root */
  constructor(root) {
    /** @type {Tape | null} */
    this.tape = null;
    /** Places in the tape in the order shown. */
    this.order = new Uint32Array(0);
    this.sort = { key: "name", down: false };
    this.active = 0;
    this.sorted = 0;
    this.stale = true;
    this.search = h("input", { type: "search", id: "tape-search", oninput: () => this.refilter() });
    this.count = h("span", { class: "muted", role: "status" }, t("Connecting …"));
    this.head = h("div", { class: "tape-row tape-head", role: "row", "aria-rowindex": "1" });
    this.rows = h("div", { class: "tape-rows", role: "rowgroup" });
    this.grid = h("div", { class: "tape", role: "grid", tabindex: "0", "aria-label": t("All instruments"), "aria-colcount": COLUMNS.length },
      h("div", { class: "tape-top", role: "rowgroup" }, this.head), this.rows);
    /** @type {{row: HTMLElement, link: HTMLAnchorElement, cells: HTMLElement[], at: number}[]} */
    this.pool = [];
    this.grid.addEventListener("scroll", () => this.soon());
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.rows.addEventListener("click", (event) => this.click(event));
    this.sized = new ResizeObserver(() => this.soon());
    this.sized.observe(this.grid);
    this.note = h("p", { class: "muted" }, "");
    fill(root, h("h1", {}, t("Tape")),
      h("div", { class: "filters" }, h("label", { class: "field", for: "tape-search" }, h("span", {}, t("Filter")), this.search), this.count),
      this.grid, this.note);
    this.headings();
    this.timer = setInterval(() => this.stale && this.soon(), EVERY_MS);
    this.asked = 0;
    this.stop = watchTape((tape, moved, added) => this.take(tape, moved, added), "", (connected) => this.told(connected));
  }

  end() {
    this.stop();
    clearInterval(this.timer);
    cancelAnimationFrame(this.asked);
    this.sized.disconnect();
  }

  /** @param {boolean} connected */
  told(connected) {
    if (!connected) this.count.textContent = t("Connecting …");
    else this.refilter();
  }

  /** @param {Tape} tape @param {Uint32Array} moved @param {boolean} added */
  take(tape, moved, added) {
    this.tape = tape;
    this.stale ||= moved.length > 0;
    if (added) {
      this.note.textContent = t("Change: since the first price of the UTC day. Volume: of that day, or of the session where the feed tells it.");
      this.refilter();
    }
  }

  /** Draw with the next frame of the browser. */
  soon() {
    if (!this.asked) this.asked = requestAnimationFrame((at) => {
      this.asked = 0;
      this.stale = false;
      if (at - this.sorted > SORT_MS && this.sort.key !== "name") this.resort();
      this.paint();
    });
  }

  refilter() {
    if (!this.tape) return;
    this.order = chosen(this.tape, /** @type {HTMLInputElement} */ (this.search).value);
    this.active = Math.min(this.active, Math.max(this.order.length - 1, 0));
    this.count.textContent = t("{count} instruments", { count: this.order.length });
    this.grid.setAttribute("aria-rowcount", String(this.order.length + 1));
    this.resort();
    this.soon();
  }

  resort() {
    const tape = this.tape;
    if (!tape) return;
    this.sorted = performance.now();
    const active = this.order[this.active];
    if (!arrange(this.order, tape, this.sort)) return;
    const place = this.order.indexOf(active);
    if (place >= 0) this.active = place;
  }

  headings() {
    fill(this.head, ...COLUMNS.map((column) => {
      const on = this.sort.key === column.key;
      return h("div", { role: "columnheader", class: `c-${column.key} ${column.numeric ? "number" : ""}`, "aria-sort": on ? (this.sort.down ? "descending" : "ascending") : "none" },
        h("button", { type: "button", onclick: () => this.by(column) }, `${t(column.title)}${on ? (this.sort.down ? " ▼" : " ▲") : ""}`));
    }));
  }

  /** Sort by a column; numbers begin with the largest. @param {Column} column */
  by(column) {
    this.sort = this.sort.key === column.key ? { key: column.key, down: !this.sort.down } : { key: column.key, down: column.key !== "name" };
    this.headings();
    /** @type {HTMLElement | null} */ (this.head.querySelector(`.c-${column.key} button`))?.focus();
    this.active = 0;
    this.resort();
    this.grid.scrollTop = 0;
    this.soon();
  }

  /** A row's elements, made as often as there are rows in sight. */
  made() {
    const link = /** @type {HTMLAnchorElement} */ (h("a", { tabindex: "-1" }));
    const cells = COLUMNS.map((column, place) =>
      h("div", { role: "gridcell", class: `c-${column.key} ${column.numeric ? "number" : ""}` }, place ? h("span", {}) : link));
    const row = h("div", { class: "tape-row", role: "row", id: `tape-row-${this.pool.length}` }, ...cells);
    this.rows.append(row);
    return { row, link, cells: cells.map((cell) => /** @type {HTMLElement} */ (cell.firstChild)), at: -1 };
  }

  /** Bring the rows in sight up to date; touches only text that differs. */
  paint() {
    const tape = this.tape;
    if (!tape) return;
    // The head, as high as a row, stays in sight above them.
    const first = Math.max(Math.floor(this.grid.scrollTop / ROW) - 2, 0);
    const last = Math.min(Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / ROW) + 1, this.order.length);
    const height = `${this.order.length * ROW}px`;
    if (this.rows.style.height !== height) this.rows.style.height = height;
    while (this.pool.length < last - first) this.pool.push(this.made());
    const spare = this.pool.length;
    for (let i = 0; i < spare; i++) {
      // A place keeps its elements while it is in sight, so that scrolling by one row rewrites one row.
      const at = first + ((i - (first % spare) + spare) % spare);
      const each = this.pool[i];
      if (at >= last) {
        if (each.at !== -1) each.row.hidden = true;
        each.row.style.display = "none";
        each.at = -1;
        continue;
      }
      this.write(tape, each, at);
    }
    const row = this.pool.find((each) => each.at === this.active)?.row;
    if (row) this.grid.setAttribute("aria-activedescendant", row.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  /** @param {Tape} tape @param {Page["pool"][0]} each @param {number} at */
  write(tape, each, at) {
    const place = this.order[at];
    if (each.at !== at) {
      each.at = at;
      each.row.hidden = false;
      each.row.style.display = "";
      each.row.style.transform = `translateY(${at * ROW}px)`;
      each.row.setAttribute("aria-rowindex", String(at + 2));
    }
    const active = at === this.active;
    if (each.row.classList.contains("active") !== active) {
      each.row.classList.toggle("active", active);
      each.row.setAttribute("aria-selected", String(active));
    }
    COLUMNS.forEach((column, i) => {
      const cell = each.cells[i];
      const [text, look] = column.show(tape, place);
      if (cell.textContent !== text) {
        cell.textContent = text;
        if (i === 0) each.link.href = `/instruments/${encodeURIComponent(text)}`;
      }
      if (cell.className !== look) cell.className = look;
    });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.grid) return;
    const page = Math.max(Math.floor(this.grid.clientHeight / ROW) - 2, 1);
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity });
    if (event.key === "Enter") {
      this.pool.find((each) => each.at === this.active)?.link.click();
    } else if (event.key in steps) {
      event.preventDefault();
      this.active = Math.min(Math.max(this.active + steps[event.key], 0), Math.max(this.order.length - 1, 0));
      const top = this.active * ROW;
      if (top < this.grid.scrollTop) this.grid.scrollTop = top;
      else if (top + 2 * ROW > this.grid.scrollTop + this.grid.clientHeight) this.grid.scrollTop = top + 2 * ROW - this.grid.clientHeight;
      this.soon();
    }
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const each = this.pool.find((one) => one.row.contains(target));
    if (!each || target.closest("a")) return;
    this.active = each.at;
    each.link.click();
  }
}
