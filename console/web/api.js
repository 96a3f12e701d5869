/** The HTTP API: every call with the session's cookie, and with the CSRF proof where it changes something. */

import { state } from "./state.js";

export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} reason
   * @param {string} next
   */
  constructor(status, reason, next) {
    super(reason);
    this.status = status;
    this.next = next;
  }
}

/**
 * Call an operation. Paths are below /api/v1; parameters with null or "" are left out.
 * @param {string} method
 * @param {string} path
 * @param {{query?: Record<string, any>, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, { query = {}, body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = state.session?.csrf ?? "";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(address(path, query), {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    signal,
  });
  const answer = response.headers.get("Content-Type")?.startsWith("application/json")
    ? await response.json()
    : await response.text();
  if (!response.ok) {
    if (response.status === 401 && path !== "/session") window.dispatchEvent(new Event("tapewatch:logged-out"));
    throw new ApiError(response.status, answer?.error ?? `HTTP ${response.status}`, answer?.next ?? "");
  }
  return answer;
}

/**
 * The address of an operation, for links, event streams and downloads.
 * @param {string} path
 * @param {Record<string, any>} [query]
 */
export function address(path, query = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    for (const each of Array.isArray(value) ? value : [value]) words.append(name, String(each));
  }
  const text = words.toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] */
export const get = (path, query, signal) => call("GET", path, { query, signal });
/** @param {string} path @param {any} [body] */
export const post = (path, body = {}) => call("POST", path, { body });
/** @param {string} path @param {any} [body] */
export const put = (path, body = {}) => call("PUT", path, { body });
/** @param {string} path @param {any} [body] */
export const patch = (path, body = {}) => call("PATCH", path, { body });
/** @param {string} path */
export const remove = (path) => call("DELETE", path);
/** A path's part, escaped. @param {string} text */
export const part = (text) => encodeURIComponent(text);
