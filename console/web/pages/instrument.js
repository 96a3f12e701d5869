/** Instrument: candles with alerts and actions, score and feature below, the book as ladder and heat map. */

import { get, part } from "../api.js";
import { candleChart } from "../charts/candles.js";
import { heatMap } from "../charts/heatmap.js";
import { ladder } from "../charts/ladder.js";
import { styled } from "../charts/theme.js";
import { fill, h } from "../dom.js";
import { number, percent, price, t, time } from "../i18n.js";
import { subscribe } from "../live/events.js";
import { watchTape } from "../live/tape.js";
import { attempt, card, chip, field, select, table, told } from "../ui.js";

const INTERVALS = /** @type {const} */ ({ "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86400 });
const BOOK_MS = 2000;
const HEAT_MS = 15000;
const SERIES_MS = 15000;

/** @param {HTMLElement} root @param {Record<string, string>} parameters */
export async function draw(root, parameters) {
  styled("/static/pages/instrument.css");
  const path = `/instruments/${part(parameters.id)}`;
  const known = await get(path);
  const page = new Page(root, path, known);
  await page.all();
  return () => page.end();
}

/** The columns' rows, for tables. @param {Record<string, any[]>} columns @param {string[]} names */
function rowsOf(columns, names) {
  return columns[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
}

class Page {
  /** @param {HTMLElement} root @param {string} path @param {{instrument: any, features: string[], detectors: string[]}} known */
  constructor(root, path, known) {
    this.path = path;
    this.id = known.instrument.id;
    /** @type {keyof typeof INTERVALS} */
    this.interval = "1m";
    this.feature = known.features.includes("volume_z") ? "volume_z" : known.features[0] ?? "";
    this.detector = "";
    this.gone = new AbortController();
    /** Marks by kind of message. @type {{alerts: any[], signals: any[]}} */
    this.marks = { alerts: [], signals: [] };
    this.volume = NaN;
    this.facts = h("div", { class: "instrument-facts" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.alerts = h("div", { class: "instrument-alerts" });
    const chart = h("div", {});
    const depth = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("Depth ladder") });
    const heat = h("div", {});
    fill(root,
      h("p", {}, h("a", { href: "/" }, t("Tape"))),
      h("h1", {}, this.id),
      known.instrument.name ? h("p", { class: "muted" }, [known.instrument.name, known.instrument.kind, known.instrument.currency].filter(Boolean).join(" · ")) : null,
      this.facts, this.problem,
      card(t("Price"), this.filters(known), chart),
      card(t("Order book"), h("div", { class: "instrument-book" }, depth, heat),
        h("p", { class: "muted" }, t("The best five levels are kept; what lies beyond them shows as empty."))),
      card(t("Alerts"), this.alerts));
    this.candles = candleChart(chart, { label: t("Price of {instrument} with alerts and actions", { instrument: this.id }), panes: ["score", "feature"] });
    this.ladder = ladder(depth);
    this.heat = heatMap(heat, { label: t("Order book of {instrument} over time", { instrument: this.id }) });
    this.timers = [
      setInterval(() => document.hidden || void this.book(), BOOK_MS),
      setInterval(() => document.hidden || void this.heatMap(), HEAT_MS),
      setInterval(() => document.hidden || void this.below(), SERIES_MS),
    ];
    this.stops = [
      watchTape((tape, moved) => this.tick(tape, moved), this.id),
      subscribe(["alerts"], (event) => this.alert(event)),
      subscribe(["signals"], (event) => this.signal(event)),
    ];
  }

  end() {
    this.gone.abort();
    this.timers.forEach(clearInterval);
    this.stops.forEach((stop) => stop());
    this.candles.remove();
    this.heat.remove();
  }

  /** @param {{features: string[], detectors: string[]}} known */
  filters(known) {
    const chosen = (/** @type {Event} */ event) => /** @type {HTMLSelectElement} */ (event.target).value;
    return h("div", { class: "filters" },
      field(t("Interval"), select(Object.keys(INTERVALS).map((each) => [each, each]), {
        value: this.interval,
        onchange: (/** @type {Event} */ event) => { this.interval = /** @type {any} */ (chosen(event)); void this.all(); },
      })),
      field(t("Score of"), select([["", t("the highest of all")], ...known.detectors.map((each) => /** @type {[string, string]} */ ([each, each]))], {
        onchange: (/** @type {Event} */ event) => { this.detector = chosen(event); void this.below(); },
      })),
      field(t("Feature"), select(known.features.map((each) => [each, each]), {
        value: this.feature,
        onchange: (/** @type {Event} */ event) => { this.feature = chosen(event); void this.below(); },
      })));
  }

  /** @param {string} what @param {Record<string, any>} [query] */
  ask(what, query) {
    return get(`${this.path}/${what}`, query, this.gone.signal);
  }

  /** Everything from the start, for the interval chosen. */
  async all() {
    this.problem.textContent = "";
    try {
      this.bars = await this.ask("bars", { interval: this.interval });
    } catch (error) {
      if (!this.gone.signal.aborted) this.problem.textContent = told(error);
      return;
    }
    this.candles.setBars(this.bars);
    await Promise.all([this.marked(), this.below(), this.book(), this.heatMap()]);
    this.candles.fit();
  }

  /** The span of the bars, as parameters. */
  span() {
    const { t: times } = this.bars;
    return times.length ? { start: new Date(times[0]).toISOString() } : {};
  }

  /** Markers and the list of alerts. */
  async marked() {
    await attempt(async () => {
      const [alerts, signals] = await Promise.all([
        this.ask("alerts", { ...this.span(), limit: 500 }),
        this.ask("signals", { ...this.span(), limit: 1000 }),
      ]);
      this.marks.alerts = rowsOf(alerts, ["t", "id", "scenario", "severity", "state", "score", "sentence"]);
      this.marks.signals = rowsOf(signals, ["t", "id", "policy", "action"]);
      this.mark();
    });
  }

  mark() {
    this.candles.setMarkers([
      ...this.marks.alerts.map((each) => ({ t: each.t, kind: each.severity, text: each.scenario.replaceAll("_", " ") })),
      ...this.marks.signals.filter((each) => each.action !== "hold").map((each) => ({ t: each.t, kind: each.action })),
    ]);
    fill(this.alerts, table([
      { heading: t("Onset"), cell: (each) => time(each.t) },
      { heading: t("Severity"), cell: (each) => chip(each.severity) },
      { heading: t("Scenario"), cell: (each) => h("a", { href: `/alerts/${each.id}` }, t(each.scenario.replaceAll("_", " "))) },
      { heading: t("Score"), cell: (each) => number(each.score, 1), numeric: true },
      { heading: t("What happened"), cell: (each) => each.sentence },
    ], [...this.marks.alerts].reverse().slice(0, 50), { caption: t("Alerts of {instrument}", { instrument: this.id }), empty: t("No alerts in this time.") }));
  }

  /** The panes below the candles. */
  async below() {
    await attempt(async () => {
      const [scores, features] = await Promise.all([
        this.ask("scores", { ...this.span(), points: 1000 }),
        this.feature ? this.ask("features", { ...this.span(), names: this.feature, points: 1000 }) : null,
      ]);
      this.candles.setLine("score", this.scored(scores.detectors), this.detector || t("score"), "highest");
      if (features) this.candles.setLine("feature", { t: features.t, value: features.values[this.feature] }, this.feature);
    });
  }

  /** One detector's probability, or the highest of all at each time. @param {Record<string, {t: number[], probability: (number | null)[]}>} detectors */
  scored(detectors) {
    if (this.detector) return { t: detectors[this.detector]?.t ?? [], value: detectors[this.detector]?.probability ?? [] };
    /** @type {Map<number, number>} */
    const highest = new Map();
    for (const each of Object.values(detectors)) {
      each.t.forEach((at, i) => {
        const value = each.probability[i];
        if (value !== null) highest.set(at, Math.max(value, highest.get(at) ?? 0));
      });
    }
    const times = [...highest.keys()].sort((a, b) => a - b);
    return { t: times, value: times.map((at) => highest.get(at) ?? null) };
  }

  async book() {
    try {
      const book = await this.ask("book");
      this.ladder.set(book.t === null ? null : book);
    } catch {
      // The next look, two seconds on, tells more than a message would.
    }
  }

  async heatMap() {
    try {
      this.heat.set(await this.ask("heatmap", { columns: 240, rows: 60 }));
    } catch {
      // As with the book.
    }
  }

  /** A move of the tape. @param {import("../live/tape.js").Tape} tape @param {Uint32Array} moved */
  tick(tape, moved) {
    if (!moved.length) return;
    const [last, change, volume, at] = ["last", "change", "volume", "time"].map((name) => tape.columns[name][moved[0]]);
    const action = tape.actions[tape.columns.action[moved[0]]];
    const facts = /** @type {[string, any, string][]} */ ([
      [t("Last"), price(last), "figure"],
      [t("Change"), percent(change), change > 0 ? "up" : change < 0 ? "down" : ""],
      [t("Volume"), number(volume), ""],
      [t("Bid"), price(tape.columns.bid[moved[0]]), ""],
      [t("Ask"), price(tape.columns.ask[moved[0]]), ""],
      [t("Score"), number(tape.columns.score[moved[0]]), ""],
      [t("Action"), action ? chip(action) : "–", ""],
      [t("Time"), Number.isFinite(at) ? time(at) : "–", ""],
    ]);
    fill(this.facts, h("dl", {}, facts.map(([name, value, look]) => h("div", {}, h("dt", {}, name), h("dd", { class: look }, value)))));
    const traded = volume - this.volume;
    this.volume = volume;
    if (!this.bars || !Number.isFinite(last) || !Number.isFinite(at)) return;
    const wide = INTERVALS[this.interval] * 1000;
    this.candles.tick(Math.floor(at / wide) * wide, last, traded > 0 ? traded : 0);
  }

  /** @param {import("../live/events.js").LiveEvent} event */
  alert(event) {
    if (event.topic === "gap") void this.marked();
    if (event.topic !== "alerts" || event.message.instrument !== this.id) return;
    const { id, scenario, severity, state, score, sentence, onset } = event.message;
    this.marks.alerts = [...this.marks.alerts.filter((each) => each.id !== id), { t: Date.parse(onset), id, scenario, severity, state, score, sentence }]
      .sort((a, b) => a.t - b.t);
    this.mark();
  }

  /** @param {import("../live/events.js").LiveEvent} event */
  signal(event) {
    if (event.topic !== "signals" || event.message.instrument !== this.id || event.message.action === "hold") return;
    this.marks.signals.push({ t: Date.parse(event.message.ts), id: event.message.id, policy: event.message.policy, action: event.message.action });
    this.mark();
  }
}
