/** Filters that live in the page's address, so that a queue can be bookmarked, shared and gone back to. */

/**
 * The filters in the address; what it lacks is as given.
 * @template {Record<string, string | string[]>} T
 * @param {T} usual
 * @returns {T}
 */
export function filters(usual) {
  const words = new URLSearchParams(location.search);
  /** @type {Record<string, string | string[]>} */
  const found = {};
  for (const [name, value] of Object.entries(usual)) {
    if (!words.has(name)) found[name] = value;
    else found[name] = Array.isArray(value) ? words.getAll(name).filter(Boolean) : (words.get(name) ?? "");
  }
  return /** @type {T} */ (found);
}

/**
 * Put filters into the address, without those that are as usual.
 * @param {Record<string, string | string[]>} chosen
 * @param {Record<string, string | string[]>} usual
 */
export function keep(chosen, usual) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(chosen)) {
    if (String(value) === String(usual[name])) continue;
    const values = Array.isArray(value) ? value : [value];
    for (const each of values.length ? values : [""]) words.append(name, each);
  }
  const text = words.toString();
  history.replaceState(history.state, "", `${location.pathname}${text ? `?${text}` : ""}`);
}
