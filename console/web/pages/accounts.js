/** Accounts and seats, for administrators. */

import { get, part, patch, post, put, remove } from "../api.js";
import { fill, h } from "../dom.js";
import { t, time } from "../i18n.js";
import { state } from "../state.js";
import { ask, attempt, card, chip, field, load, select, table } from "../ui.js";

const ROLES = ["viewer", "analyst", "approver", "admin"];

/** @param {HTMLElement} root */
export async function draw(root) {
  const list = h("div", {});
  const seats = h("div", {});
  const again = () => load(list, () => accounts(again));
  const seatsAgain = () => load(seats, () => roles(seatsAgain));
  fill(
    root,
    h("div", { class: "row between" },
      h("h1", {}, t("Accounts")),
      h("button", { class: "primary", onclick: () => void add(again) }, t("Add an account"))),
    list,
    seats,
  );
  await Promise.all([again(), seatsAgain()]);
}

/** @param {string} [value] */
const roleField = (value = "viewer") =>
  field(t("Role"), select(/** @type {[string, string][]} */ (ROLES.map((each) => [each, t(each)])), { name: "role", value }));

/** Entitlements as a form: empty means as the role's seat. @param {any} row */
const entitlements = (row) => [
  field(t("Pages, separated by commas; empty: as the role's seat"), h("input", { name: "pages", value: (row.pages ?? []).join(", ") })),
  field(t("Instruments, such as *.XTAI; empty: as the role's seat"), h("input", { name: "instruments", value: (row.instruments ?? []).join(", ") })),
];

/** @param {string} text */
const words = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);
/** @param {string} text */
const wordsOrNull = (text) => (words(text).length ? words(text) : null);

/** @param {() => Promise<void>} again */
async function accounts(again) {
  const found = await get("/accounts");
  return [
    card(
      "",
      table(
        [
          { heading: t("Name"), cell: (row) => [row.name, row.issuer ? h("span", { class: "muted" }, ` ${row.issuer}`) : null] },
          { heading: t("Role"), cell: (row) => t(row.role) },
          { heading: t("State"), cell: (row) => (row.disabled ? chip("bad", "disabled") : chip("good", "active")) },
          { heading: t("Pages"), cell: (row) => row.pages?.join(", ") ?? t("of the role") },
          { heading: t("Instruments"), cell: (row) => row.instruments?.join(", ") ?? t("of the role") },
          { heading: t("Last call"), cell: (row) => (row.seen ? time(row.seen) : "–") },
          { heading: "", cell: (row) => acts(row, again) },
        ],
        /** @type {any[]} */ (found),
        { caption: t("Accounts") },
      ),
    ),
  ];
}

/** @param {any} row @param {() => Promise<void>} again */
function acts(row, again) {
  const path = `/accounts/${part(row.name)}`;
  const act = async (/** @type {() => Promise<any>} */ work, /** @type {string} */ done) => {
    await attempt(work, done);
    await again();
  };
  return h("div", { class: "row" },
    h("button", { onclick: () => void edit(row, again), "aria-label": t("Edit {name}", { name: row.name }) }, t("Edit")),
    h("button", { onclick: () => void newPassword(row), "aria-label": t("New password for {name}", { name: row.name }) }, t("New password")),
    h("button", { onclick: () => void act(() => remove(`${path}/sessions`), t("The sessions have ended.")) }, t("End sessions")),
    h("button", { onclick: () => void tokens(row), "aria-label": t("API tokens of {name}", { name: row.name }) }, t("API tokens")),
    row.name === state.session?.name
      ? null
      : h("button", { class: row.disabled ? "" : "danger", onclick: () => void act(() => patch(path, { disabled: !row.disabled }), t("Changed.")) },
          row.disabled ? t("Enable") : t("Disable")));
}

/** @param {() => Promise<void>} again */
async function add(again) {
  const wanted = await ask(t("Add an account"), [
    field(t("Name"), h("input", { name: "name", required: true, pattern: "[a-z0-9][a-z0-9._@-]{0,63}", autocomplete: "off" })),
    roleField(),
    ...entitlements({}),
  ]);
  if (!wanted) return;
  const made = await attempt(() => post("/accounts", {
    name: wanted.name,
    role: wanted.role,
    pages: wordsOrNull(wanted.pages),
    instruments: wordsOrNull(wanted.instruments),
  }));
  if (made) await shown(made);
  await again();
}

/** @param {{name: string, password: string}} made */
async function shown(made) {
  await ask(t("Password of {name}", { name: made.name }), [
    h("p", {}, t("Hand it over now: it is not shown again.")),
    field(t("Password"), h("input", { readonly: true, value: made.password })),
  ], t("Done"));
}

/** @param {any} row */
async function newPassword(row) {
  const sure = await ask(t("New password for {name}", { name: row.name }), [h("p", {}, t("Every session and API token of the account ends."))]);
  if (!sure) return;
  const made = await attempt(() => post(`/accounts/${part(row.name)}/password`));
  if (made) await shown(made);
}

/** An account's API tokens, each to be revoked. @param {any} row */
async function tokens(row) {
  const path = `/accounts/${part(row.name)}/tokens`;
  const place = h("div", {});
  const revoke = async (/** @type {any} */ token) => {
    await attempt(() => remove(`${path}/${part(token.id)}`), t("The token is revoked."));
    await again();
  };
  const list = async () => [
    table(
      [
        { heading: t("For"), cell: (token) => token.name },
        { heading: t("Scopes"), cell: (token) => token.scopes.join(", ") },
        { heading: t("Last used"), cell: (token) => (token.used ? time(token.used) : t("never")) },
        { heading: t("Ends"), cell: (token) => (token.ended ? chip("bad", "ended") : time(token.expires)) },
        { heading: "", cell: (token) => h("button", { type: "button", class: "danger", onclick: () => void revoke(token) }, t("Revoke")) },
      ],
      /** @type {any[]} */ (await get(path)),
      { caption: t("API tokens") },
    ),
  ];
  const again = () => load(place, list);
  await Promise.all([again(), ask(t("API tokens of {name}", { name: row.name }), [place], t("Done"))]);
}

/** @param {any} row @param {() => Promise<void>} again */
async function edit(row, again) {
  const wanted = await ask(t("Edit {name}", { name: row.name }), [roleField(row.role), ...entitlements(row)]);
  if (!wanted) return;
  const change = { role: wanted.role, pages: wordsOrNull(wanted.pages), instruments: wordsOrNull(wanted.instruments) };
  await attempt(() => patch(`/accounts/${part(row.name)}`, change), t("Changed."));
  await again();
}

/** @param {() => Promise<void>} again */
async function roles(again) {
  const found = await get("/seats");
  const change = async (/** @type {any} */ row) => {
    const wanted = await ask(t("Seat of the role {role}", { role: t(row.role) }), [
      field(t("Pages"), h("input", { name: "pages", value: row.pages.join(", ") })),
      field(t("Instruments"), h("input", { name: "instruments", value: row.instruments.join(", ") })),
    ]);
    if (!wanted) return;
    const seat = { pages: words(wanted.pages), instruments: words(wanted.instruments) };
    await attempt(() => put(`/seats/${part(row.role)}`, seat), t("Changed."));
    await again();
  };
  return [
    card(
      t("Seats: what each role sees"),
      table(
        [
          { heading: t("Role"), cell: (row) => t(row.role) },
          { heading: t("Pages"), cell: (row) => row.pages.join(", ") },
          { heading: t("Instruments"), cell: (row) => row.instruments.join(", ") },
          { heading: "", cell: (row) => row.role === "admin" ? null
            : h("button", { onclick: () => void change(row), "aria-label": t("Seat of the role {role}", { role: t(row.role) }) }, t("Edit")) },
        ],
        /** @type {any[]} */ (found),
        { caption: t("Seats") },
      ),
    ),
  ];
}
