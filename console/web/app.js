/** The shell: session, navigation, and which page is drawn. */

import { call, get } from "./api.js";
import { fill, h } from "./dom.js";
import { language, LANGUAGES, speak, t } from "./i18n.js";
import { found, PAGES } from "./pages/index.js";
import { may, sees, state } from "./state.js";
import { attempt, select, told } from "./ui.js";

const shell = /** @type {HTMLElement} */ (document.getElementById("shell"));
/** @type {(() => void) | null} */
let end = null;
let drawn = 0;

/** Go to a page of ours. @param {string} path */
export function go(path) {
  history.pushState({}, "", path);
  void draw();
}

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || /** @type {MouseEvent} */ (event).ctrlKey || /** @type {MouseEvent} */ (event).metaKey) return;
  const href = link.getAttribute("href") ?? "";
  if (href.startsWith("/api/") || href.startsWith("/static/") || link.hasAttribute("download")) return;
  event.preventDefault();
  go(href);
});
window.addEventListener("popstate", () => void draw());
window.addEventListener("tapewatch:logged-out", () => {
  state.session = null;
  void draw();
});

/** @param {string} theme light, dark or empty for the system's */
function dress(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  localStorage.setItem("tapewatch.theme", theme);
}

function navigation() {
  const path = location.pathname;
  const wanted = PAGES.filter((each) => each.group && (!each.page || sees(each.page)) && (!each.role || may(each.role)));
  const groups = [...new Set(wanted.map((each) => each.group ?? ""))];
  return h(
    "nav",
    { "aria-label": t("Pages") },
    groups.map((group) =>
      h(
        "div",
        { class: "group" },
        h("h2", {}, t(group)),
        h(
          "ul",
          {},
          wanted
            .filter((each) => each.group === group)
            .map((each) => {
              const here = each.path === "/" ? path === "/" : path.startsWith(each.path);
              return h("li", {}, h("a", { href: each.path, "aria-current": here && "page" }, t(each.title)));
            }),
        ),
      ),
    ),
  );
}

/** @param {HTMLElement} main */
function frame(main) {
  const theme = select(
    [["", t("System")], ["light", t("Light")], ["dark", t("Dark")]],
    {
      "aria-label": t("Theme"),
      value: localStorage.getItem("tapewatch.theme") ?? "",
      onchange: (/** @type {Event} */ event) => dress(/** @type {HTMLSelectElement} */ (event.target).value),
    },
  );
  const tongue = select(Object.entries(LANGUAGES), {
    "aria-label": t("Language"),
    value: language,
    onchange: async (/** @type {Event} */ event) => {
      await speak(/** @type {HTMLSelectElement} */ (event.target).value);
      await draw();
    },
  });
  const menu = h(
    "button",
    { class: "menu quiet", "aria-expanded": "false", "aria-controls": "side", onclick: () => {
      const open = document.body.classList.toggle("menu-open");
      menu.setAttribute("aria-expanded", String(open));
    } },
    t("Menu"),
  );
  fill(
    shell,
    h(
      "header",
      { class: "top" },
      menu,
      h("a", { href: "/", class: "brand" }, h("img", { src: "/static/icon.svg", alt: "", width: "24", height: "24" }), "tapewatch"),
      h("div", { class: "row end" }, theme, tongue,
        h("a", { href: "/profile", class: "who" }, state.session?.name ?? ""),
        h("button", { class: "quiet", onclick: leave }, t("Log out"))),
    ),
    h("div", { class: "frame" }, h("aside", { id: "side" }, navigation()), main),
  );
}

async function leave() {
  await attempt(() => call("DELETE", "/session"));
  state.session = null;
  await draw();
}

/** Draw what the address says. */
async function draw() {
  const mine = ++drawn;
  end?.();
  end = null;
  document.body.classList.remove("menu-open");
  if (!state.session) {
    const login = await import("./pages/login.js");
    if (mine === drawn) end = login.draw(shell, enter) ?? null;
    return;
  }
  const main = h("main", { id: "main", tabindex: "-1" });
  frame(main);
  const place = found(location.pathname);
  document.title = `${place ? t(place.page.title) : t("Not found")} · tapewatch`;
  if (!place || (place.page.page && !sees(place.page.page)) || (place.page.role && !may(place.page.role))) {
    fill(main, h("h1", {}, t("Not found")), h("p", {}, t("There is no such page, or it is not part of your seat.")));
    return;
  }
  try {
    const module = await import(`./pages/${place.page.module}.js`);
    const ending = await module.draw(main, place.parameters);
    if (mine === drawn) end = ending ?? null;
    else ending?.();
  } catch (error) {
    fill(main, h("h1", {}, t(place.page.title)), h("p", { class: "problem", role: "alert" }, told(error)));
  }
}

/** After a login. */
async function enter() {
  state.session = await get("/session");
  await draw();
}

async function begin() {
  dress(localStorage.getItem("tapewatch.theme") ?? "");
  try {
    state.session = await get("/session");
  } catch {
    state.session = null;
  }
  await speak(localStorage.getItem("tapewatch.language") ?? state.session?.language ?? "en");
  await draw();
}

void begin();
