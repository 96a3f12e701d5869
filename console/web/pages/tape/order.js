/** Which instruments the tape shows, and in what order. */

/** @typedef {import("../../live/tape.js").Tape} Tape */

/** Places of the instruments whose names hold some letters. @param {Tape} tape @param {string} letters */
export function chosen(tape, letters) {
  const wanted = letters.trim().toUpperCase();
  const found = [];
  for (let i = 0; i < tape.names.length; i++) if (!wanted || tape.names[i].includes(wanted)) found.push(i);
  return Uint32Array.from(found);
}

/**
 * Sort places by a column. Gives false where the tape does not have that column yet.
 * @param {Uint32Array} order places, sorted in place
 * @param {Tape} tape
 * @param {{key: string, down: boolean}} sort
 */
export function arrange(order, tape, { key, down }) {
  const sign = down ? -1 : 1;
  const { names } = tape;
  if (key === "name") {
    order.sort((a, b) => (names[a] < names[b] ? -sign : sign));
    return true;
  }
  const column = tape.columns[key];
  if (!column) return false;
  const severity = tape.columns.severity;
  const values = key === "alerts" ? Float64Array.from(column, (count, i) => count + 1000 * severity[i]) : column;
  // What is not known stands last, whichever way.
  order.sort((a, b) => {
    const [x, y] = [values[a], values[b]];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || (names[a] < names[b] ? -1 : 1);
    return sign * (x - y) || (names[a] < names[b] ? -1 : 1);
  });
  return true;
}
