import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { browse, Clock } from "./browser.mjs";
import * as i18n from "../i18n.js";
import { age, clock, exact } from "../pages/desk/words.js";
import { value } from "../pages/desk/evidence.js";

const { number, percent, price, speak, t, time } = i18n;

beforeEach(async () => {
  browse();
  new Clock("2026-03-29T10:00:00Z");
  await speak("en");
});

test("a language is remembered and told to screen readers", async () => {
  await speak("ko");
  assert.equal(i18n.language, "ko");
  assert.equal(document.documentElement.lang, "ko");
  assert.equal(localStorage.getItem("tapewatch.language"), "ko");
});

test("a language that there is not is English", async () => {
  await speak("zh-TW");
  await speak("fr");
  assert.equal(i18n.language, "en");
  assert.equal(t("Volume"), "Volume");
});

test("texts are in the reader's language, unknown ones as they are, with their values", async () => {
  for (const [language, volume, shown] of [
    ["en", "Volume", "3 of 40"],
    ["zh-TW", "成交量", "3／40"],
    ["ko", "거래량", "40건 중 3건"],
  ]) {
    await speak(language);
    assert.equal(t("Volume"), volume);
    assert.equal(t("{shown} of {total}", { shown: 3, total: 40 }), shown);
    assert.equal(t("Nobody says {this} of {that}", { that: 0 }), "Nobody says {this} of 0");
  }
});

test("numbers are grouped and have two decimals at most, or as many as asked", async () => {
  for (const language of ["en", "zh-TW", "ko"]) {
    await speak(language);
    assert.equal(number(1234567.891), "1,234,567.89");
    assert.equal(number(-1234.5), "-1,234.5");
    assert.equal(number(1234567.891, 0), "1,234,568");
    assert.equal(number(0.125, 3), "0.125");
    assert.equal(number(0), "0");
  }
});

test("a number that rounds to nothing has no sign", () => {
  assert.equal(number(-0.004), "0");
  assert.equal(number(-0.006), "-0.01");
  assert.equal(number(-0), "0");
});

test("what is not known is a dash", () => {
  for (const unknown of [null, undefined, NaN]) {
    assert.equal(number(unknown), "–");
    assert.equal(price(unknown), "–");
    assert.equal(percent(unknown), "–");
  }
  assert.equal(time(null), "–");
  assert.equal(time(""), "–");
});

test("prices keep eight decimals", () => {
  assert.equal(price(64250.5), "64,250.5");
  assert.equal(price(0.00001234), "0.00001234");
  assert.equal(price(0.123456789), "0.12345679");
});

test("percentages carry their sign, unless they round to nothing", () => {
  assert.equal(percent(0.01234), "+1.23 %");
  assert.equal(percent(-0.5), "-50.00 %");
  assert.equal(percent(12.5, 0), "+1250 %");
  assert.equal(percent(0.01234, 0), "+1 %");
  for (const none of [0, 0.00004, -0.00004]) assert.equal(percent(none), "0.00 %");
});

test("a time of today is the reader's time of day, another one has its date", async () => {
  // Berlin is an hour ahead of UTC until 01:00 UTC on this day, then two.
  for (const [language, today, yesterday] of [
    ["en", "03:00:05", "3/28/2026 23:59:59"],
    ["zh-TW", "03:00:05", "2026/3/28 23:59:59"],
    ["ko", "3시 0분 5초", "2026. 3. 28. 23시 59분 59초"],
  ]) {
    await speak(language);
    assert.equal(time("2026-03-29T01:00:05Z"), today);
    assert.equal(time(Date.parse("2026-03-28T22:59:59Z")), yesterday);
  }
});

test("the hour after midnight is the hour 0 of the new day", async () => {
  for (const [language, expected] of [["en", "00:30:05"], ["zh-TW", "00:30:05"], ["ko", "0시 30분 5초"]]) {
    await speak(language);
    assert.equal(time("2026-03-28T23:30:05Z"), expected);
  }
});

test("ages are short, in the largest unit that fits", async () => {
  const ages = (/** @type {number[]} */ ...seconds) => seconds.map((each) => age(new Date(Date.now() - 1000 * each).toISOString()));
  assert.deepEqual(ages(0, 59, 60, 3540, 3600, 82_800, 86_400, 345_600, -420),
    ["0s ago", "59s ago", "1m ago", "59m ago", "1h ago", "23h ago", "1d ago", "4d ago", "in 7m"]);
  await speak("zh-TW");
  assert.deepEqual(ages(5, 180, 7200), ["5 秒前", "3 分鐘前", "2 小時前"]);
  await speak("ko");
  assert.deepEqual(ages(5, 180, 7200), ["5초 전", "3분 전", "2시간 전"]);
});

test("evidence says its moments in UTC, wherever the reader is", () => {
  assert.equal(exact("2026-03-29T01:02:03.456Z"), "2026-03-29 01:02:03.456 UTC");
  assert.equal(clock(Date.parse("2026-03-28T23:30:05.670Z")), "23:30:05.6");
});

test("figures of evidence have four significant digits", () => {
  assert.equal(value(0.000123456), "0.0001235");
  assert.equal(value(-12.3456), "-12.35");
  assert.equal(value(9999.4), "9,999");
  assert.equal(value(123456.7), "123,457");
  assert.equal(value(null), "not warm");
});
