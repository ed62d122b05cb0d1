/**
 * The bars or candles of one chart: by `open_ts`, of each the newest revision, bounded. They come from a request for history and from the
 * stream, in any order and more than once; late trades revise bars that are closed.
 */

import { ms } from "./clock.js";

export const MOST = 1500;

/** Returns whether `next` replaces `before`, which has the same `open_ts`. */
function replaces(next, before) {
  if (next.revision !== before.revision) return next.revision > before.revision;
  if (next.closed !== before.closed) return next.closed;
  return next.epoch !== before.epoch || next.seq > before.seq;
}

export class Bars {
  #byOpen = new Map(); // ms since the epoch → bar
  #newest = -Infinity;

  get size() {
    return this.#byOpen.size;
  }

  /** Apply one bar. Returns "newest" (it is the last one), "older", or null: it changes nothing. */
  apply(bar) {
    const open = ms(bar.open_ts);
    const before = this.#byOpen.get(open);
    if (before && !replaces(bar, before)) return null;
    if (!before && this.#byOpen.size >= MOST) {
      const oldest = Math.min(...this.#byOpen.keys());
      if (open < oldest) return null;
      this.#byOpen.delete(oldest);
    }
    this.#byOpen.set(open, bar);
    if (open < this.#newest) return "older";
    this.#newest = open;
    return "newest";
  }

  /** Returns all bars, the oldest first. */
  all() {
    return [...this.#byOpen].sort((a, b) => a[0] - b[0]).map(([, bar]) => bar);
  }

  /** Returns the newest bar, or the one that opened at this time (ms). */
  at(openMs = this.#newest) {
    return this.#byOpen.get(openMs) ?? null;
  }
}
