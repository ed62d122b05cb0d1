// Holds what a subscription's loop has not taken yet. Bounded: of states only the newest is kept; of events the oldest are dropped and
// reported. Ordered by arrival. One reader. Pure.

import type { TapeEvent } from "./events.js";
import type { Missed } from "./messages.js";
import { isEvent, stateKey, streamOf } from "./topics.js";

interface Held<T> {
  arrival: number;
  item: T;
}

const COMPACT = 1024;

export class Buffer {
  readonly #limit: number;
  #arrivals = 0;
  /** Events and reports in order of arrival; those before `#head` are taken. */
  #queue: Held<TapeEvent | Missed>[] = [];
  #head = 0;
  /** The newest states, in order of arrival. */
  readonly #states = new Map<string, Held<TapeEvent>>();
  /** What was dropped and is not reported yet, by stream, venue and epoch. */
  readonly #dropped = new Map<string, Missed>();

  /** `limit`: events at most. States are as many as there are streams and venues. */
  constructor(limit: number) {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`buffer: expected a whole number from 1 on, got ${limit}`);
    this.#limit = limit;
  }

  get size(): number {
    return this.#queue.length - this.#head + this.#states.size + this.#dropped.size;
  }

  push(item: TapeEvent | Missed): void {
    const held = { arrival: this.#arrivals++, item };
    if (item.type !== "missed") {
      const key = `${streamOf(item)} ${stateKey(item)}`;
      this.#states.delete(key); // so that a newer state stands at the end; a closed bar replaces the open one
      if (!isEvent(item)) {
        this.#states.set(key, held as Held<TapeEvent>);
        return;
      }
    }
    this.#queue.push(held);
    if (this.#queue.length - this.#head > this.#limit) this.#drop(this.#takeFirst().item);
  }

  /** Removes and returns what came first; undefined: there is nothing. A report of dropped events comes before what follows them. */
  shift(): TapeEvent | Missed | undefined {
    for (const [key, missed] of this.#dropped) {
      this.#dropped.delete(key);
      return missed;
    }
    const event = this.#queue[this.#head];
    for (const [key, state] of this.#states) {
      if (event && event.arrival < state.arrival) break;
      this.#states.delete(key);
      return state.item;
    }
    return event && this.#takeFirst().item;
  }

  clear(): void {
    this.#queue = [];
    this.#head = 0;
    this.#states.clear();
    this.#dropped.clear();
  }

  #takeFirst(): Held<TapeEvent | Missed> {
    const first = this.#queue[this.#head++]!;
    if (this.#head >= COMPACT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }

  /** Counts a dropped event, or one report of the gateway more. Adjacent ranges of numbers become one report. */
  #drop(item: TapeEvent | Missed): void {
    const missed: Missed =
      item.type === "missed"
        ? item
        : {
            type: "missed",
            topic: streamOf(item),
            venue: item.venue,
            epoch: item.epoch,
            first_missing: item.seq,
            count: 1,
            reason: "buffer",
          };
    const key = `${missed.topic} ${missed.venue} ${missed.epoch}`;
    const before = this.#dropped.get(key);
    if (before) {
      const count = before.count === null || missed.count === null ? null : before.count + missed.count;
      this.#dropped.set(key, { ...before, count });
    } else {
      this.#dropped.set(key, { ...missed, reason: "buffer" });
    }
  }
}
