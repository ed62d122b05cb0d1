/**
 * The gateway's clock, as seen from this browser: by wall-clock difference, so that ages are right in a tab that was hidden or a machine that
 * slept. Times of messages are BigInt, ns since the epoch; here they become ms.
 */

const NS_PER_MS = 1_000_000n;

/** Returns ms since the epoch. */
export const ms = (ts) => Number(ts / NS_PER_MS);

export class Clock {
  constructor(read = Date.now) {
    this.read = read;
    this.offsetMs = 0;
    this.known = false;
  }

  /** Learn from a message that the gateway wrote just now, at `ts` by its clock. */
  learn(ts) {
    this.offsetMs = ms(ts) - this.read();
    this.known = true;
  }

  /** Returns the gateway's time, ms since the epoch. */
  now() {
    return this.read() + this.offsetMs;
  }

  /** Returns how long ago `ts` was, in ms; negative where the clock that wrote it is ahead. */
  ageMs(ts) {
    return this.now() - ms(ts);
  }
}
