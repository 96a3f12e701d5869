/** The heat map's arithmetic: the colour of a quantity, the marks of its axes. */

/** The colour of a share, 0 to 1. @param {number[][]} scale @param {number} share */
export function coloured(scale, share) {
  const at = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const under = Math.min(Math.floor(at), scale.length - 2);
  const part = at - under;
  return scale[under].map((each, i) => Math.round(each + (scale[under + 1][i] - each) * part));
}

/** How much of the colours' way a quantity goes: logarithmic, 1 for the largest. @param {number} most the largest */
export function shares(most) {
  const top = Math.log1p(most) || 1;
  return (/** @type {number} */ quantity) => Math.log1p(quantity) / top;
}

/** Prices to mark, from the lowest edge to the highest. @param {{low: number, step: number, rows: number}} grid @param {number} tall pixels */
export function priceMarks({ low, step, rows }, tall) {
  const lines = Math.max(2, Math.floor(tall / 48));
  return Array.from({ length: lines + 1 }, (_, i) => low + (step * rows * i) / lines);
}

/** Decimals of a price that is marked, enough to tell rows apart. @param {number} step between rows */
export const priceDigits = (step) => (step < 0.01 ? Math.max(6, Math.ceil(-Math.log10(step))) : step < 1 ? 3 : 1);

/** Columns whose times to mark, from the first to the last. @param {number} columns @param {number} wide pixels */
export function timeMarks(columns, wide) {
  const marks = Math.max(2, Math.floor(wide / 120));
  return Array.from({ length: marks + 1 }, (_, i) => Math.min(Math.round((columns * i) / marks), columns - 1));
}
