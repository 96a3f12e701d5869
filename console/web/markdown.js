/** The Markdown of model cards as elements: headings, paragraphs, lists, tables, code, links. Text stays text. */

import { h } from "./dom.js";

/** Words with `code`, **strong** and [links](address). @param {string} text @returns {import("./dom.js").Leaf[]} */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).map((word) => {
    if (word.startsWith("`") && word.length > 1) return h("code", {}, word.slice(1, -1));
    if (word.startsWith("**") && word.length > 4) return h("strong", {}, word.slice(2, -2));
    const link = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(word);
    if (!link) return word;
    // Cards link to each other within docs/, which the console does not serve.
    return link[2].startsWith("https://") ? h("a", { href: link[2], rel: "noopener noreferrer", target: "_blank" }, link[1]) : link[1];
  });
}

/** @param {string} line */
const cells = (line) => line.replace(/^\||\|$/g, "").split("|").map((each) => each.trim());

/** @param {string[]} lines of a table */
function tableOf(lines) {
  const head = cells(lines[0]);
  const named = head.some(Boolean);
  return h("div", { class: "table", tabindex: "0", role: "region", "aria-label": named ? head.join(", ") : "" },
    h("table", {},
      named ? h("thead", {}, h("tr", {}, head.map((each) => h("th", { scope: "col" }, inline(each))))) : null,
      h("tbody", {}, lines.slice(2).map((line) => h("tr", {}, cells(line).map((each) => h("td", {}, inline(each))))))));
}

/**
 * @param {string} text
 * @param {number} [top] level of the first heading
 * @returns {HTMLElement[]}
 */
export function markdown(text, top = 2) {
  /** @type {HTMLElement[]} */
  const made = [];
  for (const block of text.trim().split(/\n{2,}/)) {
    const lines = block.split("\n");
    const heading = /^(#+) (.*)$/.exec(lines[0]);
    if (heading) {
      made.push(h(`h${Math.min(heading[1].length - 1 + top, 6)}`, {}, inline(heading[2])));
      lines.shift();
    }
    if (!lines.length) continue;
    if (lines[0].startsWith("|")) made.push(tableOf(lines));
    else if (/^[-*] /.test(lines[0])) made.push(h("ul", {}, lines.join("\n").split(/^[-*] /m).filter(Boolean).map((each) => h("li", {}, inline(each)))));
    else if (lines[0].startsWith("```")) made.push(h("pre", { tabindex: "0" }, lines.slice(1, -1).join("\n")));
    else made.push(h("p", {}, inline(lines.join(" "))));
  }
  return made;
}
