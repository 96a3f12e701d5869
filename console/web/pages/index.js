/** Every page: its path, the module that draws it, and where it stands in the navigation. */

/**
 * @typedef {{path: string, module: string, title: string, group?: string, page?: string,
 *   role?: "viewer"|"analyst"|"approver"|"admin"}} Page
 * path: ":name" stands for a part; group: of the navigation, none for a page that is reached from others;
 * page: the entitlement; a module exports `draw(root, parameters)`, which may give a function that ends it
 */

/** @type {Page[]} */
export const PAGES = [
  { path: "/", module: "tape", title: "Tape", group: "Market", page: "tape" },
  { path: "/instruments/:id", module: "instrument", title: "Instrument", page: "instrument" },
  { path: "/alerts", module: "alerts", title: "Alerts", group: "Surveillance", page: "alerts" },
  { path: "/alerts/:id", module: "alert", title: "Alert", page: "alerts" },
  { path: "/cases", module: "cases", title: "Cases", group: "Surveillance", page: "cases" },
  { path: "/cases/:id", module: "case", title: "Case", page: "cases" },
  { path: "/suppressions", module: "suppressions", title: "Suppressions", group: "Surveillance", page: "cases" },
  { path: "/coverage", module: "coverage", title: "Coverage", group: "Surveillance", page: "coverage" },
  { path: "/labels", module: "labels", title: "Labels", group: "Surveillance", page: "labels" },
  { path: "/stor", module: "stor", title: "Reports", group: "Surveillance", page: "cases", role: "analyst" },
  { path: "/stor/:id", module: "stor", title: "Suspicious transaction report", page: "cases" },
  { path: "/signals", module: "signals", title: "Signals", group: "Market", page: "signals" },
  { path: "/track", module: "track", title: "Track record", group: "Market", page: "signals" },
  { path: "/coins", module: "coins", title: "Coins", group: "Market", page: "signals" },
  { path: "/models", module: "models", title: "Models", group: "System", page: "models" },
  { path: "/health", module: "health", title: "Health", group: "System", page: "health" },
  { path: "/proposals", module: "proposals", title: "Proposals", group: "System", page: "proposals", role: "analyst" },
  { path: "/subscriptions", module: "subscriptions", title: "Subscriptions", group: "System", page: "subscriptions", role: "analyst" },
  { path: "/audit", module: "audit", title: "Audit", group: "System", page: "audit", role: "approver" },
  { path: "/accounts", module: "accounts", title: "Accounts", group: "System", role: "admin" },
  { path: "/profile", module: "profile", title: "Profile" },
];

/**
 * The page of a path with its parameters; null where there is none.
 * @param {string} path
 * @returns {{page: Page, parameters: Record<string, string>} | null}
 */
export function found(path) {
  const parts = path.split("/");
  for (const page of PAGES) {
    const pattern = page.path.split("/");
    if (pattern.length !== parts.length) continue;
    /** @type {Record<string, string>} */
    const parameters = {};
    const fits = pattern.every((each, place) => {
      if (!each.startsWith(":")) return each === parts[place];
      parameters[each.slice(1)] = decodeURIComponent(parts[place]);
      return true;
    });
    if (fits) return { page, parameters };
  }
  return null;
}
