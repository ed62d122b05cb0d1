/**
 * Which producers are alive: connectors and aggregators repeat a venue-wide status about every second, and count as alive for `aliveMs` after
 * the newest. It is the rule of `crosstape.liveness`: a status counts from when it arrives; one that an outage held back is dated back by how
 * much longer it took than those that came at their usual pace; the first of a producer is dated by its own `received_ts`.
 */

import { ms } from "./clock.js";

export const ALIVE_MS = 3000;
const PRODUCERS = 4096;
export const CONSOLIDATED = "consolidated";
const STATES = new Set(["quote", "book", "ticker", "mark", "funding", "open_interest"]);

export class SignsOfLife {
  constructor() {
    this.aliveMs = ALIVE_MS;
    this.signs = new Map(); // "venue kind" → sign
  }

  /** Apply a status that arrived at `nowMs` of this browser's clock, `gatewayMs` of the gateway's. */
  apply(status, nowMs, gatewayMs) {
    if (status.instrument !== "*" || (status.kind !== "*" && status.venue !== CONSOLIDATED)) return;
    const key = `${status.venue} ${status.kind}`;
    const before = this.signs.get(key);
    if (before && status.epoch < before.epoch && this.#lives(before, nowMs)) return;
    this.signs.set(key, next(before?.epoch === status.epoch ? before : null, status, nowMs, gatewayMs));
    if (this.signs.size > PRODUCERS) {
      const [oldest] = [...this.signs].reduce((a, b) => (a[1].givenMs <= b[1].givenMs ? a : b));
      this.signs.delete(oldest);
    }
  }

  /** Whether the producer of an event is alive. */
  isCurrent(event, nowMs) {
    if (event.venue === CONSOLIDATED || event.type === "bar") {
      return this.#of(CONSOLIDATED).some((sign) => sign.epoch === event.epoch && this.#lives(sign, nowMs));
    }
    const sign = this.signs.get(`${event.venue} *`);
    if (!sign || !this.#lives(sign, nowMs)) return false;
    const isState = STATES.has(event.type) || (event.type === "candle" && !event.closed);
    return isState ? sign.epoch === event.epoch : sign.epoch >= event.epoch;
  }

  isAlive(venue, nowMs) {
    return this.#of(venue).some((sign) => this.#lives(sign, nowMs));
  }

  /** Returns when a venue last gave a sign of life, ms of this browser's clock; null: never. */
  givenMs(venue) {
    const given = this.#of(venue).map((sign) => sign.givenMs);
    return given.length ? Math.max(...given) : null;
  }

  /** Whether a venue, or what published a consolidated event, said that it ends. */
  isDown(venue, epoch = null) {
    const found = this.#of(venue).filter((sign) => epoch === null || sign.epoch === epoch);
    return found.length > 0 && found.every((sign) => sign.down);
  }

  /** Returns when the aggregator that published a consolidated event last gave one; null: never. */
  givenBy(event) {
    const given = this.#of(CONSOLIDATED).filter((sign) => sign.epoch === event.epoch).map((sign) => sign.givenMs);
    return given.length ? Math.max(...given) : null;
  }

  /** Returns a text that differs when some producer has started or stopped giving signs of life. */
  picture(nowMs) {
    let text = "";
    for (const [key, sign] of this.signs) if (this.#lives(sign, nowMs)) text += `${key} ${sign.epoch};`;
    return text;
  }

  #lives(sign, nowMs) {
    return !sign.down && nowMs < sign.givenMs + this.aliveMs;
  }

  #of(venue) {
    const found = [];
    for (const [key, sign] of this.signs) if (key.startsWith(`${venue} `)) found.push(sign);
    return found;
  }
}

function next(before, status, nowMs, gatewayMs) {
  const receivedMs = ms(status.received_ts);
  const delayMs = gatewayMs - receivedMs;
  let usualMs = 0;
  let paced = false;
  if (before) {
    const again = status.seq === before.seq && receivedMs === before.receivedMs;
    if (again || status.seq < before.seq) return before; // the same one, or an older one
    usualMs = before.delayMs;
    const givenMs = receivedMs - before.receivedMs;
    paced = Math.abs(nowMs - before.arrivedMs - givenMs) <= givenMs / 2;
  }
  if (paced) usualMs = delayMs;
  const lateMs = Math.max(0, delayMs - usualMs);
  return {
    epoch: status.epoch,
    down: status.state === "down",
    givenMs: nowMs - lateMs,
    arrivedMs: nowMs,
    seq: status.seq,
    receivedMs,
    delayMs: usualMs,
  };
}
