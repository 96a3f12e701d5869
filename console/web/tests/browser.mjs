/** What the pages ask of a browser, by hand: storage, an address, sockets that a test answers, a clock that it moves. */

import { readFile } from "node:fs/promises";

process.env.TZ = "Europe/Berlin";

/** Timers that go off when the test lets time pass, and the moment that the pages take for now. */
export class Clock {
  /** @param {string} now RFC 3339 */
  constructor(now = "2026-03-29T10:00:00Z") {
    this.now = Date.parse(now);
    this.timers = new Map();
    this.made = 0;
    const clock = this;
    globalThis.Date = class extends RealDate {
      constructor(...words) {
        super(...(words.length ? words : [clock.now]));
      }
      static now = () => clock.now;
    };
    globalThis.setTimeout = (act, wait = 0) => {
      this.timers.set(++this.made, { at: this.now + wait, act });
      return this.made;
    };
    globalThis.clearTimeout = (timer) => void this.timers.delete(timer);
  }

  /** Let time pass. @param {number} ms */
  pass(ms) {
    const until = this.now + ms;
    for (;;) {
      const [timer, next] = [...this.timers].sort(([, one], [, other]) => one.at - other.at)[0] ?? [];
      if (!next || next.at > until) break;
      this.timers.delete(timer);
      this.now = next.at;
      next.act();
    }
    this.now = until;
  }
}

const RealDate = Date;

/** The server's end of the WebSockets that the pages open. */
export class Socket extends EventTarget {
  /** @type {Socket[]} */
  static all = [];

  /** @param {string} address */
  constructor(address) {
    super();
    this.address = address;
    this.sent = [];
    this.closed = false;
    Socket.all.push(this);
  }

  static get newest() {
    return Socket.all.at(-1);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** The connection stands. */
  open() {
    this.dispatchEvent(new Event("open"));
  }

  /** The server says something: bytes, or a document. */
  say(data) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: data instanceof ArrayBuffer ? data : JSON.stringify(data) }));
  }

  /** The connection ends from the other side. @param {number} code */
  drop(code = 1006, reason = "") {
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}

/** A browser with nothing stored, at an address. @param {string} address */
export function browse(address = "https://console.example/alerts") {
  const stored = new Map();
  const at = new URL(address);
  Socket.all = [];
  Object.assign(globalThis, {
    WebSocket: Socket,
    location: at,
    document: Object.assign(new EventTarget(), { hidden: false, documentElement: { lang: "" } }),
    localStorage: { getItem: (name) => stored.get(name) ?? null, setItem: (name, value) => void stored.set(name, value) },
    history: { state: null, replaceState: (_state, _title, next) => (at.href = new URL(next, at).href) },
    fetch: async (path) => new Response(await readFile(new URL(path.replace("/static/", "../"), import.meta.url))),
  });
}
