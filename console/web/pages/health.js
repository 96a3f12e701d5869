/** Health: what is good, what wants a look and what is bad, why, and what to do; lags and rates of half an hour. */

import { get } from "../api.js";
import { lineChart } from "../charts/series.js";
import { styled } from "../charts/theme.js";
import { fill, h } from "../dom.js";
import { number, t, time } from "../i18n.js";
import { card, chip, load, table } from "../ui.js";

const EVERY_MS = 5000;

/**
 * @typedef {{name: string, state: "good" | "warn" | "bad", reason: string, values: Record<string, string | number>, next: string}} Check
 * @typedef {{topic: string, partition: number, end: number, engine_lag: number | null, sink_lag: number | null,
 *   clock: string | null, at: number | null}} Partition
 */

/** @param {Check[]} checks */
function checkList(checks) {
  /** @type {Record<string, string>} */
  const words = { good: t("good"), warn: t("look"), bad: t("bad") };
  const values = (/** @type {Check} */ each) =>
    Object.fromEntries(Object.entries(each.values).map(([name, value]) => [name, typeof value === "number" ? number(value, 0) : value]));
  return h("ul", { class: "checks" }, checks.map((each) =>
    h("li", { class: each.state },
      chip(each.state, words[each.state]),
      h("strong", {}, t(each.name)),
      h("p", {}, t(each.reason, values(each))),
      each.next ? h("p", { class: "muted" }, t(each.next)) : null)));
}

/** @param {Partition[]} partitions */
function partitionTable(partitions) {
  return table(
    [
      { heading: t("Feed"), cell: (each) => `${each.topic.replace("market.", "")} [${each.partition}]` },
      { heading: t("Records"), numeric: true, cell: (each) => number(each.end, 0) },
      { heading: t("Engine behind"), numeric: true, cell: (each) => number(each.engine_lag, 0) },
      { heading: t("Sink behind"), numeric: true, cell: (each) => number(each.sink_lag, 0) },
      { heading: t("Log clock"), cell: (each) => time(each.clock) },
      { heading: t("Last transaction"), cell: (each) => time(each.at) },
    ],
    partitions,
    { caption: t("Partitions of feeds"), empty: t("No feed yet. Run `tapewatch produce`.") },
  );
}

/** @param {Record<string, number>} counts @param {string} heading @param {string} caption @param {string} empty */
function counted(counts, heading, caption, empty) {
  return table(
    [
      { heading: t("Reason"), cell: (/** @type {[string, number]} */ each) => t(each[0].replaceAll("_", " ")) },
      { heading, numeric: true, cell: (each) => number(each[1], 0) },
    ],
    Object.entries(counts).sort((a, b) => b[1] - a[1]),
    { caption, empty },
  );
}

/** @param {any[]} consumers */
function consumerTable(consumers) {
  return table(
    [
      { heading: t("Group"), cell: (each) => each.name },
      { heading: t("State"), cell: (each) => chip(each.state === "stable" ? "good" : "low", each.state) },
      { heading: t("Members"), numeric: true, cell: (each) => number(each.members, 0) },
      { heading: t("Behind"), numeric: true, cell: (each) => number(each.lag, 0) },
    ],
    consumers,
    { caption: t("Consumers"), empty: t("No consumer group of ours.") },
  );
}

/** @param {any[]} letters */
function letterTable(letters) {
  return table(
    [
      { heading: t("Topic"), cell: (each) => each.topic },
      { heading: t("Reason"), cell: (each) => (each.reason ? t(each.reason.replaceAll("_", " ")) : t("all")) },
      { heading: t("Count"), numeric: true, cell: (each) => number(each.count, 0) },
    ],
    letters,
    { caption: t("Dead letters"), empty: t("None.") },
  );
}

/** @param {number | null | undefined} seconds */
const took = (seconds) => (seconds == null ? "–" : t("{seconds} s", { seconds: number(seconds, seconds < 10 ? 2 : 1) }));

const STAGES = ["topic", "postgres", "elasticsearch"];
/** @type {Record<string, string>} */
const STAGE_NAMES = { topic: "Topic", postgres: "PostgreSQL", elasticsearch: "Elasticsearch" };

/** @param {any[]} rows */
function canaryTable(rows) {
  return table(
    [
      { heading: t("Scenario"), cell: (each) => t(each.scenario.replaceAll("_", " ")) },
      { heading: t("Hours"), numeric: true, cell: (each) => number(each.hours, 0) },
      { heading: t("Injected"), numeric: true, cell: (each) => number(each.injected, 0) },
      { heading: t("Found"), numeric: true, cell: (each) => number(each.found, 0) },
      { heading: t("Late"), numeric: true, cell: (each) => number(each.late, 0) },
      { heading: t("Missed"), numeric: true, cell: (each) => (each.missed ? chip("bad", number(each.missed, 0)) : number(0, 0)) },
      { heading: t("Recall"), numeric: true, cell: (each) => (each.recall == null ? "–" : `${number(100 * each.recall, 1)} %`) },
      { heading: t("Decided after"), numeric: true, cell: (each) => took(each.decision_s) },
      ...STAGES.map((stage) => ({
        heading: t(STAGE_NAMES[stage]),
        numeric: true,
        cell: (/** @type {any} */ each) => (each.stages[stage] ? `${took(each.stages[stage].median)} / ${took(each.stages[stage].most)}` : "–"),
      })),
    ],
    rows,
    { caption: t("Canaries: median and longest time from decision to readable"), empty: t("No canary in a day. Run `tapewatch produce canary` and `tapewatch sink canary`.") },
  );
}

/** @param {any[]} rows */
function lastCanaries(rows) {
  /** @type {Record<string, string>} */
  const looks = { found: "good", late: "warn", missed: "bad", injected: "low" };
  return table(
    [
      { heading: t("Injected"), cell: (each) => time(each.at) },
      { heading: t("Instrument"), cell: (each) => (each.alert ? h("a", { href: `/alerts/${each.alert}` }, each.instrument) : each.instrument) },
      { heading: t("Partition"), numeric: true, cell: (each) => number(each.partition, 0) },
      { heading: t("State"), cell: (each) => chip(looks[each.state] ?? "low", t(each.state)) },
      { heading: t("Decided after"), numeric: true, cell: (each) => took(each.decision_s) },
      ...STAGES.map((stage) => ({ heading: t(STAGE_NAMES[stage]), numeric: true, cell: (/** @type {any} */ each) => took(each.stages[stage]) })),
    ],
    rows,
    { caption: t("The last canaries"), empty: t("None.") },
  );
}

/** @param {HTMLElement} root */
export async function draw(root) {
  styled("/static/pages/trading/trading.css");
  const [checks, partitions, refusals, coverage, consumers, letters, canaries, lasts] = Array.from({ length: 8 }, () => h("div", {}));
  const [rateBox, workBox, lagBox] = Array.from({ length: 3 }, () => h("div", {}));
  /** @type {ReturnType<typeof lineChart>[]} */
  const charts = [];

  /** @param {any} found */
  function show(found) {
    fill(checks, checkList(found.checks));
    fill(partitions, partitionTable(found.partitions));
    fill(refusals, counted(found.refusals, t("Rows"), t("Refusals by reason"), t("Nothing was refused in the last half hour.")));
    fill(coverage, counted(found.coverage, t("Instrument-seconds"), t("Not watched, by reason"), t("Everything was watched.")));
    fill(consumers, consumerTable(found.consumers));
    fill(letters, letterTable(found.dead_letters));
    fill(canaries, canaryTable(found.canaries));
    fill(lasts, lastCanaries(found.last_canaries));
    if (!charts.length) {
      charts.push(
        lineChart(rateBox, { height: 180, label: t("Rows a second") }),
        lineChart(workBox, { height: 180, label: t("Transactions, scores and alerts a second") }),
        lineChart(lagBox, { height: 180, label: t("Records behind") }),
      );
    }
    for (const each of charts) each.chart.applyOptions({ localization: { priceFormatter: (/** @type {number} */ value) => number(value, 1) } });
    const { rates, lags } = found;
    charts[0].set([{ name: t("rows"), t: rates.at, value: rates.rows }, { name: t("refused"), t: rates.at, value: rates.refused }]);
    charts[1].set([
      { name: t("transactions"), t: rates.at, value: rates.transactions },
      { name: t("scores"), t: rates.at, value: rates.scores },
      { name: t("alerts"), t: rates.at, value: rates.alerts },
    ]);
    charts[2].set([
      { name: t("engine"), t: lags.at, value: lags.engine },
      { name: t("paper broker"), t: lags.at, value: lags.paper },
      { name: t("sink"), t: lags.at, value: lags.sink },
    ]);
  }

  /** @type {any} */
  let first = null;
  await load(root, async () => {
    first = await get("/health");
    return [
      h("h1", {}, t("Health")),
      card(t("Checks"), checks),
      h("div", { class: "grid" },
        card(t("Rows a second"), rateBox), card(t("Transactions, scores and alerts a second"), workBox), card(t("Records behind"), lagBox)),
      card(t("Canaries"), canaries, lasts),
      card(t("Feeds"), partitions),
      h("div", { class: "grid" },
        card(t("Refusals by reason"), refusals), card(t("Not watched, by reason"), coverage),
        card(t("Consumers"), consumers), card(t("Dead letters"), letters)),
    ];
  });
  // Charts are drawn once they have a width.
  if (first) show(first);
  const timer = setInterval(() => {
    if (!document.hidden) void get("/health").then(show, () => {});
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    for (const chart of charts) chart.remove();
  };
}
