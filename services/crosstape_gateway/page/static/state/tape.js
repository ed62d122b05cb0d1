/**
 * What the page knows of the tape. Pure: messages go in by `apply`, which says what they changed; no DOM, no network, no timer. Of states only
 * the newest is kept, of events a bounded number.
 *
 * After a reconnect the gateway sends events again from two seconds before: what is known already is dropped by (topic, venue, epoch, seq).
 */

import { Clock } from "./clock.js";
import { Contact } from "./contact.js";
import { CONSOLIDATED, SignsOfLife } from "./life.js";

export const NOTICES = 200;
const FEEDS = 20_000;
const SEEN = 5000;
const CLOSED = 2000;

/** Returns the topic, without a venue, of an event. */
export function topicOf(event) {
  const kind = event.timeframe ? `${event.type}:${event.timeframe}` : event.type;
  if (event.instrument === "*") return `venue:${event.venue}`;
  return `${kind}:${event.instrument}`;
}

export class Tape {
  constructor(read = Date.now) {
    this.clock = new Clock(read);
    this.life = new SignsOfLife();
    this.contact = new Contact(this.clock);
    this.quotes = new Map(); // instrument → cbbo
    this.depths = new Map(); // instrument → depth
    this.edges = new Map(); // key → edge that is open
    this.edgesKnown = false; // whether it has been said which ones are open
    this.feeds = new Map(); // "venue kind instrument" → status
    this.venues = new Map(); // venue → newest venue-wide status
    this.notices = []; // newest first
    this.version = "";
    this.dropped = 0; // notices that the bound has dropped
  }

  #seen = new Set(); // "topic venue epoch seq" of the newest gaps
  #edgeEpochs = new Map(); // instrument → newest epoch of its edges
  #closed = new Map(); // key of an edge that has closed → its seq: a repeat does not open it again

  /** Apply one message. Returns what it changed: "quote", "depth", "edges", "venues", "notices", "bar", "bus", "clock", or null. */
  apply(message) {
    this.contact.heard();
    switch (message.type) {
      case "cbbo":
        return keep(this.quotes, message) ? "quote" : null;
      case "depth":
        return keep(this.depths, message) ? "depth" : null;
      case "edge":
        return this.#edge(message);
      case "status":
        return this.#status(message);
      case "gap":
        return this.#first(message) ? this.#notice(message) : null;
      case "bar":
      case "candle":
        return "bar";
      case "connected":
        this.clock.learn(message.ts);
        this.version = message.version;
        if (this.contact.busAwaySince === null) return "clock";
        this.contact.bus(null); // the gateway says it again if it is so
        return "bus";
      case "heartbeat":
        this.clock.learn(message.ts);
        return "clock";
      case "bus":
        return this.#bus(message);
      case "missed":
      case "error":
        if (message.code === "not_on_tape") return null; // book and chart say what there is none of
        return this.#notice({ ...message, received_ts: this.#nowTs() });
      default:
        return null; // a kind that only a newer gateway has
    }
  }

  /** Forget the books of other instruments than this one: their stream is not followed any more. */
  keepDepth(instrument) {
    for (const name of this.depths.keys()) if (name !== instrument) this.depths.delete(name);
  }

  /** Apply the answer of a request for open edges. `known`: the keys of those that were open when it was asked; what it lacks has closed. */
  setEdges(edges, known) {
    this.edgesKnown = true;
    for (const edge of edges) this.#edge(edge);
    const listed = new Set(edges.map(edgeKey));
    for (const key of known) if (!listed.has(key)) this.edges.delete(key);
  }

  /** Drop what cannot become current again: edges whose aggregator has been silent for longer than `ms`. Returns whether there were any. */
  tidy(silentMs = 60_000) {
    const before = this.edges.size;
    for (const [key, edge] of this.edges) {
      const given = this.life.givenBy(edge);
      if (given !== null && this.contact.knowsSilent(given, silentMs)) this.edges.delete(key);
    }
    return this.edges.size !== before;
  }

  /** Whether the producer of an event is alive, as far as the bus shows it. */
  isCurrent(event) {
    return this.contact.away === null && this.life.isCurrent(event, this.clock.read());
  }

  /** Whether nothing of the market is known yet. */
  get isEmpty() {
    return !this.quotes.size && !this.venues.size && !this.feeds.size;
  }

  #edge(edge) {
    const epoch = this.#edgeEpochs.get(edge.instrument);
    if (epoch !== undefined && edge.epoch < epoch) return null;
    if (epoch !== edge.epoch) {
      this.#edgeEpochs.set(edge.instrument, edge.epoch); // edges of an older epoch than the newest are closed
      for (const [key, one] of this.edges) if (one.instrument === edge.instrument) this.edges.delete(key);
    }
    const key = edgeKey(edge);
    const before = this.edges.get(key);
    if (edge.seq <= (before?.seq ?? this.#closed.get(key) ?? 0)) return null;
    if (edge.change === "close") {
      this.edges.delete(key);
      this.#closed.set(key, edge.seq);
      if (this.#closed.size > CLOSED) this.#closed.delete(this.#closed.keys().next().value);
    } else {
      this.edges.set(key, edge);
    }
    return "edges";
  }

  #status(status) {
    if (status.instrument === "*") {
      this.life.apply(status, this.clock.read(), this.clock.now());
      if (status.kind === "*" || status.venue === CONSOLIDATED) {
        const before = this.venues.get(status.venue);
        if (isNews(status, before)) this.venues.set(status.venue, status);
      }
      return "venues";
    }
    const key = `${status.venue} ${status.kind} ${status.instrument}`;
    if (!isNews(status, this.feeds.get(key))) return null;
    this.feeds.delete(key); // so that the order is that of change
    this.feeds.set(key, status);
    if (this.feeds.size > FEEDS) this.feeds.delete(this.feeds.keys().next().value);
    return "venues";
  }

  #bus(message) {
    const away = message.state === "away";
    const was = this.contact.busAwaySince !== null;
    this.contact.bus(away ? message.since_ts : null);
    if (away !== was) this.#notice({ ...message, received_ts: this.#nowTs() });
    return "bus";
  }

  #notice(notice) {
    const older = this.notices.findIndex((one) => one.received_ts <= notice.received_ts);
    this.notices.splice(older < 0 ? this.notices.length : older, 0, notice);
    if (this.notices.length > NOTICES) {
      this.notices.length = NOTICES;
      this.dropped += 1;
    }
    return "notices";
  }

  /** Whether an event has not been here before. Resuming repeats some; a poll has the newest before the stream has those before it. */
  #first(event) {
    const id = `${topicOf(event)} ${event.venue} ${event.epoch} ${event.seq}`;
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > SEEN) this.#seen.delete(this.#seen.values().next().value);
    return true;
  }

  #nowTs() {
    return BigInt(Math.round(this.clock.now())) * 1_000_000n;
  }
}

/** Identifies one edge. */
export const edgeKey = (edge) => `${edge.instrument} ${edge.buy_venue} ${edge.sell_venue} ${edge.opened_ts}`;

/** Whether an event says something else than the one before it: the order of arrival decides, repeats are dropped. */
const isNews = (event, before) => !before || before.epoch !== event.epoch || event.seq > before.seq;

/** Keep an event as its instrument's newest, if it is news. */
function keep(newest, event) {
  if (!isNews(event, newest.get(event.instrument))) return false;
  newest.set(event.instrument, event);
  return true;
}
