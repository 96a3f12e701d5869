/** Logging in: with name and password, or at the operator's identity provider where there is one. */

import { get, post } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { field, told } from "../ui.js";

/**
 * @param {HTMLElement} root
 * @param {() => Promise<void>} enter called after a login
 */
export function draw(root, enter) {
  const problem = h("p", { class: "problem", role: "alert" });
  const elsewhere = h("div", {});
  const form = /** @type {HTMLFormElement} */ (
    h(
      "form",
      { class: "card" },
      field(t("Name"), h("input", { name: "name", autocomplete: "username", required: true, autofocus: true })),
      field(
        t("Password"),
        h("input", { name: "password", type: "password", autocomplete: "current-password", required: true }),
      ),
      problem,
      h("button", { class: "primary", type: "submit" }, t("Log in")),
      elsewhere,
    )
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const data = new FormData(form);
    try {
      await post("/session", { name: data.get("name"), password: data.get("password") });
      await enter();
    } catch (error) {
      problem.textContent = told(error);
    }
  });
  const back = new URLSearchParams(location.search).get("login");
  if (back === "refused") problem.textContent = t("The identity provider's answer was not taken. Try again.");
  if (back === "norole") problem.textContent = t("Your account there has no role here. Ask an administrator.");
  document.title = `${t("Log in")} · tapewatch`;
  fill(root, h("main", { class: "login", id: "main" }, h("h1", {}, "tapewatch"), form));
  void get("/session/providers")
    .then((answer) => {
      if (answer.oidc) {
        fill(elsewhere, h("p", {}, h("a", { class: "button", href: "/api/v1/oidc/login", download: true }, answer.oidc)));
      }
    })
    .catch(() => {});
}
