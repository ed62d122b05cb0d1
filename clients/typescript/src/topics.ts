// What a program follows: a kind of one instrument, or of all (`*`), of all venues or of one: `cbbo:BTC-USDT`, `bar:1m:*@binance`.

import type { Bar, Candle, Gap, Status, TapeEvent } from "./events.js";

/** The kinds without a timeframe. */
type PlainKind = Exclude<TapeEvent["type"], "bar" | "candle">;

/** The kind of a topic. `venue` is a venue's own stream: its status and gaps. */
export type Kind = PlainKind | `bar:${string}` | `candle:${string}` | "venue";

/** The events of a kind. */
export type EventOf<K extends Kind> = K extends `bar:${string}`
  ? Bar
  : K extends `candle:${string}`
    ? Candle
    : K extends "venue"
      ? Status | Gap
      : Extract<TapeEvent, { type: K }>;

const PLAIN: Record<PlainKind, true> = {
  trade: true,
  quote: true,
  book: true,
  delta: true,
  ticker: true,
  mark: true,
  funding: true,
  open_interest: true,
  liquidation: true,
  status: true,
  gap: true,
  cbbo: true,
  depth: true,
  edge: true,
};

const VENUE_WIDE = "*";
const MAX_LENGTH = 100;
/** How ccxt writes a derivative: `BTC/USDT:USDT`, `BTC/USDT:USDT-261225`. */
const DERIVATIVE = /^[^/:,@]+\/[^/:,@]+:[^/:,@-]+(-\d{6})?$/;

/** Whether each event of the type counts. Of the others a new one replaces the one before. */
export function isEvent(event: TapeEvent): boolean {
  switch (event.type) {
    case "trade":
    case "delta":
    case "gap":
    case "liquidation":
    case "edge":
      return true;
    case "bar":
    case "candle":
      return event.closed;
    default:
      return false;
  }
}

/** Returns the stream of an event, which is its topic without a venue. */
export function streamOf(event: TapeEvent): string {
  if (event.type === "bar" || event.type === "candle") return `${event.type}:${event.timeframe}:${event.instrument}`;
  if ((event.type === "status" || event.type === "gap") && event.instrument === VENUE_WIDE) return `venue:${event.venue}`;
  return `${event.type}:${event.instrument}`;
}

/** Returns what a state is the state of, on its stream: an older one of the same key is replaced. As the gateway conflates. */
export function stateKey(event: TapeEvent): string {
  switch (event.type) {
    case "status":
      return `${event.venue} ${event.instrument} ${event.kind}`;
    case "bar":
    case "candle":
      return `${event.venue} ${event.open_ts}`;
    default:
      return event.venue;
  }
}

/** Whether a text can be an instrument in some spelling: the gateway finds which. */
function isName(instrument: string): boolean {
  return DERIVATIVE.test(instrument) || (instrument !== "" && !/[,@:]/.test(instrument));
}

/** One topic, taken apart. */
export class Topic {
  readonly kind: string;
  readonly instrument: string;
  /** Empty: all venues. */
  readonly venue: string;

  constructor(kind: Kind, instrument: string, venue = "") {
    this.kind = kind;
    this.instrument = instrument;
    this.venue = venue;
    const [tag = "", timeframe] = kind.split(":");
    const text = this.toString();
    if (!Object.hasOwn(PLAIN, kind) && kind !== "venue" && !((tag === "bar" || tag === "candle") && timeframe)) {
      const hint = tag === "bar" || tag === "candle" ? "; expected a timeframe, as in bar:1m" : "";
      throw new TypeError(`there is no kind "${kind}"${hint}`);
    }
    if (!/^[\x21-\x7e]+$/.test(text) || text.length > MAX_LENGTH || !isName(instrument) || /[,@:]/.test(venue)) {
      throw new TypeError(`"${text.slice(0, MAX_LENGTH)}" is no topic: expected KIND:INSTRUMENT, such as cbbo:BTC-USDT`);
    }
    if (kind === "venue" && venue) throw new TypeError(`"${text}" is no topic: the venue is its second part, as in venue:kraken`);
  }

  /** Returns the topic of a text that the gateway sent. */
  static of(text: string): Topic {
    const [name = "", venue] = text.split("@");
    const at = name.lastIndexOf(":");
    return new Topic(name.slice(0, at) as Kind, name.slice(at + 1), venue);
  }

  toString(): string {
    return `${this.kind}:${this.instrument}${this.venue && `@${this.venue}`}`;
  }

  /** Whether a report about a topic, with the venue if it is known, concerns this one. */
  concerns(topic: string, venue: string): boolean {
    const [name = "", at] = topic.split("@");
    const instrument = name.slice(name.lastIndexOf(":") + 1);
    const kind = name.slice(0, name.lastIndexOf(":"));
    const of = venue || at || "";
    return (
      kind === this.kind &&
      (instrument === "*" || this.instrument === "*" || instrument === this.instrument) &&
      (!of || !this.venue || of === this.venue)
    );
  }
}
