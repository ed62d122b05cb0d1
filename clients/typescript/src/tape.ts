// The tape of a gateway: subscriptions that survive outages, and questions by REST.

import type { ConnectionState, Transport } from "./connection.js";
import { Dispatch, type Any } from "./dispatch.js";
import type { Missed, NotOnTape } from "./messages.js";
import { Rest, type Moment, type Page, type Parameters } from "./rest.js";
import { Subscription, type SubscriptionOptions } from "./subscription.js";
import { Topic, type EventOf, type Kind } from "./topics.js";
import { Access, type Token } from "./transport/access.js";
import { SseTransport } from "./transport/sse.js";
import { WebSocketTransport, type WebSocketClass } from "./transport/websocket.js";

export interface TapeOptions {
  /** The gateway: `http://localhost:8090`. In a page it may be relative: `/`. */
  url: string | URL;
  /** Sent as `Authorization: Bearer`. A function is called for each connection and request. */
  token?: Token;
  /** `sse` (default) works everywhere; over `websocket` topics change without a new connection. */
  transport?: "sse" | "websocket";
  /** Closes the tape. */
  signal?: AbortSignal;
  /** For how long the gateway gathers events before it sends them, ms; 0: not at all. Without it, the gateway's setting. */
  gatherMs?: number;
  /** Called with what is missing if the subscription has no `onMissed`. Without both it is only counted: `subscription.missed`. */
  onMissed?: (missed: Missed) => void;
  /** Called for topics that are not on the tape yet if the subscription has no `onNotOnTape`. Without both, `console.warn` is. */
  onNotOnTape?: (notice: NotOnTape) => void;
  /** Called when the state of the connection changes. */
  onState?: (state: ConnectionState) => void;
  /** Called with what a callback throws. Without it, `console.error` is. */
  onError?: (error: unknown) => void;
  /** Seconds between heartbeats, until the gateway says it: without a message for three of them, the tape reconnects. */
  heartbeatS?: number;
  /** The longest delay between attempts to connect, seconds. */
  mostDelayS?: number;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** In place of the global `WebSocket`: Node 20 has none; the class of the package `ws` fits. */
  WebSocket?: WebSocketClass;
}

/** One instrument, or several; `*`: all. */
export type Instruments = string | readonly string[];

/** What a subscription of a kind returns, by its options. */
export type Result<K extends Kind, O extends SubscriptionOptions> = Subscription<
  O extends { withMissed: true } ? EventOf<K> | Missed : EventOf<K>
>;

export interface LastOptions {
  /** Only that of this venue. */
  venue?: string;
  signal?: AbortSignal;
}

export interface HistoryOptions {
  /** Only what is of this venue. Without it, bars are the consolidated ones; candles need one. */
  venue?: string;
  fromTs?: Moment;
  toTs?: Moment;
  /** Rows at most. */
  limit?: number;
  /** Of trades: those before, or behind, a page: its `before` or `after`. */
  before?: string;
  after?: string;
  signal?: AbortSignal;
}

type Options = SubscriptionOptions;

const HISTORIES = new Map([
  ["trade", "/api/trades"],
  ["gap", "/api/gaps"],
  ["bar", "/api/bars"],
  ["candle", "/api/candles"],
]);

const CONSOLIDATED = "consolidated";
const HEARTBEAT_S = 5;
const HEARTBEATS = 3;
const PROBE_MS = 10_000;
const FIRST_DELAY_S = 0.25;
const MOST_DELAY_S = 10;

/**
 * The tape of one gateway. It connects with the first subscription, over one connection for all of them, and reconnects for ever. After an
 * outage it resumes where it was: each event comes once; what cannot be had any more is reported as `Missed`.
 */
export class Tape {
  readonly #rest: Rest;
  readonly #dispatch: Dispatch;
  readonly #options: TapeOptions;
  #closed = false;

  /** Connects to nothing yet. Throws TypeError for options that are wrong, CrosstapeError for `websocket` where there is none. */
  constructor(options: TapeOptions) {
    const { transport = "sse", heartbeatS = HEARTBEAT_S, mostDelayS = MOST_DELAY_S } = options;
    if (transport !== "sse" && transport !== "websocket") {
      throw new TypeError(`transport: expected "sse" or "websocket", got "${String(transport)}"`);
    }
    this.#options = options;
    const access = new Access(options.url, options.token, options.fetch);
    const connects: Transport =
      transport === "sse"
        ? new SseTransport(access, options.gatherMs)
        : new WebSocketTransport(access, options.gatherMs, options.WebSocket);
    this.#rest = new Rest(access);
    this.#dispatch = new Dispatch(
      connects,
      { heartbeatS, heartbeats: HEARTBEATS, firstDelayS: FIRST_DELAY_S, mostDelayS },
      (topics) => this.#rest.get("/api/last", { topics: topics.join(",") }, AbortSignal.timeout(PROBE_MS)),
      (state) => this.#call(() => options.onState?.(state)),
    );
    if (options.signal?.aborted) this.close();
    else options.signal?.addEventListener("abort", this.close, { once: true });
  }

  /** The state of the connection. */
  get state(): ConnectionState {
    return this.#dispatch.state;
  }

  /** Follows one kind of some instruments, which may be spelled in any way: `BTC/USDT`, `BTCUSDT`. The methods below are the same for one kind each. Throws TypeError for a topic that is none. */
  events<K extends Kind, O extends Options = Options>(kind: K, instruments: Instruments, options?: O): Result<K, O> {
    const subscription = new Subscription<Any>(
      topicsOf(kind, instruments, options?.venue),
      options ?? {},
      (missed) => this.#call(() => (options?.onMissed ?? this.#options.onMissed)?.(missed)),
      (notice) => this.#call(() => (options?.onNotOnTape ?? this.#options.onNotOnTape ?? (({ message }) => console.warn(message)))(notice)),
      (ended) => this.#dispatch.remove(ended),
    );
    if (this.#closed) subscription.close();
    if (!subscription.ended) this.#dispatch.add(subscription);
    return subscription as unknown as Result<K, O>;
  }

  /** Consolidated quotes. */
  cbbo<O extends Options>(instruments: Instruments, options?: O): Result<"cbbo", O> {
    return this.events("cbbo", instruments, options);
  }

  /** Consolidated books. */
  depth<O extends Options>(instruments: Instruments, options?: O): Result<"depth", O> {
    return this.events("depth", instruments, options);
  }

  /** Pairs of venues whose prices cross after fees. */
  edges<O extends Options>(instruments: Instruments, options?: O): Result<"edge", O> {
    return this.events("edge", instruments, options);
  }

  /** Bars built from trades: consolidated, or those of one `venue`; with the venue "", those of each venue and the consolidated ones. */
  bars<O extends Options>(instruments: Instruments, timeframe: string, options?: O): Result<`bar:${string}`, O> {
    return this.events(`bar:${timeframe}`, instruments, { ...options, venue: options?.venue ?? CONSOLIDATED } as O);
  }

  /** Candles as venues publish them. */
  candles<O extends Options>(instruments: Instruments, timeframe: string, options?: O): Result<`candle:${string}`, O> {
    return this.events(`candle:${timeframe}`, instruments, options);
  }

  trades<O extends Options>(instruments: Instruments, options?: O): Result<"trade", O> {
    return this.events("trade", instruments, options);
  }

  quotes<O extends Options>(instruments: Instruments, options?: O): Result<"quote", O> {
    return this.events("quote", instruments, options);
  }

  books<O extends Options>(instruments: Instruments, options?: O): Result<"book", O> {
    return this.events("book", instruments, options);
  }

  deltas<O extends Options>(instruments: Instruments, options?: O): Result<"delta", O> {
    return this.events("delta", instruments, options);
  }

  tickers<O extends Options>(instruments: Instruments, options?: O): Result<"ticker", O> {
    return this.events("ticker", instruments, options);
  }

  marks<O extends Options>(instruments: Instruments, options?: O): Result<"mark", O> {
    return this.events("mark", instruments, options);
  }

  funding<O extends Options>(instruments: Instruments, options?: O): Result<"funding", O> {
    return this.events("funding", instruments, options);
  }

  openInterest<O extends Options>(instruments: Instruments, options?: O): Result<"open_interest", O> {
    return this.events("open_interest", instruments, options);
  }

  liquidations<O extends Options>(instruments: Instruments, options?: O): Result<"liquidation", O> {
    return this.events("liquidation", instruments, options);
  }

  statuses<O extends Options>(instruments: Instruments, options?: O): Result<"status", O> {
    return this.events("status", instruments, options);
  }

  gaps<O extends Options>(instruments: Instruments, options?: O): Result<"gap", O> {
    return this.events("gap", instruments, options);
  }

  /** Status and gaps of whole venues; `*`: of all. */
  venue<O extends Options>(venues: Instruments, options?: O): Result<"venue", O> {
    return this.events("venue", venues, options);
  }

  /**
   * Calls a function with each event, one after the other: the next when the promise of the one before is settled. What it throws goes to
   * `onError` and stops nothing. Close the returned subscription to end it; do not iterate over it.
   *
   * If the gateway refuses the subscription, `onError` gets the error.
   */
  on<K extends Kind, O extends Options>(
    kind: K,
    instruments: Instruments,
    callback: (event: O extends { withMissed: true } ? EventOf<K> | Missed : EventOf<K>) => unknown,
    options?: O,
  ): Result<K, O> {
    const subscription = this.events(kind, instruments, options);
    void this.#drain(subscription as unknown as Subscription<Any>, callback as (event: Any) => unknown);
    return subscription;
  }

  /** Returns the newest event of each venue; of status, of each feed. Throws `RequestError`, `AccessError`, or what `fetch` throws. */
  async last<K extends Kind>(kind: K, instruments: Instruments, options: LastOptions = {}): Promise<EventOf<K>[]> {
    const topics = topicsOf(kind, instruments, options.venue).join(",");
    return (await this.#rest.rows<EventOf<K>>("/api/last", "events", { topics }, options.signal)).rows;
  }

  /**
   * Returns what is on the tape, in order of time: trades, gaps, and of bars and candles the newest revision of each. Throws TypeError for
   * a kind without history, `RequestError`, `AccessError`, or what `fetch` throws.
   */
  async history<K extends Kind>(kind: K, instrument: string, options: HistoryOptions = {}): Promise<Page<EventOf<K>>> {
    const { signal, venue, limit, before, after, fromTs: from_ts, toTs: to_ts } = options;
    const [tag = "", timeframe] = kind.split(":");
    const path = HISTORIES.get(tag);
    if (!path) throw new TypeError(`there is no history of "${kind}": expected trade, gap, bar:TIMEFRAME or candle:TIMEFRAME`);
    if (tag === "candle" && !venue) throw new TypeError("candle: expected a venue; what all venues have together is a bar");
    const parameters: Parameters = { instrument, timeframe, venue, from_ts, to_ts, limit, before, after };
    return this.#rest.rows(path, path.slice("/api/".length), parameters, signal);
  }

  /** Sends another request of the gateway's REST interface: `get("/api/venues")`. Integers of times and epochs are bigint in the answer. */
  get(path: string, parameters: Parameters = {}, signal?: AbortSignal): Promise<Record<string, unknown>> {
    if (!path.startsWith("/")) throw new TypeError(`path: expected one from /, such as /api/venues, got "${path}"`);
    return this.#rest.get(path, parameters, signal);
  }

  /** Ends the connection. Loops end when they have taken what came before. */
  readonly close = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.signal?.removeEventListener("abort", this.close);
    this.#dispatch.close();
  };

  async #drain(subscription: Subscription<Any>, callback: (event: Any) => unknown): Promise<void> {
    try {
      for await (const event of subscription) {
        try {
          await callback(event);
        } catch (error) {
          this.#report(error);
        }
      }
    } catch (error) {
      this.#report(error);
    }
  }

  /** Calls a function of the program: what it throws must not stop the others. */
  #call(function_: () => void): void {
    try {
      function_();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    try {
      if (this.#options.onError) return this.#options.onError(error);
    } catch (another) {
      console.error(another);
    }
    console.error(error);
  }
}

function topicsOf(kind: Kind, instruments: Instruments, venue: string | undefined): Topic[] {
  const names = typeof instruments === "string" ? [instruments] : [...new Set(instruments)];
  if (!names.length) throw new TypeError("expected at least one instrument");
  return names.map((name) => new Topic(kind, name, venue));
}
