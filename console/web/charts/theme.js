/** Colours of charts: the tokens of style.css, and word of when they change. */

const TOKENS = /** @type {const} */ ([
  "surface", "raised", "line", "text", "muted", "accent", "up", "down", "low", "medium", "high", "critical", "warn",
]);

/** The tokens as colours of the theme that is shown now. @returns {Record<typeof TOKENS[number], string>} */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const found = /** @type {Record<string, string>} */ ({});
  for (const name of TOKENS) found[name] = style.getPropertyValue(`--${name}`).trim() || "#888888";
  return /** @type {any} */ (found);
}

/** A colour of six hex digits with an opacity. @param {string} colour @param {number} opacity 0 to 1 */
export function faded(colour, opacity) {
  return colour + Math.round(opacity * 255).toString(16).padStart(2, "0");
}

/**
 * Call `dress` whenever the theme changes. Gives a function that ends it.
 * @param {() => void} dress
 */
export function onTheme(dress) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(dress);
  chosen.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  system.addEventListener("change", dress);
  return () => {
    chosen.disconnect();
    system.removeEventListener("change", dress);
  };
}

/** Link a style sheet of the console once. @param {string} address such as /static/charts/charts.css */
export function styled(address) {
  if (document.head.querySelector(`link[href="${address}"]`)) return;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = address;
  document.head.append(link);
}
