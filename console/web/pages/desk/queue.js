/** A queue one works in, of alerts or of cases: filters, rows, picking, keys, acts for many, and live arrivals. */

import { go } from "../../app.js";
import { fill, h } from "../../dom.js";
import { number, t } from "../../i18n.js";
import { subscribe } from "../../live/events.js";
import { may, sees } from "../../state.js";
import { attempt, told } from "../../ui.js";
import { filters, keep } from "./address.js";
import { Arrivals } from "./arrivals.js";
import { grid } from "./grid.js";
import { help, listen } from "./keys.js";
import { asked, tellAll } from "./orders.js";
import { Picking } from "./picking.js";
import { dress, skeleton } from "./words.js";

/** @typedef {Record<string, Record<string, number>>} Counts */
/**
 * @template T
 * @typedef {{rows: T[], total: number, counts: Counts, next: string}} Answer
 */
/**
 * What makes a queue one of alerts or of cases.
 * revision: of the row's case, -1 where there is none;
 * topic: of the log, whose new messages wait above; news: what is said of one; cases: ids that acts are for;
 * remember: where the session keeps the current row; quiet: said where nothing is there
 * @template T
 * @typedef {{title: string, topic: string, remember: string, quiet: string, usual: Record<string, any>,
 *   fetch: (chosen: any, page: {limit?: number, cursor?: string}) => Promise<Answer<T>>,
 *   filters: (chosen: any, counts: Counts, changed: () => void) => HTMLElement,
 *   columns: import("./grid.js").Column<T>[], edge: (row: T) => string, name: (row: T) => string,
 *   path: (row: T) => string, cases: (row: T) => string[], revision: (row: T) => number, news: (message: any) => string}} Spec
 */

/**
 * Draw a queue; gives the function that ends it.
 * @template {{id: string}} T
 * @param {HTMLElement} root
 * @param {Spec<T>} spec
 */
export async function drawQueue(root, spec) {
  dress();
  const queue = new Queue(root, spec);
  await queue.load();
  queue.stops = [listen(queue.keys()), subscribe(["alerts", "cases"], (event) => queue.arrived(event))];
  return () => queue.end();
}

/** @template {{id: string}} T */
class Queue {
  /** @param {HTMLElement} root @param {Spec<T>} spec */
  constructor(root, spec) {
    this.spec = spec;
    this.chosen = filters({ ...spec.usual });
    /** @type {Picking<T>} */
    this.picking = new Picking(() => this.marked());
    /** @type {Arrivals<T>} */
    this.arrivals = new Arrivals(spec);
    this.drawing = false;
    /** @type {Record<string, Record<string, number>>} */
    this.counts = {};
    this.next = "";
    this.mark = () => {};
    /** @type {(() => void)[]} */
    this.stops = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.soon = undefined;
    this.total = h("span", { class: "muted" });
    this.pill = h("button", { class: "pill", hidden: true, onclick: () => this.show() });
    this.said = h("div", { class: "hidden", role: "status", "aria-live": "polite" });
    this.filters = h("div", {});
    this.bulk = h("div", { class: "bulk", role: "toolbar", "aria-label": t("What is picked"), hidden: true });
    this.list = h("div", {}, skeleton(8));
    fill(
      root,
      h(
        "div",
        { class: "row page-head" },
        h("h1", {}, spec.title),
        this.total,
        this.pill,
        h("button", { class: "quiet end", onclick: () => help(this.keys()) }, t("Keys"), " ", h("kbd", {}, "?")),
      ),
      this.filters,
      this.bulk,
      this.list,
      this.said,
    );
  }

  end() {
    for (const stop of this.stops) stop();
    clearTimeout(this.soon);
  }

  /** What the keys do. @returns {import("./keys.js").Key[]} */
  keys() {
    const picking = this.picking;
    const acts = may("analyst") && sees("cases")
      ? [
          { key: "a", text: t("assign to me"), act: () => void this.act("claim") },
          { key: "e", text: t("escalate"), act: () => void this.act("escalate") },
          { key: "c", text: t("close, with outcome and reason"), act: () => void this.act("close") },
        ]
      : [];
    return [
      { key: "j", text: t("next"), act: () => picking.move(1) },
      { key: "k", text: t("previous"), act: () => picking.move(-1) },
      { key: "J", text: t("next, and pick"), act: () => picking.move(1, true) },
      { key: "K", text: t("previous, and pick"), act: () => picking.move(-1, true) },
      { key: "ArrowDown", text: t("next"), act: (event) => picking.move(1, event.shiftKey) },
      { key: "ArrowUp", text: t("previous"), act: (event) => picking.move(-1, event.shiftKey) },
      { key: "x", text: t("pick or let go"), act: () => picking.toggle(picking.current) },
      { key: "*", text: t("pick all or none"), act: () => picking.all() },
      { key: "Escape", text: t("let all go"), act: () => picking.none() },
      { key: "Enter", text: t("open"), act: () => this.open() },
      ...acts,
      { key: "n", text: t("show what is new"), act: () => void this.show() },
      { key: "/", text: t("search"), act: () => document.getElementById("filter-search")?.focus() },
    ];
  }

  open() {
    const row = this.picking.rows[this.picking.current];
    if (row) go(this.spec.path(row));
  }

  /** Fetch the queue as filtered. */
  async load() {
    keep(this.chosen, this.spec.usual);
    try {
      const answer = await this.spec.fetch(this.chosen, { limit: Math.max(100, Math.min(500, this.picking.rows.length)) });
      this.take(answer, answer.rows);
    } catch (error) {
      fill(this.list, h("p", { class: "problem", role: "alert" }, told(error)), h("button", { onclick: () => this.load() }, t("Try again")));
    }
  }

  /** The next page, below. */
  async more() {
    const answer = await attempt(() => this.spec.fetch(this.chosen, { cursor: this.next }));
    if (answer) this.take(answer, [...this.picking.rows, ...answer.rows]);
  }

  /** @param {Answer<T>} answer @param {T[]} all */
  take(answer, all) {
    this.counts = answer.counts;
    this.next = answer.next;
    this.total.textContent = t("{shown} of {total}", { shown: number(all.length, 0), total: number(answer.total, 0) });
    this.refreshFilters();
    const focused = this.list.contains(document.activeElement);
    const last = sessionStorage.getItem(this.spec.remember);
    if (!this.picking.rows.length && last) this.picking.current = Math.max(0, all.findIndex((row) => row.id === last));
    this.mark = () => {};
    this.drawing = true;
    this.picking.take(all);
    this.drawing = false;
    const made = grid(this.picking, this.spec, this.arrivals.fresh);
    this.mark = made.mark;
    fill(
      this.list,
      all.length ? made.table : this.empty(),
      this.next ? h("button", { class: "more", onclick: () => this.more() }, t("Show more")) : null,
    );
    if (focused) this.currentRow()?.focus({ preventScroll: true });
    const wait = this.arrivals.again(all);
    if (wait !== null) this.later(wait);
  }

  refreshFilters() {
    const focused = document.activeElement?.id;
    fill(this.filters, this.spec.filters(this.chosen, this.counts, () => void this.load()));
    if (focused?.startsWith("filter-")) document.getElementById(focused)?.focus();
  }

  currentRow() {
    return /** @type {HTMLElement | null} */ (this.list.querySelector("tr.current"));
  }

  /** After a change of the current row or of what is picked. */
  marked() {
    this.mark();
    const row = this.picking.rows[this.picking.current];
    if (row) sessionStorage.setItem(this.spec.remember, row.id);
    if (!this.drawing && !document.querySelector("dialog[open]") && !this.filters.contains(document.activeElement)) {
      this.currentRow()?.focus({ preventScroll: true });
      this.currentRow()?.scrollIntoView({ block: "nearest" });
    }
    const picked = this.picking.picked.size;
    this.bulk.hidden = picked === 0;
    if (picked) fill(this.bulk, h("strong", {}, t("{n} picked", { n: picked })), ...this.bulkButtons());
  }

  bulkButtons() {
    const buttons = may("analyst") && sees("cases")
      ? [
          h("button", { class: "primary", onclick: () => void this.act("claim") }, t("Assign to me")),
          h("button", { onclick: () => void this.act("escalate") }, t("Escalate")),
          h("button", { onclick: () => void this.act("close") }, t("Close")),
        ]
      : [];
    return [...buttons, h("button", { class: "quiet", onclick: () => this.picking.none() }, t("Clear"))];
  }

  /** Do something with the cases of the picked alerts. @param {string} action */
  async act(action) {
    const meant = this.picking.meant();
    const cases = [...new Set(meant.flatMap((row) => this.spec.cases(row)))];
    if (!cases.length) {
      this.say(t("There is no case yet: try again in a moment."));
      return;
    }
    const order = await asked(action);
    if (!order) return;
    const text = await tellAll(cases, order);
    if (!text) return;
    this.say(text);
    this.picking.picked.clear();
    this.later();
  }

  /** @param {string} text */
  say(text) {
    this.said.textContent = text;
  }

  /**
   * Something came by push: rows that are shown are brought up to date, new ones wait until they are wanted.
   * @param {{topic: string, message: any}} event
   */
  arrived(event) {
    const { stale, news } = this.arrivals.take(event, this.picking.rows);
    if (stale) this.later();
    if (!news) return;
    this.pill.hidden = false;
    this.pill.textContent = t("{n} new", { n: this.arrivals.waiting.size });
    this.say(this.spec.news(event.message));
  }

  /** Bring the list up to date in a moment, ms: one fetch for a burst of events. */
  later(wait = 400) {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => void this.load(), wait);
  }

  /** Show what is waiting, marked for a while. */
  async show() {
    this.arrivals.show();
    this.pill.hidden = true;
    await this.load();
  }

  empty() {
    const narrowed = Object.entries(this.chosen).some(([name, value]) => String(value) !== String(this.spec.usual[name]));
    return h(
      "div",
      { class: "card nothing" },
      h("h2", {}, narrowed ? t("Nothing fits these filters") : t("The queue is empty")),
      h("p", { class: "muted" }, narrowed ? t("Widen them, or clear them.") : this.spec.quiet),
      narrowed ? h("a", { href: location.pathname, class: "button" }, t("Clear the filters")) : null,
    );
  }
}
