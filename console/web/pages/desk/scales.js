/** Scales of drawings: values and moments as pixels, the values at a scale's ends, marks of time, lines with holes. */

/** Moments as pixels. @param {{start: number, end: number}} span ms @param {number} wide pixels */
export const across = ({ start, end }, wide) => (/** @type {number} */ at) => ((at - start) / (end - start)) * wide;

/** A scale from values to pixels, with the values at its ends. @param {number[]} values @param {number} top @param {number} tall */
export function scale(values, top, tall) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const span = high - low || Math.abs(high) || 1;
  return { low, high, y: (/** @type {number} */ figure) => top + tall - ((figure - low) / span) * tall };
}

/** Moments to mark, whole tens of seconds apart, about one for 110 pixels. @param {{start: number, end: number}} span ms @param {number} wide pixels */
export function marks({ start, end }, wide) {
  const count = Math.max(2, Math.floor(wide / 110));
  const step = Math.ceil((end - start) / count / 10_000) * 10_000;
  const found = [];
  for (let at = Math.ceil(start / step) * step; at < end; at += step) found.push(at);
  return found;
}

/**
 * A line as the path of an SVG; it breaks where a value is not known.
 * @param {{t: number[], value: (number | null)[]}} points
 * @param {(at: number) => number} x
 * @param {(figure: number) => number} y
 */
export function broken({ t, value }, x, y) {
  let path = "";
  let on = false;
  t.forEach((at, index) => {
    const figure = value[index];
    if (figure !== null) path += `${on ? "L" : "M"}${x(at).toFixed(1)},${y(figure).toFixed(1)}`;
    on = figure !== null;
  });
  return path;
}
