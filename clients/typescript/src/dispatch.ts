// Passes what comes over the connection on to the subscriptions: each event once, with reports of missing ones in order.

import { Connection, type ConnectionState, type Owner, type Timing, type Transport } from "./connection.js";
import { CrosstapeError, RequestError } from "./errors.js";
import type { TapeEvent } from "./events.js";
import type { Failed, Message, Missed, NotOnTape } from "./messages.js";
import { Numbering } from "./numbering.js";
import type { Subscription } from "./subscription.js";
import { isEvent, stateKey, streamOf } from "./topics.js";

export type Any = TapeEvent | Missed;

/** Codes by which the gateway refuses what a topic says, and not that the tape has nothing of it yet. */
const REFUSALS = ["bad_topic", "unknown_kind", "unknown_timeframe", "too_many_topics", "too_long"];

const NOT_ON_TAPE = "not_on_tape";

/** Asks for the topics. Throws `RequestError` if the gateway refuses them. */
export type Probe = (topics: readonly string[]) => Promise<unknown>;

export class Dispatch implements Owner {
  readonly #connection: Connection;
  readonly #probe: Probe;
  readonly #onState: (state: ConnectionState) => void;
  readonly #subscriptions = new Set<Subscription<Any>>();
  readonly #numbering = new Numbering();
  /** Topics as they were asked for → those that the gateway sends in their place. */
  readonly #resolved = new Map<string, string>();
  /** By topic: what the tape does not have, for subscriptions that come later. */
  readonly #absent = new Map<string, NotOnTape>();
  /** The newest states of each stream, for subscriptions that come later. Of open bars only the newest of a venue is kept. */
  readonly #states = new Map<string, Map<string, TapeEvent>>();

  constructor(transport: Transport, timing: Timing, probe: Probe, onState: (state: ConnectionState) => void) {
    this.#probe = probe;
    this.#onState = onState;
    this.#connection = new Connection(transport, this, timing);
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  add(subscription: Subscription<Any>): void {
    this.#subscriptions.add(subscription);
    subscription.resolve(this.#resolved);
    this.#pushStates(subscription);
    if (this.#absent.size) queueMicrotask(() => this.#absent.forEach((notice) => subscription.tell(notice)));
    this.#connection.update();
  }

  remove(subscription: Subscription<Any>): void {
    if (!this.#subscriptions.delete(subscription)) return;
    const followed = (stream: string, venue: string): boolean => [...this.#subscriptions].some((one) => one.includes(stream, venue));
    this.#numbering.prune(followed);
    for (const topic of this.#absent.keys()) if (![...this.#subscriptions].some((one) => one.follows(topic))) this.#absent.delete(topic);
    const asked = new Set(this.groups().flat());
    for (const topic of this.#resolved.keys()) if (!asked.has(topic)) this.#resolved.delete(topic);
    for (const [stream, states] of this.#states) {
      for (const [key, { venue }] of states) if (!followed(stream, venue)) states.delete(key);
      if (!states.size) this.#states.delete(stream);
    }
    this.#connection.update();
  }

  close(): void {
    this.#connection.close();
    for (const one of this.#subscriptions) one.end({});
  }

  groups(): string[][] {
    return [...this.#subscriptions].map((one) => one.topics.map(String));
  }

  changed(state: ConnectionState): void {
    this.#onState(state);
  }

  /** Subscriptions that get other topics than before get the states that came for others already. */
  resolved(topics: Record<string, string>): void {
    for (const [asked, followed] of Object.entries(topics)) this.#resolved.set(asked, followed);
    for (const one of this.#subscriptions) if (one.resolve(this.#resolved)) this.#pushStates(one);
  }

  receive(message: Message): void {
    switch (message.type) {
      case "missed":
        return this.#miss(message);
      case "connected":
      case "subscribed":
      case "unsubscribed":
      case "heartbeat":
      case "bus":
        return;
      case "error":
        return this.#fail(message);
      default:
        if (typeof message.seq === "number") this.#pass(message); // else of a newer gateway, and no event
    }
  }

  async refuse(topics: readonly string[] | undefined, error: CrosstapeError): Promise<void> {
    const refused = [...this.#subscriptions].filter((one) => !topics || one.topics.some((topic) => topics.includes(String(topic))));
    if (topics && refused.length > 1) {
      const errors = await Promise.all(refused.map((one) => this.#ask(one)));
      if (errors.some(Boolean)) {
        refused.forEach((one, index) => errors[index] && one.end({ error: errors[index] }));
        return;
      }
    }
    for (const one of refused) one.end({ error });
  }

  async #ask(subscription: Subscription<Any>): Promise<RequestError | undefined> {
    try {
      await this.#probe(subscription.topics.map(String));
      return undefined;
    } catch (error) {
      return error instanceof RequestError && REFUSALS.includes(error.code) ? error : undefined;
    }
  }

  #pass(event: TapeEvent): void {
    const stream = streamOf(event);
    const found = this.#numbering.check(event);
    if (found === "seen") return;
    if (this.#absent.size) for (const topic of [stream, `${stream}@${event.venue}`]) this.#absent.delete(topic);
    if (!isEvent(event)) {
      const key = event.type === "status" ? stateKey(event) : event.venue;
      const states = this.#states.get(stream);
      if (states) states.set(key, event);
      else this.#states.set(stream, new Map([[key, event]]));
    }
    for (const one of this.#subscriptions) {
      if (!one.includes(stream, event.venue)) continue;
      if (found !== "new") one.push(found);
      one.push(event);
    }
  }

  #miss(missed: Missed): void {
    this.#numbering.report(missed);
    for (const one of this.#subscriptions) {
      if (one.concerns(missed.topic, missed.venue)) one.push(missed);
    }
  }

  #fail({ code, topic, nearest = [], message }: Failed): void {
    if (code !== NOT_ON_TAPE || topic === undefined) return;
    const notice = { topic, nearest, message };
    this.#absent.set(topic, notice);
    for (const one of this.#subscriptions) one.tell(notice);
  }

  #pushStates(subscription: Subscription<Any>): void {
    for (const [stream, states] of this.#states) {
      for (const event of states.values()) if (subscription.includes(stream, event.venue)) subscription.push(event);
    }
  }
}
