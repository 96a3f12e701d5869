import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { browse, Clock, Socket } from "./browser.mjs";
import { speak } from "../i18n.js";
import { watchTape } from "../live/tape.js";
import { COLUMNS, priced } from "../pages/tape/columns.js";
import { arrange, chosen } from "../pages/tape/order.js";

/** @type {Clock} */
let clock;

beforeEach(async () => {
  browse();
  clock = new Clock();
  await speak("en");
});

const head = (/** @type {number} */ first, /** @type {string[]} */ ...instruments) => ({
  first, instruments, columns: [["last", "f8"], ["change", "f4"], ["alerts", "u1"]],
  actions: ["", "buy"], severities: ["", "high"], change_since: "the first price of the UTC day",
});

/** A frame as docs/console-live.md has it. @param {[number, number, number, number][]} rows number, last, change, alerts */
function frame(rows, kind = 1) {
  const numbers = 4 * (rows.length + (rows.length % 2));
  const bytes = new DataView(new ArrayBuffer(16 + numbers + 13 * rows.length));
  bytes.setUint32(0, kind, true);
  bytes.setUint32(4, rows.length, true);
  bytes.setFloat64(8, 1_774_778_400_000, true);
  rows.forEach(([number, last, change, alerts], row) => {
    bytes.setUint32(16 + 4 * row, number, true);
    bytes.setFloat64(16 + numbers + 8 * row, last, true);
    bytes.setFloat32(16 + numbers + 8 * rows.length + 4 * row, change, true);
    bytes.setUint8(16 + numbers + 12 * rows.length + row, alerts);
  });
  return bytes.buffer;
}

/** Watch, remembering what was told. @param {string} [instrument] */
function watched(instrument) {
  /** @type {any} */
  const seen = { moved: [], added: 0, stands: [] };
  seen.end = watchTape(
    (tape, moved, added) => {
      seen.tape = tape;
      if (added) seen.added++;
      else seen.moved.push([...moved]);
    },
    instrument,
    (stands) => seen.stands.push(stands),
  );
  return seen;
}

const column = (/** @type {any} */ seen, /** @type {string} */ name) => [...seen.tape.columns[name].slice(0, seen.tape.names.length)];

test("frames fill the columns at their instruments' places", () => {
  const seen = watched();
  assert.equal(Socket.newest.address, "wss://console.example/api/v1/live/tape");
  Socket.newest.open();
  Socket.newest.say(head(0, "AAA.X", "BBB.X", "CCC.X"));
  assert.deepEqual([seen.tape.names, seen.added], [["AAA.X", "BBB.X", "CCC.X"], 1]);
  assert.deepEqual([column(seen, "last"), column(seen, "alerts")], [[NaN, NaN, NaN], [0, 0, 0]]);
  Socket.newest.say(frame([[2, 64250.5, 0.25, 3], [0, 1e-8, -0.5, 0], [1, 7, NaN, 1]]));
  Socket.newest.say(frame([[1, 8, 0.125, 2]]));
  assert.deepEqual(seen.moved, [[2, 0, 1], [1]]);
  assert.deepEqual(column(seen, "last"), [1e-8, 8, 64250.5]);
  assert.deepEqual(column(seen, "change"), [-0.5, 0.125, 0.25]);
  assert.deepEqual(column(seen, "alerts"), [0, 2, 3]);
  assert.deepEqual(seen.stands, [true]);
});

test("instruments that are met later are added behind, and known values stay", () => {
  const seen = watched();
  Socket.newest.say(head(0, "AAA.X"));
  Socket.newest.say(frame([[0, 5, 0.5, 1]]));
  Socket.newest.say(head(1, "BBB.X", "CCC.X"));
  Socket.newest.say(frame([[2, 9, 0.25, 0]]));
  assert.deepEqual(seen.tape.names, ["AAA.X", "BBB.X", "CCC.X"]);
  assert.deepEqual(column(seen, "last"), [5, NaN, 9]);
});

test("a new connection may number its instruments anew", () => {
  const seen = watched();
  Socket.newest.say(head(0, "AAA.X", "BBB.X"));
  Socket.newest.say(frame([[0, 1, 0, 0], [1, 2, 0, 0]]));
  Socket.newest.drop();
  clock.pass(500);
  Socket.newest.say(head(0, "BBB.X", "CCC.X", "AAA.X"));
  Socket.newest.say(frame([[0, 20, 0, 0], [2, 10, 0, 0]]));
  assert.deepEqual(seen.tape.names, ["AAA.X", "BBB.X", "CCC.X"]);
  assert.deepEqual(column(seen, "last"), [10, 20, NaN]);
  assert.deepEqual(seen.moved.at(-1), [1, 0]);
});

test("frames of a kind that is not known are passed over", () => {
  const seen = watched();
  Socket.newest.say(head(0, "AAA.X"));
  Socket.newest.say(frame([[0, 1, 0, 0]], 2));
  assert.deepEqual(seen.moved, []);
});

test("one instrument alone is asked for by its escaped name", () => {
  watched("A B/C.X");
  assert.equal(Socket.newest.address, "wss://console.example/api/v1/live/tape?instrument=A%20B%2FC.X");
});

test("a lost tape comes back, each time after twice as long until it speaks again", () => {
  const seen = watched();
  Socket.newest.open();
  for (const wait of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
    const tried = Socket.all.length;
    Socket.newest.drop();
    clock.pass(wait - 1);
    assert.equal(Socket.all.length, tried);
    clock.pass(1);
    assert.equal(Socket.all.length, tried + 1);
  }
  Socket.newest.say(head(0, "AAA.X"));
  const tried = Socket.all.length;
  Socket.newest.drop();
  clock.pass(500);
  assert.equal(Socket.all.length, tried + 1);
  assert.deepEqual(seen.stands.slice(0, 2), [true, false]);
});

test("a page that nobody sees has no connection, and begins afresh when it is shown", () => {
  watched();
  const first = Socket.newest;
  Object.assign(document, { hidden: true });
  document.dispatchEvent(new Event("visibilitychange"));
  first.drop();
  clock.pass(60_000);
  assert.deepEqual([first.closed, Socket.all.length], [true, 1]);
  Object.assign(document, { hidden: false });
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(Socket.all.length, 2);
});

test("a page that begins out of sight connects when it is shown", () => {
  Object.assign(document, { hidden: true });
  watched();
  assert.equal(Socket.all.length, 0);
  Object.assign(document, { hidden: false });
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(Socket.all.length, 1);
});

test("a tape that was ended stays away", () => {
  const seen = watched();
  seen.end();
  Socket.newest.drop();
  clock.pass(60_000);
  document.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual([Socket.newest.closed, Socket.all.length], [true, 1]);
});

/** Three instruments, the last without a trade yet. @returns {any} */
const tape = () => ({
  names: ["BTC.X", "ETH.X", "NEW.Y"], actions: ["", "hold", "cancel_buy"], severities: ["", "low", "critical"],
  columns: {
    last: Float64Array.of(64250.567, 1.23456, NaN), change: Float32Array.of(-0.5, 0.25, NaN),
    volume: Float64Array.of(1234.567, 0, NaN), bid: Float64Array.of(64250, 0.000012345, NaN), ask: Float64Array.of(1000, 999.99999, NaN),
    score: Float32Array.of(0.75, 0.875, NaN), action: Uint8Array.of(1, 2, 0), alerts: Uint8Array.of(7, 1, 0), severity: Uint8Array.of(1, 2, 0),
  },
});

const cells = (/** @type {number} */ place) => Object.fromEntries(COLUMNS.map(({ key, show }) => [key, show(tape(), place)]));

test("cells say values as far as they are known", () => {
  assert.deepEqual(cells(0), {
    name: ["BTC.X", ""], last: ["64,250.57", ""], change: ["-50.00 %", "down"], volume: ["1,234.57", ""], bid: ["64,250", ""],
    ask: ["1,000", ""], score: ["0.75", ""], action: ["hold", "chip chip-hold"], alerts: ["7 low", "chip chip-low"],
  });
  assert.deepEqual(cells(1), {
    name: ["ETH.X", ""], last: ["1.2346", ""], change: ["+25.00 %", "up"], volume: ["0", ""], bid: ["0.00001235", ""], ask: ["1,000", ""],
    score: ["0.88", "down"], action: ["cancel buy", "chip chip-cancel_buy"], alerts: ["1 critical", "chip chip-critical"],
  });
  assert.deepEqual(cells(2), {
    name: ["NEW.Y", ""], last: ["–", ""], change: ["–", ""], volume: ["–", ""], bid: ["–", ""], ask: ["–", ""], score: ["–", ""],
    action: ["", ""], alerts: ["", ""],
  });
});

test("words of cells are in the reader's language", async () => {
  await speak("ko");
  assert.equal(cells(0).alerts[0], "7 낮음");
  await speak("zh-TW");
  assert.equal(cells(0).alerts[0], "7 低");
});

test("prices have decimals by their size", () => {
  assert.deepEqual([1000.125, 999.12345, 1.00004, 0.123456789].map(priced), ["1,000.13", "999.1235", "1", "0.12345679"]);
});

test("the search finds letters anywhere in a name, in either case", () => {
  assert.deepEqual([...chosen(tape(), " .x ")], [0, 1]);
  assert.deepEqual([...chosen(tape(), "eth")], [1]);
  assert.deepEqual([...chosen(tape(), "  ")], [0, 1, 2]);
  assert.deepEqual([...chosen(tape(), "none")], []);
});

test("what is not known stands last, whichever way a column is sorted", () => {
  for (const [key, down, expected] of /** @type {[string, boolean, number[]][]} */ ([
    ["last", false, [1, 0, 2]], ["last", true, [0, 1, 2]], ["change", false, [0, 1, 2]], ["change", true, [1, 0, 2]],
    ["name", false, [0, 1, 2]], ["name", true, [2, 1, 0]],
  ])) {
    const order = Uint32Array.of(2, 1, 0);
    assert.equal(arrange(order, tape(), { key, down }), true);
    assert.deepEqual([...order], expected, `${key} ${down ? "down" : "up"}`);
  }
});

test("alerts are sorted by the gravest, then by how many", () => {
  const order = Uint32Array.of(0, 1, 2);
  arrange(order, tape(), { key: "alerts", down: true });
  assert.deepEqual([...order], [1, 0, 2]);
  const alike = tape();
  alike.columns.severity.set([2, 2, 2]);
  arrange(order, alike, { key: "alerts", down: true });
  assert.deepEqual([...order], [0, 1, 2]);
});

test("equal values stand by name, either way", () => {
  const alike = tape();
  alike.columns.last.set([5, 5, 5]);
  for (const down of [true, false]) {
    const order = Uint32Array.of(2, 0, 1);
    arrange(order, alike, { key: "last", down });
    assert.deepEqual([...order], [0, 1, 2]);
  }
});

test("a column that has not come yet leaves the order as it is", () => {
  const order = Uint32Array.of(2, 0, 1);
  for (const key of ["score", "alerts"]) {
    assert.equal(arrange(order, { ...tape(), columns: {} }, { key, down: true }), false);
    assert.deepEqual([...order], [2, 0, 1]);
  }
});
