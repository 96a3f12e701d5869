/** The tape's connection: decodes frames into typed arrays, comes back by itself, rests while the page is hidden. */

/**
 * @typedef {{names: string[], index: Map<string, number>, actions: string[], severities: string[],
 *   since: string, columns: Record<string, Float64Array | Float32Array | Uint8Array>}} Tape
 *   columns: last, volume, bid, ask, time (ms), change, score, action, alerts, severity; NaN: not known
 */

const KINDS = /** @type {const} */ ({ f8: Float64Array, f4: Float32Array, u1: Uint8Array });

/**
 * Watch the tape. `on` is called with the tape and the instruments (by number) that moved; `added` whether there are more.
 * @param {(tape: Tape, moved: Uint32Array, added: boolean) => void} on
 * @param {string} [instrument] this one alone
 * @param {(connected: boolean) => void} [told] whether the connection stands
 * @returns {() => void} ends it
 */
export function watchTape(on, instrument = "", told = () => {}) {
  /** @type {Tape} */
  const tape = { names: [], index: new Map(), actions: [], severities: [], since: "", columns: {} };
  /** The numbers of this connection's head, as places in the tape: a new connection may number anew. @type {number[]} */
  let places = [];
  /** @type {[string, keyof typeof KINDS][]} */
  let layout = [];
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let wait = 500;
  let ended = false;

  /** @param {any} head */
  function takeHead(head) {
    layout = head.columns;
    Object.assign(tape, { actions: head.actions, severities: head.severities, since: head.change_since });
    if (head.first === 0) places = [];
    for (const name of head.instruments) {
      const known = tape.index.get(name) ?? tape.names.length;
      if (known === tape.names.length) {
        tape.names.push(name);
        tape.index.set(name, known);
      }
      places.push(known);
    }
    grow();
    on(tape, new Uint32Array(0), true);
  }

  function grow() {
    const size = tape.names.length;
    for (const [name, kind] of layout) {
      const old = tape.columns[name];
      if (old && old.length >= size) continue;
      const grown = new KINDS[kind](Math.max(size, 2 * (old?.length ?? 0)));
      if (kind !== "u1") grown.fill(NaN);
      if (old) grown.set(old);
      tape.columns[name] = grown;
    }
  }

  /** @param {ArrayBuffer} data */
  function takeFrame(data) {
    const view = new DataView(data);
    if (view.getUint32(0, true) !== 1) return;
    const rows = view.getUint32(4, true);
    const numbers = new Uint32Array(data, 16, rows);
    const moved = new Uint32Array(rows);
    for (let row = 0; row < rows; row++) moved[row] = places[numbers[row]];
    let at = 16 + 4 * (rows + (rows % 2));
    for (const [name, kind] of layout) {
      const column = new KINDS[kind](data, at, rows);
      const to = tape.columns[name];
      for (let row = 0; row < rows; row++) to[moved[row]] = column[row];
      at += column.byteLength;
    }
    on(tape, moved, false);
  }

  function connect() {
    clearTimeout(timer);
    if (ended || document.hidden || socket) return;
    const query = instrument ? `?instrument=${encodeURIComponent(instrument)}` : "";
    const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live/tape${query}`);
    mine.binaryType = "arraybuffer";
    socket = mine;
    mine.addEventListener("message", (event) => {
      wait = 500;
      if (typeof event.data === "string") takeHead(JSON.parse(event.data));
      else takeFrame(event.data);
    });
    mine.addEventListener("open", () => told(true));
    mine.addEventListener("close", () => {
      if (mine !== socket) return;
      socket = null;
      told(false);
      timer = setTimeout(connect, wait);
      wait = Math.min(wait * 2, 15000);
    });
  }

  function shown() {
    if (!document.hidden) connect();
    else {
      // A page that nobody sees need not be kept up to date: it begins afresh when it is shown.
      const old = socket;
      socket = null;
      clearTimeout(timer);
      old?.close();
    }
  }

  document.addEventListener("visibilitychange", shown);
  connect();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", shown);
    const old = socket;
    socket = null;
    old?.close();
  };
}
