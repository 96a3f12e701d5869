import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { browse, Clock, Socket } from "./browser.mjs";

let copies = 0;
/** @type {Clock} */
let clock;
/** @type {typeof import("../live/events.js").subscribe} */
let subscribe;

beforeEach(async () => {
  browse();
  clock = new Clock();
  ({ subscribe } = await import(`../live/events.js?${copies++}`));
});

/** A subscriber that remembers what it was told. @param {string[]} topics */
function listener(...topics) {
  /** @type {any[]} */
  const told = [];
  return { told, stop: subscribe(topics, (event) => told.push(event)) };
}

/** Connected, with the id where the stream begins. @param {string} id */
function connected(id) {
  clock.pass(0);
  Socket.newest.open();
  Socket.newest.say({ id, topic: "begin", message: {} });
}

const alert = (/** @type {string} */ id) => ({ id, topic: "alerts", message: { id: `alert-${id}` } });

test("all of a page share one connection, which asks for what any of them wants", () => {
  listener("cases", "alerts");
  listener("signals", "alerts");
  assert.equal(Socket.all.length, 0);
  clock.pass(0);
  Socket.newest.open();
  assert.equal(Socket.all.length, 1);
  assert.equal(Socket.newest.address, "wss://console.example/api/v1/events/ws");
  assert.deepEqual(Socket.newest.sent, [{ topics: ["alerts", "cases", "signals"], last: "" }]);
});

test("a page without TLS connects without", () => {
  browse("http://localhost:8080/");
  listener("alerts");
  clock.pass(0);
  assert.equal(Socket.newest.address, "ws://localhost:8080/api/v1/events/ws");
});

test("an event goes to those who want its topic, a gap to all, the stream's own words to nobody", () => {
  const [alerts, cases] = [listener("alerts"), listener("cases")];
  connected("1");
  Socket.newest.say(alert("2"));
  const gap = { id: "9", topic: "gap", message: { reason: "too much came since", missed: { alerts: 6 } } };
  Socket.newest.say(gap);
  Socket.newest.say({ id: "", topic: "closed", message: { reason: "the stream is renewed; resume by the last id" } });
  assert.deepEqual(alerts.told, [alert("2"), gap]);
  assert.deepEqual(cases.told, [gap]);
});

test("a lost connection comes back and goes on after the last id", () => {
  const { told } = listener("alerts");
  connected("1");
  Socket.newest.say(alert("2"));
  Socket.newest.drop();
  clock.pass(499);
  assert.equal(Socket.all.length, 1);
  clock.pass(1);
  assert.equal(Socket.all.length, 2);
  Socket.newest.open();
  assert.deepEqual(Socket.newest.sent, [{ topics: ["alerts"], last: "2" }]);
  Socket.newest.say(alert("3"));
  assert.deepEqual(told, [alert("2"), alert("3")]);
});

test("it goes on after where the stream began, where nothing came yet", () => {
  listener("alerts");
  connected("7");
  Socket.newest.drop();
  clock.pass(500);
  Socket.newest.open();
  assert.equal(Socket.newest.sent[0].last, "7");
});

test("words without an id leave the last one as it is", () => {
  listener("alerts");
  connected("7");
  Socket.newest.say({ id: "", topic: "closed", message: {} });
  Socket.newest.drop(1000);
  clock.pass(500);
  Socket.newest.open();
  assert.equal(Socket.newest.sent[0].last, "7");
});

test("it waits twice as long each time, fifteen seconds at most, until the server speaks again", () => {
  listener("alerts");
  clock.pass(0);
  for (const wait of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
    const tried = Socket.all.length;
    Socket.newest.drop();
    clock.pass(wait - 1);
    assert.equal(Socket.all.length, tried);
    clock.pass(1);
    assert.equal(Socket.all.length, tried + 1);
  }
  connected("1");
  Socket.newest.drop();
  const tried = Socket.all.length;
  clock.pass(500);
  assert.equal(Socket.all.length, tried + 1);
});

test("a topic more is a new connection that goes on where the others stand, one fewer is none", () => {
  const alerts = listener("alerts");
  connected("4");
  const first = Socket.newest;
  const { told, stop } = listener("cases");
  clock.pass(0);
  Socket.newest.open();
  assert.equal(first.closed, true);
  assert.deepEqual(Socket.newest.sent, [{ topics: ["alerts", "cases"], last: "4" }]);
  first.say(alert("5"));
  first.drop();
  clock.pass(60_000);
  assert.equal(Socket.all.length, 2);
  assert.deepEqual(alerts.told, []);
  stop();
  clock.pass(0);
  assert.equal(Socket.all.length, 2);
  Socket.newest.say({ id: "6", topic: "cases", message: {} });
  Socket.newest.say(alert("7"));
  assert.deepEqual(told, []);
  assert.deepEqual(alerts.told, [alert("7")]);
});

test("a page that follows another at once takes over its connection", () => {
  const before = listener("alerts");
  connected("1");
  before.stop();
  const after = listener("alerts");
  clock.pass(0);
  assert.equal(Socket.all.length, 1);
  Socket.newest.say(alert("2"));
  assert.deepEqual([before.told, after.told], [[], [alert("2")]]);
});

test("where nobody listens the connection ends, and the next page begins afresh", () => {
  const { stop } = listener("alerts");
  connected("1");
  stop();
  clock.pass(0);
  assert.equal(Socket.newest.closed, true);
  Socket.newest.drop();
  clock.pass(60_000);
  assert.equal(Socket.all.length, 1);
  listener("alerts");
  clock.pass(0);
  Socket.newest.open();
  assert.equal(Socket.newest.sent[0].last, "");
});

test("a refused id is a gap, and the stream begins afresh after fifteen seconds", () => {
  const { told } = listener("alerts");
  connected("of another time");
  Socket.newest.drop(1008, "this is no id of an event");
  const gap = { id: "", topic: "gap", message: { reason: "this is no id of an event", missed: {} } };
  assert.deepEqual(told, [gap]);
  clock.pass(14_999);
  assert.equal(Socket.all.length, 1);
  clock.pass(1);
  Socket.newest.open();
  assert.equal(Socket.newest.sent[0].last, "");
});

test("what came while nothing could be resumed is a gap once the stream begins", () => {
  const { told } = listener("alerts");
  clock.pass(0);
  Socket.newest.drop();
  clock.pass(500);
  assert.deepEqual(told, []);
  connected("5");
  assert.deepEqual(told.map((event) => event.topic), ["gap"]);
  Socket.newest.drop();
  clock.pass(500);
  Socket.newest.open();
  Socket.newest.say({ id: "6", topic: "begin", message: {} });
  assert.equal(told.length, 1);
});

test("a page that begins afresh missed nothing", () => {
  const { stop } = listener("alerts");
  clock.pass(0);
  Socket.newest.drop();
  stop();
  clock.pass(0);
  const { told } = listener("alerts");
  connected("5");
  assert.deepEqual(told, []);
});

test("who wants more while it waits is not made to, and there is one connection after all", () => {
  listener("alerts");
  connected("1");
  Socket.newest.drop();
  listener("cases");
  clock.pass(0);
  assert.equal(Socket.all.length, 2);
  Socket.newest.open();
  clock.pass(60_000);
  assert.equal(Socket.all.length, 2);
});

test("what came while a refused stream waited is a gap too", () => {
  const { told } = listener("alerts");
  connected("of another time");
  Socket.newest.drop(1008, "this is no id of an event");
  clock.pass(15_000);
  connected("5");
  assert.deepEqual(told.map((event) => event.topic), ["gap", "gap"]);
});
