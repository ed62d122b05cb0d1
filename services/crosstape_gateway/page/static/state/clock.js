/**
 * The gateway's clock, as seen from this browser: by wall-clock difference, so that ages are right in a tab that was hidden or a machine that
 * slept. Times of messages are BigInt, ns since the epoch; here they become ms.
 *
 * A message can only be late: the later it is handled, the further the gateway's clock seems to be behind. So the greatest offset seen lately
 * is the best one. The answer to a request also says how great it can be at most, because the gateway wrote it after it was asked: if that is
 * less than what was seen before, one of the clocks was set, and what was seen before is dropped.
 */

const NS_PER_MS = 1_000_000n;
const WINDOW_MS = 600_000;
const WHOLE_MS = 2; // both clocks are read in whole ms

/** Returns ms since the epoch. */
export const ms = (ts) => Number(ts / NS_PER_MS);

export class Clock {
  #seen = []; // [when it was handled, offset]; the greatest offset first, each later one is smaller
  #mostMs = Infinity; // what requests say of the offset

  constructor(read = Date.now) {
    this.read = read;
    this.offsetMs = 0;
    this.known = false;
  }

  /** Learn from a message that the gateway wrote at `ts` by its clock; it is the answer to a request that was sent at `askedMs` by this one. */
  learn(ts, askedMs = null) {
    const now = this.read();
    const leastMs = ms(ts) - now;
    const mostMs = askedMs === null ? Infinity : ms(ts) - askedMs + WHOLE_MS;
    const wasSet = mostMs < this.offsetMs || leastMs > this.#mostMs;
    if (wasSet) this.#seen = [];
    this.#mostMs = wasSet ? mostMs : Math.min(this.#mostMs, mostMs);
    this.#seen = this.#seen.filter(([at, offset]) => offset > leastMs && at <= now && now - at < WINDOW_MS);
    this.#seen.push([now, leastMs]);
    this.offsetMs = this.#seen[0][1];
    this.known = true;
  }

  /** By how much the gateway's clock may be further ahead than `now` says, in ms; infinite before a request was answered. */
  get doubtMs() {
    return this.#mostMs - this.offsetMs;
  }

  /** Returns the gateway's time, ms since the epoch. */
  now() {
    return this.read() + this.offsetMs;
  }

  /** Returns how long ago `ts` was, in ms; negative where the clock that wrote it is ahead by more than this one may be behind. */
  ageMs(ts) {
    const age = this.now() - ms(ts);
    return age < 0 ? Math.min(0, age + Math.max(0, this.doubtMs)) : age;
  }
}
