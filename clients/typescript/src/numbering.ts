// Finds repeated and missing events by their numbers: `seq` is 1, 2, 3 … per stream, venue and epoch. Pure.

import type { TapeEvent } from "./events.js";
import type { Missed } from "./messages.js";
import { isEvent, streamOf } from "./topics.js";

const EPOCHS = 256;

interface Numbers {
  /** The newest number of any event. */
  newest: number;
  /** The newest number of an event that counts: closed bars, all trades. */
  newestEvent: number;
  /** What is missing up to the next event was reported. */
  reported: boolean;
}

/** The numbers of the events that came on each stream. */
export class Numbering {
  readonly #streams = new Map<string, Map<string, Map<bigint, Numbers>>>();

  /**
   * Returns `new` for an event that did not come before, `seen` for a repeated one or a state older than one that came, and `Missed` for a
   * new event behind missing ones.
   *
   * Nothing is missing before the first event of a venue. Where states and events share numbers (open and closed bars) a gap proves
   * nothing, since states are conflated: there the gateway says what is missing.
   */
  check(event: TapeEvent): "new" | "seen" | Missed {
    const { venue, epoch, seq } = event;
    if (seq === 0) return "new"; // its producer does not number
    const stream = streamOf(event);
    const epochs = this.#epochs(stream, venue);
    const counts = isEvent(event);
    const known = epochs.get(epoch);
    if (known === undefined) {
      const behind = [...epochs].filter(([earlier]) => earlier < epoch);
      const first = behind.length && !behind.some(([, { reported }]) => reported) ? 1 : seq; // we were there when this epoch started
      epochs.set(epoch, { newest: seq, newestEvent: counts ? seq : 0, reported: false });
      if (epochs.size > EPOCHS) epochs.delete([...epochs.keys()].reduce((a, b) => (a < b ? a : b)));
      return isNumberedAlone(event) && seq > first ? missing(stream, event, first) : "new";
    }
    if (seq <= (counts ? known.newestEvent : known.newest)) return "seen";
    const expected = known.newest + 1;
    const { reported } = known;
    known.newest = Math.max(known.newest, seq);
    if (counts) known.newestEvent = seq;
    known.reported = false;
    return isNumberedAlone(event) && !reported && seq > expected ? missing(stream, event, expected) : "new";
  }

  /** Notes what the gateway reports as missing, so that the gap in the numbers is not reported again. */
  report(missed: Missed): void {
    const { venue, epoch, first_missing: first, count } = missed;
    const stream = missed.topic.split("@")[0]!;
    const exact = venue !== "" && first > 0 && count !== null;
    if (exact) {
      const epochs = this.#epochs(stream, venue);
      const known = epochs.get(epoch);
      const last = first + count - 1;
      if (known) known.newest = Math.max(known.newest, last);
      else epochs.set(epoch, { newest: last, newestEvent: 0, reported: false });
      return;
    }
    for (const [of, epochs] of this.#streams.get(stream) ?? []) {
      if (venue === "" || venue === of) for (const numbers of epochs.values()) numbers.reported = true;
    }
  }

  /** Forgets the venues of streams that `keep` does not want any more. */
  prune(keep: (stream: string, venue: string) => boolean): void {
    for (const [stream, venues] of this.#streams) {
      for (const venue of venues.keys()) if (!keep(stream, venue)) venues.delete(venue);
      if (!venues.size) this.#streams.delete(stream);
    }
  }

  #epochs(stream: string, venue: string): Map<bigint, Numbers> {
    let venues = this.#streams.get(stream);
    if (!venues) this.#streams.set(stream, (venues = new Map()));
    let epochs = venues.get(venue);
    if (!epochs) venues.set(venue, (epochs = new Map()));
    return epochs;
  }
}

/** Whether all events of its stream count, so that a skipped number is a missing event. */
function isNumberedAlone(event: TapeEvent): boolean {
  switch (event.type) {
    case "trade":
    case "delta":
    case "liquidation":
    case "edge":
      return true;
    case "gap":
      return event.instrument !== "*"; // those of a whole venue share their stream with its status
    default:
      return false;
  }
}

function missing(topic: string, event: TapeEvent, first: number): Missed {
  const count = event.seq - first;
  return { type: "missed", topic, venue: event.venue, epoch: event.epoch, first_missing: first, count, reason: "numbering" };
}
