/**
 * The page's one stream. A browser opens at most six connections to one gateway, so that each page has one EventSource with all topics in it.
 *
 * EventSource gives up for good after any answer but 200, also when it reconnects by itself, and does not say which it was. So every failure
 * ends here: the EventSource is closed, a request finds out whether a token is missing, and a new one is opened after a growing, jittered
 * delay, from the last id on. After `MISSES` failures the newest events are fetched by requests meanwhile.
 */

import { ApiError, address, get, rowsOf } from "./api.js";
import { parse } from "./json.js";

const FIRST_MS = 500;
const LONGEST_MS = 15_000;
const OPEN_MS = 10_000;
const SILENCE_MS = 20_000;
const MISSES = 2;
export const POLL_MS = 2000;

/** Returns the delay before try `attempt` (0, 1, …): half of it is random, so that pages do not come back all at once. */
export function delayMs(attempt, random = Math.random) {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt) * (0.5 + random() / 2);
}

export class Stream {
  #source = null;
  #topics = [];
  #last = "";
  #misses = 0;
  #timers = {};
  #polling = null; // the poll that runs or comes next
  #round = 0; // grows with each opening and closing: what belongs to an older one is dropped
  #silenceMs = SILENCE_MS;

  /**
   * `onMessage(message)` gets each message of the stream, and each event of a poll. `onState(name, detail)`: connecting, live, reconnecting,
   * polling, or token (one is needed; nothing is tried until `follow` is called again). `onPoll()` is awaited in each poll, for what topics do not have.
   */
  constructor({ onMessage, onState, onPoll, gatherMs = 100 }) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.onPoll = onPoll;
    this.gatherMs = gatherMs;
  }

  /** Returns the id up to which everything has come; empty: not known yet. */
  get last() {
    return this.#last;
  }

  /** Follow these topics instead of those before. */
  follow(topics) {
    this.close();
    this.#topics = topics;
    this.#misses = 0;
    this.onState("connecting", "");
    this.#open();
  }

  /** End the stream, and all tries. */
  close() {
    this.#round += 1;
    this.#source?.close();
    this.#source = null;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    this.#polling = null;
  }

  /** Try again now, if a try is waiting. */
  hurry() {
    if (this.#timers.retry) {
      this.#stop("retry");
      this.#open();
    }
  }

  #open() {
    const round = ++this.#round;
    const parameters = { topics: this.#topics.join(","), gather_ms: this.gatherMs };
    if (this.#last) parameters.after = this.#last;
    const source = new EventSource(address("api/stream", parameters));
    this.#source = source;
    this.#after("open", OPEN_MS, () => this.#failed(round, "no answer; other tabs may hold all connections of this browser to it"));
    source.onmessage = ({ data, lastEventId }) => {
      if (round !== this.#round) return;
      this.#after("silence", this.#silenceMs, () => {
        this.#silenceMs *= 2; // the gateway may have been set to speak more rarely
        this.#failed(round, "the stream went silent");
      });
      if (lastEventId) this.#last = lastEventId;
      for (const text of data.split("\n")) this.#read(text);
    };
    source.onerror = () => this.#failed(round, source.readyState === EventSource.CLOSED ? "the stream was refused" : "the connection was lost");
  }

  #read(text) {
    let message;
    try {
      message = parse(text);
    } catch {
      message = { type: "error", code: "bad_message", message: `not understood: ${text.slice(0, 80)}` };
    }
    if (message.type === "connected") {
      this.#stop("open");
      this.#stop("poll");
      this.#polling = null;
      this.#misses = 0;
      this.onState("live", "");
    } else if (message.type === "heartbeat" && message.id) {
      this.#last = message.id;
    }
    this.onMessage(message);
  }

  #failed(round, why) {
    if (round !== this.#round) return;
    this.#source?.close();
    this.#source = null;
    this.#stop("open");
    this.#stop("silence");
    const attempt = this.#misses++;
    const wait = delayMs(attempt);
    if (!this.#polling) this.onState("reconnecting", why);
    this.#after("retry", wait, () => this.#open());
    if (this.#misses === 1) this.#probe(++this.#round);
    else if (this.#misses >= MISSES && !this.#polling) this.#poll();
  }

  /** Find out what EventSource does not say: whether a token is missing, or how long to wait. */
  async #probe(round) {
    try {
      await get("api/last", { topics: this.#topics[0] });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (round !== this.#round) return;
      if (error.status === 401) this.#denied();
      else if (error.retryMs) this.#after("retry", error.retryMs, () => this.#open());
    }
  }

  async #poll() {
    const mine = {};
    this.#polling = mine;
    let nextMs = POLL_MS * (1 + Math.random() / 4);
    try {
      const answer = await get("api/last", { topics: this.#topics.join(",") });
      if (this.#polling !== mine) return; // the stream came back, or other topics are followed
      this.onState("polling", `every ${POLL_MS / 1000} s; the stream is tried again meanwhile`);
      if (answer.ts !== undefined) this.onMessage({ type: "heartbeat", ts: answer.ts, id: "" });
      for (const event of rowsOf(answer)) this.onMessage(event);
      await this.onPoll?.();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.#polling !== mine) return;
      if (error.status === 401) {
        this.#denied();
        return;
      }
      this.onState("reconnecting", error.message);
      nextMs = Math.max(nextMs, error.retryMs);
    }
    if (this.#polling === mine) this.#after("poll", nextMs, () => this.#poll());
  }

  #denied() {
    this.close();
    this.onState("token", "");
  }

  #after(name, wait, call) {
    this.#stop(name);
    this.#timers[name] = setTimeout(() => {
      delete this.#timers[name];
      call();
    }, wait);
  }

  #stop(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
