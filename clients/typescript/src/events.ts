// The events of the tape, as they are parsed. Generated from docs/reference/events.schema.json by `npm run types`: do not edit.

/**
 * An event of the tape; `type` says which.
 */
export type TapeEvent =
  Trade | Quote | Book | Delta | Ticker | Candle | Mark | Funding | OpenInterest | Liquidation | Status | Gap | Cbbo | Bar | Depth | Edge;
/**
 * A number in plain notation with the venue's own digits: `12700.00`, `0.00000061`, `0.00000000`; never an exponent.
 */
export type Decimal = string;
/**
 * The taker's side of a trade: who crossed the spread.
 */
export type Side = "buy" | "sell";
/**
 * How far a consumer may rely on a feed's data now.
 */
export type FeedState = "connecting" | "down" | "live" | "recovering" | "stale";
/**
 * Why something is missing from the tape.
 */
export type GapCause = "bus" | "checksum" | "disconnect" | "overflow" | "sequence" | "unknown";
/**
 * The shape of a consolidated quote.
 */
export type Market = "crossed" | "empty" | "locked" | "normal" | "one_sided";
/**
 * Why a leg does not count in a consolidated quote.
 */
export type Exclusion = "crossed" | "depeg" | "empty" | "other" | "outlier" | "rate" | "settling" | "stale" | "state" | "suspect";
/**
 * What an `Edge` event tells.
 */
export type EdgeChange = "change" | "close" | "open";

/**
 * One execution. Price: quote per base; size: base units.
 */
export interface Trade {
  type: "trade";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  price: Decimal;
  size: Decimal;
  taker: Side | null;
  trade_id: string;
  /**
   * The trade was not seen live: the venue replayed it, it was fetched by REST, or it came after it was reported as missing. It may be behind trades on the stream that were made later. It is there once, as all trades are.
   */
  backfilled: boolean;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * Best bid and ask of one venue; a side is null where the venue's book is empty.
 */
export interface Quote {
  type: "quote";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  bid_price: Decimal | null;
  bid_size: Decimal | null;
  ask_price: Decimal | null;
  ask_size: Decimal | null;
  state: FeedState;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * The top `depth` levels of a venue's checked book, best first; conflated.
 */
export interface Book {
  type: "book";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  bids: [Decimal, Decimal][];
  asks: [Decimal, Decimal][];
  depth: number;
  state: FeedState;
  /**
   * The venue's own number of the last change in the book, where it has one.
   */
  sequence: bigint | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * Raw changes of one venue's book, in the venue's order; sizes are absolute.
 */
export interface Delta {
  type: "delta";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  bids: [Decimal, Decimal][];
  asks: [Decimal, Decimal][];
  sequence: bigint | null;
  /**
   * True: drop all levels; these are the whole book.
   */
  snapshot: boolean;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * Rolling 24 hours, as the venue counts them; null where it gives no value.
 */
export interface Ticker {
  type: "ticker";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  last: Decimal | null;
  open: Decimal | null;
  high: Decimal | null;
  low: Decimal | null;
  base_volume: Decimal | null;
  quote_volume: Decimal | null;
  /**
   * Last minus open, in quote units.
   */
  change: Decimal | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * One interval of trading as the venue publishes it. It comes again with each change, then closed; identify it by its `open_ts`.
 *
 * What `open` is and what an interval without trades looks like are the venue's: see the reference of the venues.
 */
export interface Candle {
  type: "candle";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * `1m`, `5m`, `1h` …: one of `timeframes.TIMEFRAMES`, aligned to UTC, weeks to Monday.
   */
  timeframe: string;
  open_ts: bigint;
  /**
   * The end of the interval, which is the `open_ts` of the next one.
   */
  close_ts: bigint;
  open: Decimal;
  high: Decimal;
  low: Decimal;
  close: Decimal;
  /**
   * Base units.
   */
  volume: Decimal;
  quote_volume: Decimal | null;
  /**
   * How many trades the venue counts in it.
   */
  trades: number | null;
  /**
   * The part of `volume` whose taker bought, in base units.
   */
  taker_buy_volume: Decimal | null;
  /**
   * The venue says that it is final, or has begun a later one.
   */
  closed: boolean;
  /**
   * How often the venue corrected it after it was closed. Keep the candle with the highest revision of an `open_ts`.
   */
  revision: number;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * The prices by which a venue values a derivative; null where it gives no value.
 */
export interface Mark {
  type: "mark";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  mark_price: Decimal | null;
  index_price: Decimal | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * The funding rate of a perpetual, as the venue expects it for the next settlement.
 */
export interface Funding {
  type: "funding";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * A fraction of the position's value, for one interval: 0.0001 is 0.01 %. Positive: longs pay shorts.
   */
  rate: Decimal;
  /**
   * Seconds between settlements.
   */
  interval_s: number | null;
  /**
   * When the next settlement is.
   */
  next_ts: bigint | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * All open positions of a derivative; null where the venue gives no value.
 */
export interface OpenInterest {
  type: "open_interest";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * Base units.
   */
  size: Decimal | null;
  /**
   * Quote units.
   */
  value: Decimal | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * A position that the venue closed by force. Venues publish only some of them.
 */
export interface Liquidation {
  type: "liquidation";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * The side of the forced order: `sell` closes a long position.
   */
  taker: Side | null;
  price: Decimal;
  /**
   * Base units.
   */
  size: Decimal;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * The state of one feed or, with `VENUE_WIDE`, of all feeds of an instrument or of a venue.
 *
 * A connector repeats the venue-wide status at a steady pace: it is the venue's sign of life while its market is quiet. An aggregator
 * does the same with the venue `consolidated`. A consolidated quote is current only while the aggregator that published it, known by its
 * `epoch`, gives this sign of life.
 */
export interface Status {
  type: "status";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * The kind of the feed, `trade` or `candle:1m`, or `VENUE_WIDE`.
   */
  kind: string;
  state: FeedState;
  reason: string;
  /**
   * Of a venue-wide status: our clock minus the venue's, ns, as the smallest `received_ts` - `venue_ts` of the last minute. It includes the shortest transit time of a frame. Negative: the venue's clock is ahead of ours. Null where it is not known.
   */
  clock_offset_ns: bigint | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * Events are missing from the tape: which, from when to when, how many if known, and why. With `repaired`: they have come after all.
 */
export interface Gap {
  type: "gap";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  kind: string;
  from_ts: bigint;
  to_ts: bigint;
  /**
   * How many events are missing; null where that is not known.
   */
  missed: number | null;
  cause: GapCause;
  /**
   * True: `missed` trades of a gap that was reported before are on the tape now, with `backfilled` set. If `from_ts`, `to_ts` and `cause` are those of that gap, nothing of it is missing any more; if the times are narrower, a part came and no more is being fetched. The sum of `missed` minus that of repaired gaps is at least what is missing, and exactly that when nothing is being fetched.
   */
  repaired: boolean;
  /**
   * Of a repaired gap: how many of the `missed` ids never existed. By REST, the venue has the trades on both sides and none between, so no trade comes for these ids. Negative, with `missed` 0: trades came after all for this many ids that were counted before.
   */
  nonexistent: number;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * The consolidated quote: the best price over the legs that count, and why each leg counts or not.
 */
export interface Cbbo {
  type: "cbbo";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * The time at which the quote is valid.
   */
  ts: bigint;
  bid_price: Decimal | null;
  bid_size: Decimal | null;
  bid_venues: string[];
  ask_price: Decimal | null;
  ask_size: Decimal | null;
  ask_venues: string[];
  mid: Decimal | null;
  spread: Decimal | null;
  spread_bps: Decimal | null;
  market: Market;
  /**
   * How many legs count.
   */
  venues: number;
  vwap: {
    [k: string]: Vwap;
  };
  legs: Leg[];
  method: string;
  /**
   * Of a composite: the rates by which its parts are converted. The prices of its legs are converted already.
   */
  rates: Rate[];
  /**
   * Of a composite: its parts, in the order of the settings.
   */
  parts: Part[];
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * Volume-weighted average price of one window.
 */
export interface Vwap {
  /**
   * Null when nothing traded.
   */
  price: Decimal | null;
  volume: Decimal;
  trades: number;
  /**
   * True only while it is known that the window holds all its trades and no others: everything back to the window's start was read, no gap is unrepaired, every venue that trades the instrument is connected, and the clocks agree.
   */
  complete: boolean;
}
/**
 * One venue's part of a consolidated quote, and the input it came from.
 */
export interface Leg {
  venue: string;
  bid_price: Decimal | null;
  bid_size: Decimal | null;
  ask_price: Decimal | null;
  ask_size: Decimal | null;
  /**
   * `received_ts` of the input; the leg's age is the quote's `ts` minus this.
   */
  quote_ts: bigint | null;
  state: FeedState;
  excluded: Exclusion | null;
  epoch: bigint;
  seq: number;
  /**
   * Kind of the input, `quote` or `book`. Together with it, `epoch` and `seq` identify one event of the stream `tape:KIND:INSTRUMENT`.
   */
  kind: string;
  /**
   * The instrument of the input where it is another one, as in a composite; else null. A venue may have several legs in a composite.
   */
  instrument: string | null;
}
/**
 * The rate by which the part of a composite in another quote currency is converted.
 */
export interface Rate {
  /**
   * The pair that it comes from: `USDT-USD`. The part's own quote currency times `rate` is the composite's.
   */
  instrument: string;
  /**
   * The instrument that it converts: `BTC-USDT`.
   */
  part: string;
  /**
   * The mid of the pair's newest consolidated quote that is `normal` or `locked`; null if there was none yet.
   */
  rate: Decimal | null;
  /**
   * `ts` of that quote.
   */
  rate_ts: bigint | null;
  epoch: bigint;
  /**
   * With `epoch`: the event of the stream `tape:cbbo:INSTRUMENT` that it came from.
   */
  seq: number;
  /**
   * Why the part does not count; null: it counts.
   */
  excluded: Exclusion | null;
}
/**
 * One part of a composite, and the event of it that was used.
 */
export interface Part {
  instrument: string;
  epoch: bigint;
  /**
   * With `epoch`: the part's event of the same kind, on `tape:cbbo:INSTRUMENT` or `tape:depth:INSTRUMENT`. 0: there was none.
   */
  seq: number;
  /**
   * Why the part does not count; null: it counts.
   */
  excluded: Exclusion | null;
}
/**
 * One interval of trading, built from the trades on the tape: of one venue or, with the venue `consolidated`, of all.
 *
 * It comes while it is open, at most a few times a second, then closed, and again with the next `revision` if trades for it come later.
 * Keep the bar with the highest revision of a venue and `open_ts`.
 */
export interface Bar {
  type: "bar";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * `1s`, `1m`, `1h` …: one of `timeframes.TIMEFRAMES`, aligned to UTC, weeks to Monday.
   */
  timeframe: string;
  open_ts: bigint;
  /**
   * The end of the interval, which is the `open_ts` of the next one: a trade at this moment is not in it.
   */
  close_ts: bigint;
  /**
   * Price of the first trade. Without trades all four prices are the last close before; null before the first trade.
   */
  open: Decimal | null;
  high: Decimal | null;
  low: Decimal | null;
  close: Decimal | null;
  /**
   * Base units.
   */
  volume: Decimal;
  /**
   * The sum of price × size, exact.
   */
  quote_volume: Decimal;
  trades: number;
  /**
   * The part of `volume` whose taker bought, in base units; null if a venue does not say the taker of a trade.
   */
  taker_buy_volume: Decimal | null;
  closed: boolean;
  /**
   * 0 when it is closed for the first time, then one more for each later change.
   */
  revision: number;
  /**
   * Whether it is known that it holds all trades of its interval and no others. Never before it is closed.
   */
  complete: boolean;
  method: string;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * The consolidated book: the best levels over the venues that count in the consolidated quote, best first.
 */
export interface Depth {
  type: "depth";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  /**
   * The time at which it is valid.
   */
  ts: bigint;
  bids: [Decimal, Decimal, [string, Decimal][]][];
  asks: [Decimal, Decimal, [string, Decimal][]][];
  /**
   * The most levels of each side.
   */
  levels: number;
  /**
   * One for each size of the settings `aggregator.sweep_sizes`.
   */
  sweeps: Sweep[];
  legs: DepthLeg[];
  /**
   * Of a composite: the rates by which its parts are converted.
   */
  rates: Rate[];
  method: string;
  /**
   * Of a composite: its parts, in the order of the settings.
   */
  parts: Part[];
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * What it would cost to trade one size at once, across the venues of a consolidated book, before fees.
 */
export interface Sweep {
  /**
   * Base units.
   */
  size: Decimal;
  /**
   * Null where the books do not hold the size.
   */
  buy_average: Decimal | null;
  buy_worst: Decimal | null;
  sell_average: Decimal | null;
  sell_worst: Decimal | null;
}
/**
 * One venue's part of a consolidated book, and the book it came from.
 */
export interface DepthLeg {
  venue: string;
  /**
   * `received_ts` of the book.
   */
  book_ts: bigint | null;
  state: FeedState;
  excluded: Exclusion | null;
  epoch: bigint;
  /**
   * With `epoch`: the event of the stream `tape:book:INSTRUMENT`.
   */
  seq: number;
  /**
   * The instrument of the book where it is another one, as in a composite; else null.
   */
  instrument: string | null;
}
/**
 * A pair of venues whose prices cross after both taker fees: one sells below what the other pays.
 *
 * One event when it opens, for each change, and one when it closes. Edges of an older epoch than the newest are closed.
 */
export interface Edge {
  type: "edge";
  venue: string;
  instrument: string;
  /**
   * The venue's own time; null if it gives none.
   */
  venue_ts: bigint | null;
  /**
   * When the frame (or the newest input) was read from the socket, by our clock.
   */
  received_ts: bigint;
  ts: bigint;
  change: EdgeChange;
  buy_venue: string;
  sell_venue: string;
  /**
   * Where one buys: the best ask of `buy_venue`. Null when the edge closed and this leg has no such price.
   */
  ask_price: Decimal | null;
  /**
   * Where one sells: the best bid of `sell_venue`.
   */
  bid_price: Decimal | null;
  /**
   * Base units that both books hold at prices that cross after fees. Null where a book is not live, and when the edge closes.
   */
  size: Decimal | null;
  /**
   * 10,000 × (bid - ask) / ask.
   */
  gross_bps: Decimal | null;
  /**
   * The same with both fees paid: 10,000 × (bid × (1 - sell fee) - ask × (1 + buy fee)) / (ask × (1 + buy fee)).
   */
  net_bps: Decimal | null;
  buy_fee_bps: Decimal;
  sell_fee_bps: Decimal;
  /**
   * When this edge opened; with the two venues, it identifies it.
   */
  opened_ts: bigint;
  /**
   * The event that `ask_price` came from.
   */
  buy: InputEvent | null;
  sell: InputEvent | null;
  /**
   * Of an edge that closed: why. `prices`: they do not cross after fees any more; `one_sided`: a leg has no such price any more; else the `Exclusion` of the leg that does not count any more.
   */
  reason: string;
  method: string;
  /**
   * With `sell_book`: the two books that `size` came from; null where `size` is.
   */
  buy_book: InputEvent | null;
  sell_book: InputEvent | null;
  /**
   * Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs of one producer; do not use an epoch as a time.
   */
  epoch: bigint;
  /**
   * 1, 2, 3 … without a gap per (stream, venue, epoch).
   */
  seq: number;
}
/**
 * Names one event on the tape: entry `epoch`, `seq` of its venue in the stream `tape:KIND:INSTRUMENT`.
 */
export interface InputEvent {
  kind: string;
  epoch: bigint;
  seq: number;
}
