/**
 * Whether news reach this page: the bus may be away from the gateway, or the gateway from this page. Meanwhile what is shown is how it was, and
 * that a producer is silent is nobody's fault but the connection's.
 */

import { ALIVE_MS } from "./life.js";
import { ms } from "./clock.js";

const LOST_MS = 1000; // a stream that comes back sooner was not away

export class Contact {
  #heardMs = null; // when the newest message came, by this browser's clock
  #sinceMs = null; // from when on news have come without a break
  #lost = null; // {atMs, heardMs}: when the stream broke off, and when the newest message before had come

  constructor(clock) {
    this.clock = clock;
    this.busAwaySince = null; // ts; null: the bus answers
  }

  /** A message came. */
  heard() {
    this.#heardMs = this.clock.read();
    this.#sinceMs ??= this.#heardMs;
  }

  /** The gateway says since when the bus is away; null: it is there. */
  bus(awaySince) {
    if (this.busAwaySince !== null && awaySince === null) this.#sinceMs = this.clock.read();
    this.busAwaySince = awaySince;
  }

  /** The stream broke off. */
  lost() {
    this.#lost ??= { atMs: this.clock.read(), heardMs: this.#heardMs };
  }

  /** There is a stream again, or polling in its place. */
  found() {
    if (this.#lost === null) return;
    this.#lost = null;
    this.#sinceMs = this.clock.read();
  }

  /** Returns null while news come, else {why, asOfMs}: in words, and the gateway's time (ms) up to which they came; null: none ever did. */
  get away() {
    if (this.#lost !== null && this.clock.read() - this.#lost.atMs >= LOST_MS) {
      const { heardMs } = this.#lost;
      const asOfMs = heardMs === null ? null : heardMs + this.clock.offsetMs;
      return { why: "no connection", asOfMs: this.busAwaySince === null ? asOfMs : ms(this.busAwaySince) };
    }
    return this.busAwaySince === null ? null : { why: "bus away", asOfMs: ms(this.busAwaySince) };
  }

  /** Whether a producer that gave its newest sign of life at `givenMs` (null: none yet) is known to be silent: the page would have heard it. */
  knowsSilent(givenMs, aliveMs = ALIVE_MS) {
    if (this.busAwaySince !== null || this.#lost !== null || this.#heardMs === null) return false;
    return this.#heardMs - Math.max(givenMs ?? -Infinity, this.#sinceMs) >= aliveMs;
  }
}
