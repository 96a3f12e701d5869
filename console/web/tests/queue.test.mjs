import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { browse, Clock } from "./browser.mjs";
import { address } from "../api.js";
import { filters, keep } from "../pages/desk/address.js";
import * as alerts from "../pages/desk/alert_filters.js";
import { Arrivals } from "../pages/desk/arrivals.js";
import * as cases from "../pages/desk/case_filters.js";
import { Picking } from "../pages/desk/picking.js";
import { may, sees, state } from "../state.js";

beforeEach(() => {
  browse();
  new Clock("2026-03-29T10:00:00Z");
});

const rows = (/** @type {string} */ ids) => [...ids].map((id) => ({ id }));

/** A list of rows that are named by one letter each, and how often it said that it changed. @param {string} ids */
function list(ids) {
  const seen = { changes: 0 };
  const picking = new Picking(() => void seen.changes++);
  picking.take(rows(ids));
  return { picking, seen, current: () => picking.rows[picking.current]?.id, picked: () => [...picking.picked].sort().join("") };
}

const meant = (/** @type {Picking<{id: string}>} */ picking) => picking.meant().map(({ id }) => id).join("");

test("keys move the current row, as far as there are rows", () => {
  const { picking, current, seen } = list("abc");
  picking.move(1);
  assert.equal(current(), "b");
  picking.move(9);
  assert.equal(current(), "c");
  picking.move(-9);
  assert.equal(current(), "a");
  assert.equal(seen.changes, 4);
});

test("an act is for the picked rows in their order, else for the current one", () => {
  const { picking } = list("abcd");
  picking.move(1);
  assert.equal(meant(picking), "b");
  picking.toggle(3);
  picking.toggle(0);
  assert.equal(meant(picking), "ad");
  picking.toggle(0);
  picking.toggle(3);
  assert.equal(meant(picking), "d");
});

test("a range is picked from the row where it began, up or down", () => {
  const { picking, picked, current } = list("abcdef");
  picking.move(2);
  picking.move(1, true);
  picking.move(1, true);
  assert.deepEqual([picked(), current()], ["cde", "e"]);
  picking.none();
  picking.toggle(4);
  picking.toggle(1, true);
  assert.deepEqual([picked(), current()], ["bcde", "b"]);
});

test("all are picked, or none where all were", () => {
  const { picking, picked } = list("abc");
  picking.toggle(1);
  picking.all();
  assert.equal(picked(), "abc");
  picking.all();
  assert.equal(picked(), "");
});

test("a place without a row picks nothing", () => {
  const { picking, picked, seen } = list("ab");
  picking.toggle(7);
  assert.deepEqual([picked(), seen.changes], ["", 1]);
});

test("new rows: the current one stays itself, what is picked and gone is let go", () => {
  const { picking, picked, current } = list("abcd");
  picking.toggle(1);
  picking.toggle(2);
  picking.take(rows("xyacd"));
  assert.deepEqual([current(), picked()], ["c", "c"]);
  picking.take(rows("xy"));
  assert.deepEqual([current(), picked()], ["y", ""]);
  picking.take(rows("klm"));
  assert.equal(current(), "l");
});

test("a range that new rows come into begins at the row where it began", () => {
  const { picking, picked } = list("abcd");
  picking.toggle(1);
  picking.take(rows("xyabcd"));
  picking.toggle(5, true);
  assert.equal(picked(), "bcd");
});

test("a range begins at the row that a list begins with", () => {
  const { picking, picked } = list("");
  picking.current = 2;
  picking.take(rows("abcde"));
  picking.move(1, true);
  assert.equal(picked(), "cd");
});

test("a key in an empty list loses no place: the first row that comes is the current one", () => {
  for (const by of [1, -1]) {
    const { picking, current } = list("");
    picking.move(by);
    assert.equal(meant(picking), "");
    picking.take(rows("ab"));
    assert.equal(current(), "a");
  }
});

/** A row of the queue of alerts. @param {string} id @param {string} [of] its case @param {number} [revision] of it */
const alert = (id, of = "", revision = -1) => ({ id, of, revision });
const arrivals = () => new Arrivals({
  topic: "alerts", cases: (/** @type {ReturnType<typeof alert>} */ row) => (row.of ? [row.of] : []), revision: (row) => row.revision,
});
const told = (/** @type {string} */ id, topic = "alerts") => ({ topic, message: { id } });
const toldCase = (/** @type {string} */ id, /** @type {number} */ revision, /** @type {string[]} */ ...covers) => ({
  topic: "cases", message: { id, revision, alerts: covers.map((each) => ({ id: each })) },
});

test("a new alert waits until it is wanted, each once", () => {
  const come = arrivals();
  assert.deepEqual(come.take(told("n"), [alert("a")]), { stale: false, news: true });
  come.take(told("n"), [alert("a")]);
  assert.deepEqual([...come.waiting], ["n"]);
  come.show();
  assert.deepEqual([[...come.waiting], [...come.fresh]], [[], ["n"]]);
});

test("an alert that is shown, its case, a case of it and a gap bring the rows up to date", () => {
  const shown = [alert("a", "case 1", 4), alert("b")];
  for (const event of [told("a"), toldCase("case 1", 5), toldCase("case 2", 0, "b"), { topic: "gap", message: { missed: {} } }]) {
    const come = arrivals();
    assert.deepEqual(come.take(event, shown), { stale: true, news: false });
    assert.equal(come.waiting.size, 0);
  }
});

test("another queue's cases and other topics are no news here", () => {
  const come = arrivals();
  assert.deepEqual(come.take(toldCase("case 9", 1, "z"), [alert("a")]), { stale: false, news: false });
  assert.deepEqual(come.take(told("s", "signals"), [alert("a")]), { stale: false, news: false });
});

test("the database is behind until it gives a case's pushed revision", () => {
  const come = arrivals();
  come.take(toldCase("case 1", 5), []);
  assert.equal(come.behind([alert("a", "case 1", 4)]), true);
  assert.equal(come.behind([alert("a", "case 1", 5)]), false);
  assert.equal(come.behind([alert("a", "case 1", 6)]), false);
  assert.equal(come.behind([alert("b", "case 2", 0)]), false);
});

test("the database is behind while an alert lacks the case that was pushed for it", () => {
  const come = arrivals();
  come.take(toldCase("case 1", 0, "a"), []);
  assert.equal(come.behind([alert("a")]), true);
  assert.equal(come.behind([alert("a", "case 1", 0)]), false);
  assert.equal(come.behind([alert("b")]), false);
});

test("the database is behind while it lacks what is to be shown", () => {
  const come = arrivals();
  come.take(told("n"), []);
  assert.equal(come.behind([]), false);
  come.show();
  assert.equal(come.behind([alert("a")]), true);
  assert.equal(come.behind([alert("a"), alert("n")]), false);
});

test("it is asked again after longer and longer, thirty times, and anew after each event and wish", () => {
  const come = arrivals();
  come.take(told("n"), []);
  come.show();
  const waits = Array.from({ length: 31 }, () => come.again([]));
  assert.deepEqual(waits.slice(0, 3).map((each) => Math.round(each)), [520, 676, 879]);
  assert.deepEqual(waits.slice(9, 31), [...Array(21).fill(5000), null]);
  come.take(told("m"), []);
  assert.equal(Math.round(come.again([])), 520);
  assert.equal(come.again([alert("n")]), null);
  while (come.again([]) !== null);
  come.show();
  assert.equal(Math.round(come.again([])), 520);
});

test("filters that are not as usual stand in the address, and come back from it", () => {
  const usual = { severity: [], work: "open", search: "", order: "rank" };
  for (const [chosen, query] of [
    [usual, ""],
    [{ ...usual, severity: ["critical", "high"], search: "BTC & co" }, "?severity=critical&severity=high&search=BTC+%26+co"],
    [{ ...usual, work: "" }, "?work="],
  ]) {
    keep(chosen, usual);
    assert.equal(location.search, query);
    assert.deepEqual(filters(usual), chosen);
  }
});

test("a list that is empty against the usual stands in the address too", () => {
  const usual = { severity: ["high"] };
  keep({ severity: [] }, usual);
  assert.equal(location.search, "?severity=");
  assert.deepEqual(filters(usual), { severity: [] });
});

test("alerts of open work are those of open cases and of none", () => {
  const open = ["new", "assigned", "in_review", "escalated", "reopened"];
  assert.deepEqual(alerts.query(alerts.USUAL).case_state, [...open, "none"]);
  assert.deepEqual(alerts.query({ ...alerts.USUAL, work: "closed" }).case_state, ["closed"]);
  assert.deepEqual(alerts.query({ ...alerts.USUAL, work: "" }).case_state, []);
  assert.deepEqual(cases.query(cases.USUAL).state, open);
  assert.deepEqual(cases.query({ ...cases.USUAL, work: "new" }).state, ["new"]);
});

test("cases that wait for approval are open ones", () => {
  const { state: wanted, closing } = cases.query({ ...cases.USUAL, work: "closing" });
  assert.deepEqual([wanted.length, wanted.includes("closed"), closing], [5, false, "true"]);
  assert.equal(cases.query(cases.USUAL).closing, "");
});

test("my own work, and nobody's, are asked for by name", () => {
  state.session = { name: "ada", role: "analyst", csrf: "", pages: ["*"], instruments: [], language: "" };
  for (const { query, USUAL } of /** @type {any[]} */ ([alerts, cases])) {
    const owners = ["(me)", "(nobody)", "bob", ""].map((owner) => query({ ...USUAL, owner }));
    assert.deepEqual(owners.map((each) => [each.owner, each.nobody]), [["ada", ""], ["", "true"], ["bob", ""], ["", ""]]);
  }
});

test("alerts of the last hours begin at a moment", () => {
  const since = (/** @type {string} */ within) => alerts.query({ ...alerts.USUAL, within }).since;
  assert.deepEqual(["", "1h", "24h", "7d", "30d"].map(since), [
    "", "2026-03-29T09:00:00.000Z", "2026-03-28T10:00:00.000Z", "2026-03-22T10:00:00.000Z", "2026-02-27T10:00:00.000Z",
  ]);
});

test("an operation's address has what was chosen, lists by repeating their name", () => {
  assert.equal(address("/alerts", { severity: ["high", "low"], owner: "", since: null, venue: undefined, limit: 0, search: "a b" }),
    "/api/v1/alerts?severity=high&severity=low&limit=0&search=a+b");
  assert.equal(address("/alerts", { severity: [] }), "/api/v1/alerts");
});

test("a role may what lower ones may; a seat sees its own pages, or all", () => {
  const who = { name: "ada", csrf: "", instruments: [], language: "" };
  state.session = { ...who, role: "approver", pages: ["cases"] };
  assert.deepEqual([may("viewer"), may("analyst"), may("approver"), may("admin")], [true, true, true, false]);
  assert.deepEqual([sees("cases"), sees("audit")], [true, false]);
  state.session = { ...who, role: "viewer", pages: ["*"] };
  assert.equal(sees("audit"), true);
  state.session = null;
  assert.deepEqual([may("viewer"), sees("cases")], [false, false]);
});
