import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { browse, Clock } from "./browser.mjs";
import { floor, moved, onBars, placed, points, precision, tick } from "../charts/data.js";
import { coloured, priceDigits, priceMarks, shares, timeMarks } from "../charts/heat.js";
import { faded } from "../charts/theme.js";
import { speak } from "../i18n.js";
import { across, broken, marks, scale } from "../pages/desk/scales.js";
import { placeOf } from "../pages/desk/replay.js";
import { stretches } from "../pages/trading/strips.js";

beforeEach(async () => {
  browse();
  new Clock();
  await speak("en");
});

test("marks of time are the reader's time, as fine as the chart asks", async () => {
  const at = Date.parse("2026-12-31T23:05:09Z") / 1000; // 00:05:09 of the new year in Berlin
  for (const [language, day] of [["en", "Jan 1"], ["zh-TW", "1月1日"], ["ko", "1월 1일"]]) {
    await speak(language);
    assert.deepEqual([0, 1, 2, 3, 4].map((kind) => tick(at, kind)), ["2027", day, day, "00:05", "00:05:09"]);
  }
});

test("a price axis has the decimals that its first price needs", () => {
  for (const [price, digits, least] of [
    [64250, 2, 0.01], [1000, 2, 0.01], [999.9, 4, 0.0001], [1, 4, 0.0001], [0.5, 4, 0.0001], [0.05, 5, 0.00001],
    [0.0000123, 8, 0.00000001], [1e-9, 10, 1e-10],
  ]) assert.deepEqual(precision([NaN, 0, price, 7]), { type: "price", precision: digits, minMove: least });
  assert.equal(precision([]).precision, 4);
});

test("points rise in time: of one time the last, and none from before or without a value", () => {
  const values = [1, 2, null, 3, 4, null, 5];
  const made = points([1000, 2000, 3000, 2000, 1000, 2000, 4000], (i) => (values[i] === null ? null : { value: values[i] }));
  assert.deepEqual(made, [{ value: 1, time: 1 }, { value: 3, time: 2 }, { value: 5, time: 4 }]);
});

test("the place of a moment is that of the last one not after it", () => {
  for (const place of [floor, placeOf]) {
    const found = [5, 10, 11, 19, 20, 25, 30, 99].map((at) => place([10, 20, 20, 30], at));
    assert.deepEqual(found, [0, 0, 0, 0, 2, 2, 3, 3]);
    assert.equal(place([], 5), 0);
  }
});

const bars = () => ({ t: [1000], open: [5], high: [6], low: [4], close: [5.5], volume: [10] });

test("a price moves the last bar", () => {
  const moving = bars();
  assert.equal(moved(moving, 1000, 7, 2), true);
  assert.equal(moved(moving, 1000, 3, 1), true);
  assert.deepEqual(moving, { t: [1000], open: [5], high: [7], low: [3], close: [3], volume: [13] });
});

test("a later price opens the next bar, an earlier one is passed over", () => {
  const moving = bars();
  assert.equal(moved(moving, 2000, 8, 3), true);
  assert.equal(moved(moving, 1000, 99, 9), false);
  assert.deepEqual(moving, { t: [1000, 2000], open: [5, 8], high: [6, 8], low: [4, 8], close: [5.5, 8], volume: [10, 3] });
});

test("the first price opens the first bar", () => {
  const moving = { t: [], open: [], high: [], low: [], close: [], volume: [] };
  assert.equal(moved(moving, 1000, 8, 0), true);
  assert.deepEqual(moving, { t: [1000], open: [8], high: [8], low: [8], close: [8], volume: [0] });
});

test("of a line's values within a bar the highest is drawn, or the last", () => {
  const line = { t: [500, 1000, 1500, 1999, 2500, 2600, 5000], value: [9, 3, 8, 5, null, Infinity, -1] };
  assert.deepEqual(onBars([1000, 2000, 3000], line, "highest"), [8, null, -1]);
  assert.deepEqual(onBars([1000, 2000, 3000], line, "last"), [5, null, -1]);
  assert.deepEqual(onBars([], line, "last"), []);
});

test("markers stand at the bar that they fall into, in the order of time", () => {
  const [late, early, before] = [{ t: 2999, kind: "sell" }, { t: 1001, kind: "buy" }, { t: 1, kind: "low" }];
  assert.deepEqual(placed([1000, 2000], [late, early, before]), [
    { each: early, time: 1 }, { each: before, time: 1 }, { each: late, time: 2 },
  ]);
  assert.deepEqual(placed([], [late]), []);
});

test("a colour of a share lies on the straight way between the two of the scale beside it", () => {
  const way = [[0, 100, 200], [10, 100, 0], [255, 255, 255]];
  assert.deepEqual(coloured(way, 0), [0, 100, 200]);
  assert.deepEqual(coloured(way, 0.25), [5, 100, 100]);
  assert.deepEqual(coloured(way, 0.5), [10, 100, 0]);
  assert.deepEqual(coloured(way, 1), [255, 255, 255]);
  assert.deepEqual([coloured(way, -1), coloured(way, 2)], [[0, 100, 200], [255, 255, 255]]);
});

test("the colour of a quantity goes by its logarithm, up to the largest", () => {
  const share = shares(99);
  assert.deepEqual([share(0), share(99)], [0, 1]);
  assert.ok(Math.abs(share(9) - 0.5) < 1e-12); // 1 + 9 is the root of 1 + 99
  assert.equal(shares(0)(0), 0);
});

test("prices are marked from edge to edge, one for 48 pixels and three at least", () => {
  assert.deepEqual(priceMarks({ low: 100, step: 0.5, rows: 40 }, 246), [100, 104, 108, 112, 116, 120]);
  assert.deepEqual(priceMarks({ low: 100, step: 0.5, rows: 40 }, 30), [100, 110, 120]);
});

test("marked prices have decimals enough to tell rows apart", () => {
  assert.deepEqual([5, 1, 0.5, 0.01, 0.009, 0.00001, 0.0000005, 1e-8].map(priceDigits), [1, 1, 3, 3, 6, 6, 7, 8]);
});

test("times are marked from the first column to the last, one for 120 pixels and three at least", () => {
  assert.deepEqual(timeMarks(60, 500), [0, 15, 30, 45, 59]);
  assert.deepEqual(timeMarks(10, 50), [0, 5, 9]);
  assert.deepEqual(timeMarks(1, 50), [0, 0, 0]);
});

test("an opacity is two more hex digits", () => {
  assert.deepEqual([faded("#123456", 1), faded("#123456", 0.55), faded("#123456", 0)], ["#123456ff", "#1234568c", "#12345600"]);
});

test("a drawing's scale puts the lowest value below and the highest on top", () => {
  const { low, high, y } = scale([3, 7, 5], 20, 100);
  assert.deepEqual([low, high, y(7), y(5), y(3)], [3, 7, 20, 70, 120]);
  assert.deepEqual([4, 0].map((value) => scale([value, value], 20, 100).y(value)), [120, 120]);
});

test("moments lie across a drawing in proportion", () => {
  assert.deepEqual([1000, 2500, 4000].map(across({ start: 1000, end: 4000 }, 600)), [0, 300, 600]);
});

test("moments that are marked are whole tens of seconds, about one for 110 pixels", () => {
  const span = { start: 1_000_000_003_000, end: 1_000_000_120_000 };
  const tens = (/** @type {number} */ wide) => marks(span, wide).map((at) => (at - 1_000_000_000_000) / 1000);
  assert.deepEqual(tens(330), [40, 80]);
  assert.deepEqual(tens(100), [20, 80]);
  assert.deepEqual(tens(2000), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
});

test("a line breaks where a value is not known", () => {
  const path = broken({ t: [0, 1, 2, 3, 4], value: [1, 2, null, 3, 0] }, (at) => 10 * at, (figure) => 5.25 - figure);
  assert.equal(path, "M0.0,4.3L10.0,3.3M30.0,2.3L40.0,5.3");
});

test("a regime is drawn by its stretches", () => {
  assert.deepEqual(stretches([1, 1, 0, -1, -1, -1, 1]), [
    { sign: 1, from: 0, to: 2 }, { sign: 0, from: 2, to: 3 }, { sign: -1, from: 3, to: 6 }, { sign: 1, from: 6, to: 7 },
  ]);
  assert.deepEqual(stretches([]), []);
});
