// What a program iterates over: the events of its topics, in order of arrival, from a buffer of its own.

import { Buffer } from "./buffer.js";
import type { TapeEvent } from "./events.js";
import type { Missed } from "./messages.js";
import type { Topic } from "./topics.js";

export interface SubscriptionOptions {
  /** Only events of this venue; `consolidated` for what the aggregator publishes. */
  venue?: string;
  /** Ends the subscription: the loop then throws the signal's reason. */
  signal?: AbortSignal;
  /** Events kept while the loop is busy, at most; the oldest beyond it are dropped and reported as `Missed`. */
  buffer?: number;
  /** Called in order with what is missing, between the events around it. Without it, that of the tape is called. */
  onMissed?: (missed: Missed) => void;
  /** Whether the loop gets `Missed` in between, in place of `onMissed`. */
  withMissed?: boolean;
}

export const BUFFER = 10_000;

interface Waiter<T> {
  resolve: (result: IteratorResult<T, undefined>) => void;
  reject: (error: unknown) => void;
}

/**
 * The events of some topics from now on. Iterate over it once; leaving the loop ends it. If the loop is slow, of states (quotes, books,
 * open bars) only the newest comes.
 *
 * It ends when the tape is closed. It throws `AccessError` or `RequestError` if the gateway refuses it, and the reason of its signal.
 */
export class Subscription<T extends TapeEvent | Missed> implements AsyncIterableIterator<T, undefined> {
  readonly topics: readonly Topic[];
  /** Events that are known to be missing so far; reports without a count are not in it. */
  missed = 0;

  readonly #venue: string;
  readonly #streams: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  readonly #buffer: Buffer;
  readonly #waiters: Waiter<T>[] = [];
  readonly #withMissed: boolean;
  readonly #onMissed: (missed: Missed) => void;
  readonly #onEnd: (subscription: Subscription<T>) => void;
  readonly #signal: AbortSignal | undefined;
  #ended: { error?: unknown } | undefined;

  /** @internal Made by `Tape`. */
  constructor(
    topics: readonly Topic[],
    options: SubscriptionOptions,
    onMissed: (missed: Missed) => void,
    onEnd: (one: Subscription<T>) => void,
  ) {
    this.topics = topics;
    this.#venue = options.venue ?? "";
    this.#streams = new Set(topics.map(({ kind, instrument }) => `${kind}:${instrument}`));
    this.#prefixes = topics.filter(({ instrument }) => instrument === "*").map(({ kind }) => `${kind}:`);
    this.#buffer = new Buffer(options.buffer ?? BUFFER);
    this.#withMissed = options.withMissed ?? false;
    this.#onMissed = onMissed;
    this.#onEnd = onEnd;
    this.#signal = options.signal;
    if (this.#signal?.aborted) this.end({ error: this.#signal.reason });
    else this.#signal?.addEventListener("abort", this.#abort);
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Returns the next event, as soon as there is one. */
  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#take();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    const ended = this.#ended;
    if (ended && "error" in ended) {
      this.#ended = {};
      return Promise.reject(ended.error);
    }
    if (ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Ends it. Called by `break` in a loop. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends it; what is in the buffer is dropped. */
  close(): void {
    this.#buffer.clear();
    this.end({});
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  push(item: TapeEvent | Missed): void {
    if (this.#ended) return;
    this.#buffer.push(item);
    this.#serve();
  }

  /** @internal Ends it behind what is in the buffer: with an error, or without. */
  end(how: { error?: unknown }): void {
    if (this.#ended) return;
    const waiting = this.#waiters.splice(0);
    this.#ended = waiting.length ? {} : how; // an error is thrown once, as by a generator
    this.#signal?.removeEventListener("abort", this.#abort);
    waiting.forEach((waiter, index) => {
      if ("error" in how && index === 0) waiter.reject(how.error);
      else waiter.resolve({ done: true, value: undefined });
    });
    this.#onEnd(this);
  }

  /** @internal Whether it wants events of a stream and a venue. */
  includes(stream: string, venue: string): boolean {
    if (this.#venue && this.#venue !== venue) return false;
    return this.#streams.has(stream) || this.#prefixes.some((prefix) => stream.startsWith(prefix));
  }

  readonly #abort = (): void => {
    this.#buffer.clear();
    this.end({ error: this.#signal?.reason });
  };

  #serve(): void {
    while (this.#waiters.length) {
      const item = this.#take();
      if (item === undefined) return;
      this.#waiters.shift()!.resolve({ done: false, value: item });
    }
  }

  #take(): T | undefined {
    for (;;) {
      const item = this.#buffer.shift();
      if (item?.type !== "missed") return item as T | undefined;
      this.missed += item.count ?? 0;
      if (this.#withMissed) return item as T;
      this.#onMissed(item);
    }
  }
}
