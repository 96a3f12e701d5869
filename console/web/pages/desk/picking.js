/** A list one works in: a current row that keys move, rows that are picked one by one, by range, or all. */

/**
 * @template {{id: string}} T
 */
export class Picking {
  /** @param {() => void} changed called after each change */
  constructor(changed) {
    this.changed = changed;
    /** @type {T[]} */
    this.rows = [];
    this.current = 0;
    /** @type {Set<string>} */
    this.picked = new Set();
    this.anchor = 0;
  }

  /** New rows; what is picked and no longer there is let go, the current row and a range's begin stay with their ids. @param {T[]} rows */
  take(rows) {
    const before = this.rows;
    const stays = (/** @type {number} */ place) => {
      const now = rows.findIndex((row) => row.id === before[place]?.id);
      return now >= 0 ? now : Math.min(place, Math.max(0, rows.length - 1));
    };
    this.rows = rows;
    this.current = stays(this.current);
    this.anchor = before.length ? stays(this.anchor) : this.current;
    this.picked = new Set(rows.filter((row) => this.picked.has(row.id)).map((row) => row.id));
    this.changed();
  }

  /** @param {number} by rows down @param {boolean} [extend] pick what is passed */
  move(by, extend = false) {
    this.current = Math.max(0, Math.min(this.rows.length - 1, this.current + by));
    if (extend) this.span(this.anchor, this.current);
    else this.anchor = this.current;
    this.changed();
  }

  /** Pick a row or let it go; with `extend` everything since the last one. @param {number} place @param {boolean} [extend] */
  toggle(place, extend = false) {
    const id = this.rows[place]?.id;
    if (id === undefined) return;
    this.current = place;
    if (extend) this.span(this.anchor, place);
    else {
      if (this.picked.has(id)) this.picked.delete(id);
      else this.picked.add(id);
      this.anchor = place;
    }
    this.changed();
  }

  /** @param {number} from @param {number} to */
  span(from, to) {
    for (const row of this.rows.slice(Math.min(from, to), Math.max(from, to) + 1)) this.picked.add(row.id);
  }

  /** Pick all, or none where all were. */
  all() {
    const every = this.picked.size === this.rows.length;
    this.picked = new Set(every ? [] : this.rows.map((row) => row.id));
    this.changed();
  }

  none() {
    this.picked.clear();
    this.changed();
  }

  /** What an act is for: the picked rows, else the current one. @returns {T[]} */
  meant() {
    const picked = this.rows.filter((row) => this.picked.has(row.id));
    return picked.length ? picked : this.rows.slice(this.current, this.current + 1);
  }
}
