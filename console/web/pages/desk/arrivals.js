/** What came by push to a queue: what waits until it is wanted, and whether the database is behind what was pushed. */

/** @template {{id: string}} T */
export class Arrivals {
  /**
   * @param {{topic: string, cases: (row: T) => string[], revision: (row: T) => number}} spec topic: of the log, whose new
   *   messages wait; cases: of a row; revision: of the row's case, -1 where there is none
   */
  constructor(spec) {
    this.spec = spec;
    /** @type {Set<string>} ids that came by push and are not shown yet */
    this.waiting = new Set();
    /** @type {Set<string>} ids that were asked to be shown last */
    this.fresh = new Set();
    /** @type {Map<string, number>} newest revisions of cases that came by push */
    this.pushed = new Map();
    /** @type {Set<string>} alerts of those cases */
    this.covered = new Set();
    this.tries = 0;
  }

  /**
   * Take an event.
   * @param {{topic: string, message: any}} event
   * @param {T[]} rows that are shown
   * @returns {{stale: boolean, news: boolean}} stale: rows have to be brought up to date; news: one more waits
   */
  take({ topic, message }, rows) {
    const shown = new Set(rows.flatMap((row) => [row.id, ...this.spec.cases(row)]));
    if (topic === "cases") {
      this.pushed.set(message.id, message.revision);
      for (const each of message.alerts ?? []) this.covered.add(each.id);
    }
    this.tries = 0;
    const known = shown.has(message.id) || Boolean(message.alerts?.some((/** @type {any} */ each) => shown.has(each.id)));
    const news = !known && topic === this.spec.topic;
    if (news) this.waiting.add(message.id);
    return { stale: known || topic === "gap", news };
  }

  /** Whether the database is behind what came by push: the sink needs a moment. @param {T[]} rows that it gave */
  behind(rows) {
    const ids = new Set(rows.map((row) => row.id));
    const old = rows.some((row) => this.spec.cases(row).some((id) => (this.pushed.get(id) ?? -1) > this.spec.revision(row)));
    const without = rows.some((row) => !this.spec.cases(row).length && this.covered.has(row.id));
    return old || without || [...this.fresh].some((id) => !ids.has(id));
  }

  /** How long to wait before the database is asked again, ms; null where it need not be. @param {T[]} rows that it gave */
  again(rows) {
    return this.behind(rows) && this.tries++ < 30 ? Math.min(400 * 1.3 ** this.tries, 5000) : null;
  }

  /** What waits is to be shown. */
  show() {
    this.fresh = new Set(this.waiting);
    this.waiting.clear();
    this.tries = 0;
  }
}
