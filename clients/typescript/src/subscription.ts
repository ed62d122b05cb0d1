// What a program iterates over: the events of its topics, in order of arrival, from a buffer of its own.

import { Buffer } from "./buffer.js";
import type { TapeEvent } from "./events.js";
import type { Missed, NotOnTape } from "./messages.js";
import { Topic } from "./topics.js";

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
  /** Called when the tape has nothing of a topic yet: its name is wrong, or it comes later. Without it, that of the tape is called. */
  onNotOnTape?: (notice: NotOnTape) => void;
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
  /** As they were asked for. */
  readonly topics: readonly Topic[];
  /** Events that are known to be missing so far; reports without a count are not in it. */
  missed = 0;

  readonly #venue: string;
  /** Those that the gateway sends in their place. */
  #followed: readonly Topic[];
  #streams: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  /** Topics of which was told that the tape does not have them: each new connection tells it again. */
  readonly #told = new Set<string>();
  readonly #buffer: Buffer;
  readonly #waiters: Waiter<T>[] = [];
  readonly #withMissed: boolean;
  readonly #onMissed: (missed: Missed) => void;
  readonly #onNotOnTape: (notice: NotOnTape) => void;
  readonly #onEnd: (subscription: Subscription<T>) => void;
  readonly #signal: AbortSignal | undefined;
  #ended: { error?: unknown } | undefined;

  /** @internal Made by `Tape`. */
  constructor(
    topics: readonly Topic[],
    options: SubscriptionOptions,
    onMissed: (missed: Missed) => void,
    onNotOnTape: (notice: NotOnTape) => void,
    onEnd: (one: Subscription<T>) => void,
  ) {
    this.topics = topics;
    this.#venue = options.venue ?? "";
    this.#followed = topics;
    this.#streams = streamsOf(topics);
    this.#prefixes = topics.filter(({ instrument }) => instrument === "*").map(({ kind }) => `${kind}:`);
    this.#buffer = new Buffer(options.buffer ?? BUFFER);
    this.#withMissed = options.withMissed ?? false;
    this.#onMissed = onMissed;
    this.#onNotOnTape = onNotOnTape;
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

  /** @internal Notes which topics the gateway sends in place of those that were asked for. Returns whether that is news. */
  resolve(resolved: ReadonlyMap<string, string>): boolean {
    const followed = this.topics.map((topic) => {
      const text = resolved.get(String(topic));
      return text === undefined ? topic : Topic.of(text);
    });
    if (followed.every((topic, index) => String(topic) === String(this.#followed[index]))) return false;
    this.#followed = followed;
    this.#streams = streamsOf(this.#followed);
    return true;
  }

  /** @internal Whether a report about a topic, with the venue if it is known, concerns it. */
  concerns(topic: string, venue: string): boolean {
    return this.#followed.some((one) => one.concerns(topic, venue));
  }

  /** @internal Whether the gateway sends this topic for it. */
  follows(topic: string): boolean {
    return this.#followed.some((one) => String(one) === topic);
  }

  /** @internal Tells, once for each topic, that the tape does not have it. */
  tell(notice: NotOnTape): void {
    if (this.#ended || this.#told.has(notice.topic) || !this.follows(notice.topic)) return;
    this.#told.add(notice.topic);
    this.#onNotOnTape(notice);
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

function streamsOf(topics: readonly Topic[]): Set<string> {
  return new Set(topics.map(({ kind, instrument }) => `${kind}:${instrument}`));
}
