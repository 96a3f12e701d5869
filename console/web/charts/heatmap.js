/** The book as a heat map: price over time, the quantity waiting there as colour, best bid and ask as lines. */

import { h } from "../dom.js";
import { language, number, price, t } from "../i18n.js";
import { coloured, priceDigits, priceMarks, shares, timeMarks } from "./heat.js";
import { colours, onTheme, styled } from "./theme.js";

/**
 * @typedef {{t: number[], low: number, step: number, rows: number, quantity: number[], bid: (number | null)[],
 *   ask: (number | null)[], most: number}} Grid t: begin of each column, ms; quantity: column after column, lowest price
 *   first; low: lower edge of the lowest row; most: largest quantity
 */

const SCALES = {
  light: [[247, 249, 252], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 48, 107]],
  dark: [[21, 28, 38], [59, 35, 92], [151, 44, 108], [232, 92, 65], [252, 222, 122]],
};
const MARGIN = { left: 8, right: 76, top: 30, bottom: 24 };

/** Whether the shown theme is dark, by its ground. */
function isDark() {
  const c = colours().surface;
  return parseInt(c.slice(1, 3), 16) + parseInt(c.slice(3, 5), 16) + parseInt(c.slice(5, 7), 16) < 384;
}

/**
 * A canvas that `set` fills. A click, or the arrow keys, choose a time.
 * @param {HTMLElement} root
 * @param {{height?: number, label: string, onpick?: (t: number) => void}} options onpick: with the chosen time, ms
 */
export function heatMap(root, { height = 300, label, onpick }) {
  styled("/static/charts/charts.css");
  const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { role: onpick ? "slider" : "img", "aria-label": label, tabindex: onpick ? "0" : null }));
  const read = h("p", { class: "muted heat-read" }, "");
  root.append(h("div", { class: "chart" }, canvas), read);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = document.createElement("canvas");
  /** @type {Grid | null} */
  let grid = null;
  /** @type {number | null} */
  let cursor = null;
  let width = 0;

  const inner = () => ({ w: Math.max(width - MARGIN.left - MARGIN.right, 1), h: height - MARGIN.top - MARGIN.bottom });
  /** @param {Grid} g @param {number} column */
  const x = (g, column) => MARGIN.left + (column / g.t.length) * inner().w;
  /** @param {Grid} g @param {number} value */
  const y = (g, value) => MARGIN.top + inner().h * (1 - (value - g.low) / (g.step * g.rows));

  /** Paint the cells once; drawing then only scales them. @param {Grid} g */
  function paint(g) {
    const scale = SCALES[isDark() ? "dark" : "light"];
    image.width = g.t.length;
    image.height = g.rows;
    const to = /** @type {CanvasRenderingContext2D} */ (image.getContext("2d"));
    const pixels = to.createImageData(g.t.length, g.rows);
    const share = shares(g.most);
    for (let column = 0; column < g.t.length; column++) {
      for (let row = 0; row < g.rows; row++) {
        const [red, green, blue] = coloured(scale, share(g.quantity[column * g.rows + row]));
        pixels.data.set([red, green, blue, 255], 4 * ((g.rows - 1 - row) * g.t.length + column));
      }
    }
    to.putImageData(pixels, 0, 0);
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    width = root.clientWidth || 600;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const c = colours();
    pen.fillStyle = c.surface;
    pen.fillRect(0, 0, width, height);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    if (!grid || !grid.t.length) {
      pen.fillStyle = c.muted;
      pen.fillText(t("No books in this time."), MARGIN.left, MARGIN.top);
      return;
    }
    pen.imageSmoothingEnabled = false;
    pen.drawImage(image, MARGIN.left, MARGIN.top, inner().w, inner().h);
    touch(grid, grid.bid, c.up);
    touch(grid, grid.ask, c.down);
    axes(grid, c);
    legend(grid, c);
    if (cursor !== null) {
      const span = grid.t.length > 1 ? grid.t[1] - grid.t[0] : 1;
      const place = x(grid, (cursor - grid.t[0]) / span);
      pen.strokeStyle = c.text;
      pen.lineWidth = 1;
      pen.strokeRect(place, MARGIN.top, 0.5, inner().h);
    }
  }

  /** A best price as a stepped line. @param {Grid} g @param {(number | null)[]} prices @param {string} colour */
  function touch(g, prices, colour) {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    let on = false;
    prices.forEach((value, column) => {
      if (value === null) {
        on = false;
        return;
      }
      const at = y(g, value);
      if (on) pen.lineTo(x(g, column), at);
      else pen.moveTo(x(g, column), at);
      pen.lineTo(x(g, column + 1), at);
      on = true;
    });
    pen.stroke();
  }

  /** @param {Grid} g @param {ReturnType<typeof colours>} c */
  function axes(g, c) {
    pen.fillStyle = c.text;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const value of priceMarks(g, inner().h)) {
      pen.fillText(number(value, priceDigits(g.step)), width - MARGIN.right + 6, y(g, value));
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const column of timeMarks(g.t.length, inner().w)) {
      const at = Math.min(Math.max(x(g, column), 30), width - 30);
      pen.fillText(new Date(g.t[column]).toLocaleTimeString(language, { hourCycle: "h23" }), at, height - MARGIN.bottom + 6);
    }
  }

  /** @param {Grid} g @param {ReturnType<typeof colours>} c */
  function legend(g, c) {
    const scale = SCALES[isDark() ? "dark" : "light"];
    const bar = 120;
    const ground = pen.createLinearGradient(MARGIN.left, 0, MARGIN.left + bar, 0);
    scale.forEach((each, i) => ground.addColorStop(i / (scale.length - 1), `rgb(${each.join(" ")})`));
    pen.fillStyle = ground;
    pen.fillRect(MARGIN.left, 8, bar, 10);
    pen.strokeStyle = c.line;
    pen.lineWidth = 1;
    pen.strokeRect(MARGIN.left, 8, bar, 10);
    pen.fillStyle = c.text;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(t("quantity, 0 to {most} (logarithmic)", { most: number(g.most, 4) }), MARGIN.left + bar + 8, 13);
  }

  /** The column below a pointer. @param {MouseEvent} event */
  function column(event) {
    if (!grid?.t.length) return null;
    const share = (event.clientX - canvas.getBoundingClientRect().left - MARGIN.left) / inner().w;
    return share < 0 || share >= 1 ? null : Math.floor(share * grid.t.length);
  }

  canvas.addEventListener("mousemove", (event) => {
    const at = column(event);
    const share = 1 - (event.clientY - canvas.getBoundingClientRect().top - MARGIN.top) / inner().h;
    if (at === null || !grid || share < 0 || share >= 1) return;
    const row = Math.floor(share * grid.rows);
    read.textContent = `${new Date(grid.t[at]).toLocaleTimeString(language, { hourCycle: "h23" })} · ${price(grid.low + grid.step * (row + 0.5))} · ${number(grid.quantity[at * grid.rows + row], 6)}`;
  });
  canvas.addEventListener("click", (event) => {
    const at = column(event);
    if (at !== null && grid) onpick?.(grid.t[at]);
  });
  canvas.addEventListener("keydown", (event) => {
    const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!move || !grid?.t.length || !onpick) return;
    event.preventDefault();
    const span = grid.t.length > 1 ? grid.t[1] - grid.t[0] : 1;
    const here = cursor === null ? 0 : Math.round((cursor - grid.t[0]) / span);
    onpick(grid.t[Math.min(Math.max(here + move, 0), grid.t.length - 1)]);
  });
  /** Tell screen readers where the cursor stands. */
  function tell() {
    if (!onpick || !grid?.t.length) return;
    const at = cursor ?? grid.t[0];
    canvas.setAttribute("aria-valuemin", String(grid.t[0]));
    canvas.setAttribute("aria-valuemax", String(grid.t[grid.t.length - 1]));
    canvas.setAttribute("aria-valuenow", String(at));
    canvas.setAttribute("aria-valuetext", new Date(at).toLocaleTimeString(language, { hourCycle: "h23" }));
  }

  const sized = new ResizeObserver(() => root.clientWidth !== width && draw());
  sized.observe(root);
  const ended = onTheme(() => {
    if (grid) paint(grid);
    draw();
  });

  return {
    /** @param {Grid | null} next */
    set(next) {
      grid = next;
      if (grid?.t.length) paint(grid);
      draw();
      tell();
    },
    /** Mark a time, or none. @param {number | null} at ms */
    cursor(at) {
      cursor = at;
      draw();
      tell();
    },
    remove() {
      sized.disconnect();
      ended();
    },
  };
}
