/** What the whole page knows: the session. */

/**
 * @typedef {{name: string, role: "viewer"|"analyst"|"approver"|"admin", csrf: string, pages: string[],
 *   instruments: string[], language: string}} Session
 */

/** @type {{session: Session | null}} */
export const state = { session: null };

const RANK = { viewer: 1, analyst: 2, approver: 3, admin: 4 };

/**
 * Whether the account may do what a role may.
 * @param {keyof typeof RANK} role
 */
export function may(role) {
  return state.session !== null && RANK[state.session.role] >= RANK[role];
}

/** Whether a page is part of the account's seat. @param {string} page */
export function sees(page) {
  return state.session !== null && (state.session.pages.includes("*") || state.session.pages.includes(page));
}
