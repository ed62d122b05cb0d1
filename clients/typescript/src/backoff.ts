// How long to wait between attempts to connect: doubled each time, with jitter, so that clients of a restarted gateway come one by one.

export class Backoff {
  readonly #firstS: number;
  readonly #mostS: number;
  readonly #random: () => number;
  #attempt = 0;

  constructor(firstS: number, mostS: number, random: () => number = Math.random) {
    this.#firstS = firstS;
    this.#mostS = mostS;
    this.#random = random;
  }

  /** Returns the next delay, seconds: between half and all of what the attempt allows. */
  next(): number {
    const most = Math.min(this.#mostS, this.#firstS * 2 ** Math.min(this.#attempt++, 30));
    return most * (0.5 + 0.5 * this.#random());
  }

  reset(): void {
    this.#attempt = 0;
  }
}
