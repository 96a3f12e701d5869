/** One's own account: language, password, open sessions, API tokens. */

import { get, part, post, put, remove } from "../api.js";
import { fill, h } from "../dom.js";
import { language, LANGUAGES, speak, t, time } from "../i18n.js";
import { may, state } from "../state.js";
import { ask, attempt, card, chip, field, load, select, table, toast } from "../ui.js";

/** @param {HTMLElement} root */
export async function draw(root) {
  const sessions = h("div", {});
  const tokens = h("div", {});
  fill(root, h("h1", {}, t("Profile")), h("div", { class: "grid" }, about(), password()), sessions, tokens);
  await Promise.all([load(sessions, () => openSessions(sessions)), load(tokens, () => ownTokens(tokens))]);
}

function about() {
  const tongue = select(Object.entries(LANGUAGES), {
    value: language,
    onchange: async (/** @type {Event} */ event) => {
      const wanted = /** @type {HTMLSelectElement} */ (event.target).value;
      await attempt(() => put("/session/preferences", { language: wanted }));
      await speak(wanted);
      location.reload();
    },
  });
  return card(
    t("Account"),
    h("dl", { class: "facts" },
      h("dt", {}, t("Name")), h("dd", {}, state.session?.name ?? ""),
      h("dt", {}, t("Role")), h("dd", {}, t(state.session?.role ?? "")),
      h("dt", {}, t("Pages")), h("dd", {}, (state.session?.pages ?? []).join(", ")),
      h("dt", {}, t("Instruments")), h("dd", {}, (state.session?.instruments ?? []).join(", "))),
    field(t("Language"), tongue),
  );
}

function password() {
  const form = /** @type {HTMLFormElement} */ (
    h("form", {},
      h("input", { type: "text", name: "username", autocomplete: "username", value: state.session?.name ?? "", hidden: true, tabindex: "-1" }),
      field(t("Password now"), h("input", { type: "password", name: "old", autocomplete: "current-password", required: true })),
      field(t("New password, 12 characters at least"),
        h("input", { type: "password", name: "new", autocomplete: "new-password", required: true, minlength: 12, maxlength: 256 })),
      h("button", { type: "submit" }, t("Change password")))
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const done = await attempt(() => put("/session/password", { old: data.get("old"), new: data.get("new") }));
    if (!done) return;
    toast(t("The password is changed. Log in again."), "good");
    window.dispatchEvent(new Event("tapewatch:logged-out"));
  });
  return card(t("Password"), form);
}

/** @param {HTMLElement} place */
async function openSessions(place) {
  const found = await get("/sessions");
  const end = async (/** @type {any} */ row) => {
    await attempt(() => remove(`/sessions/${part(row.id)}`), t("The session has ended."));
    await load(place, () => openSessions(place));
  };
  return [
    card(
      t("Open sessions"),
      table(
        [
          { heading: t("Begun"), cell: (row) => time(row.created) },
          { heading: t("Last call"), cell: (row) => time(row.seen) },
          { heading: t("Address"), cell: (row) => row.address },
          { heading: t("Browser"), cell: (row) => row.agent },
          { heading: "", cell: (row) => (row.own ? t("this one") : h("button", { class: "danger", onclick: () => void end(row) }, t("End"))) },
        ],
        /** @type {any[]} */ (found),
        { caption: t("Open sessions") },
      ),
    ),
  ];
}

/** @param {HTMLElement} place */
async function ownTokens(place) {
  const found = await get("/tokens");
  const again = () => load(place, () => ownTokens(place));
  const revoke = async (/** @type {any} */ row) => {
    await attempt(() => remove(`/tokens/${part(row.id)}`), t("The token is revoked."));
    await again();
  };
  return [
    card(
      t("API tokens"),
      h("p", { class: "muted" }, t("For programs that speak in your name. A token is shown once, when it is made.")),
      h("p", {}, h("button", { onclick: () => void make(again) }, t("Make a token"))),
      table(
        [
          { heading: t("For"), cell: (row) => row.name },
          { heading: t("Scopes"), cell: (row) => row.scopes.join(", ") },
          { heading: t("Last used"), cell: (row) => (row.used ? time(row.used) : t("never")) },
          { heading: t("Ends"), cell: (row) => (row.ended ? chip("bad", "ended") : time(row.expires)) },
          { heading: "", cell: (row) => h("button", { class: "danger", onclick: () => void revoke(row) }, t("Revoke")) },
        ],
        /** @type {any[]} */ (found),
        { caption: t("API tokens") },
      ),
    ),
  ];
}

/** @param {() => Promise<void>} again */
async function make(again) {
  const choices = [["read", t("read")], ["read,write", t("read and write")]];
  if (may("admin")) choices.push(["read,write,admin", t("everything, accounts too")]);
  const wanted = await ask(t("Make a token"), [
    field(t("What for"), h("input", { name: "name", required: true, maxlength: 80 })),
    field(t("Scopes"), select(/** @type {[string, string][]} */ (choices), { name: "scopes" })),
    field(t("Days"), h("input", { name: "days", type: "number", min: 1, max: 366, value: "90", required: true })),
    field(t("Password now"), h("input", { name: "password", type: "password", autocomplete: "current-password" })),
  ]);
  if (!wanted) return;
  const made = await attempt(() =>
    post("/tokens", {
      name: wanted.name,
      scopes: wanted.scopes.split(","),
      days: Number(wanted.days),
      password: wanted.password,
    }));
  if (!made) return;
  await ask(t("Your token"), [
    h("p", {}, t("Copy it now: it is not shown again.")),
    field(t("Token"), h("input", { readonly: true, value: made.token })),
  ], t("Done"));
  await again();
}
