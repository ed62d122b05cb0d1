// Keeps one connection to the gateway for as long as there are topics: connects, watches for silence, reconnects, and resumes where it was.

import { Backoff } from "./backoff.js";
import { ConnectionLost, CrosstapeError, RequestError } from "./errors.js";
import type { Message } from "./messages.js";

/** The state of a tape's connection. */
export interface ConnectionState {
  /** `idle`: nothing is subscribed. `connecting`: for the first time, or for other topics. `reconnecting`: it waits, or tries again. */
  state: "idle" | "connecting" | "live" | "reconnecting" | "closed";
  /** Whether the gateway has no bus at the moment: nothing is current, and no event is lost. */
  busAway: boolean;
  /** Why the last connection ended. */
  reason?: Error;
  /** Seconds until the next attempt. */
  retryInS?: number;
}

/** One connection, as a transport opens it. */
export interface Attempt {
  topics: string[];
  /** Topics that the gateway has not accepted yet, in groups that are accepted or refused together. */
  groups: string[][];
  /** The id behind which to resume; empty: from now on. */
  after: string;
  signal: AbortSignal;
  /** Called with each message, in order, and the id up to which all was sent, where one stands on it. */
  receive(message: Message, id?: string): void;
  /** Called when the gateway refuses topics and the connection goes on. */
  refuse(topics: readonly string[], error: RequestError): void;
}

/** Opens connections. `run` resolves or throws when the connection has ended: a `RequestError` for what the gateway itself refuses. */
export interface Transport {
  run(attempt: Attempt): Promise<void>;
  /** Changes the topics of the open connection; without it, a new connection is made. */
  change?(added: string[][], removed: string[]): void;
}

/** What the connection serves. */
export interface Owner {
  /** Each subscription's topics. */
  groups(): string[][];
  receive(message: Message): void;
  /** The gateway sends these topics in place of others that were asked for. */
  resolved(topics: Record<string, string>): void;
  /** The gateway refuses these topics; `undefined`: everything. */
  refuse(topics: readonly string[] | undefined, error: CrosstapeError): Promise<void> | void;
  changed(state: ConnectionState): void;
}

export interface Timing {
  /** How often the gateway sends a heartbeat, seconds, until it says so itself. */
  heartbeatS: number;
  /** Without a message for so many heartbeats the connection is lost. */
  heartbeats: number;
  firstDelayS: number;
  mostDelayS: number;
}

const GATHER_CHANGES_MS = 10;
const NS_PER_MS = 1_000_000n;

export class Connection {
  readonly #transport: Transport;
  readonly #owner: Owner;
  readonly #timing: Timing;
  readonly #backoff: Backoff;
  #state: ConnectionState = { state: "idle", busAway: false };
  #running = false;
  #closed = false;
  #after = "";
  #topics = new Set<string>();
  readonly #accepted = new Set<string>();
  #heartbeatS: number;
  #everLive = false;
  #lastMessage = 0;
  #attempt: AbortController | undefined;
  #wake: (() => void) | undefined;
  #look: (() => void) | undefined;
  #changing: ReturnType<typeof setTimeout> | undefined;

  constructor(transport: Transport, owner: Owner, timing: Timing) {
    this.#transport = transport;
    this.#owner = owner;
    this.#timing = timing;
    this.#heartbeatS = timing.heartbeatS;
    this.#backoff = new Backoff(timing.firstDelayS, timing.mostDelayS);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Looks again at what the owner follows. Changes that come together are made together. */
  update(): void {
    if (this.#closed || this.#changing !== undefined) return;
    this.#changing = setTimeout(
      () => {
        this.#changing = undefined;
        this.#change();
      },
      this.#running ? GATHER_CHANGES_MS : 0,
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#changing);
    this.#attempt?.abort();
    this.#wake?.();
    this.#set({ state: "closed", busAway: false });
  }

  #change(): void {
    const groups = this.#owner.groups();
    const wanted = new Set(groups.flat());
    const added = groups.filter((group) => group.some((topic) => !this.#topics.has(topic)));
    const removed = [...this.#topics].filter((topic) => !wanted.has(topic));
    for (const topic of removed) this.#accepted.delete(topic);
    this.#topics = wanted;
    if (!this.#running) {
      if (wanted.size) void this.#run();
    } else if (!wanted.size) {
      this.#after = ""; // what comes later begins then
      this.#attempt?.abort();
      this.#wake?.();
    } else if (added.length || removed.length) {
      if (this.#state.state === "live" && this.#transport.change) this.#transport.change(added, removed);
      else this.#attempt?.abort();
    }
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (!this.#closed && this.#topics.size) {
      if (this.#state.state !== "reconnecting") this.#set({ state: "connecting", busAway: false });
      const started = Date.now();
      const reason = await this.#connect();
      if (reason === undefined) continue; // the topics changed
      if (await this.#refused(reason)) continue;
      if (Date.now() - started > 1000 * this.#timing.mostDelayS) this.#backoff.reset();
      const retryInS = this.#backoff.next() + ((reason instanceof RequestError && reason.retryAfterS) || 0);
      if (!this.#closed) {
        this.#set({ state: "reconnecting", busAway: false, reason, retryInS });
        await this.#sleep(retryInS);
      }
    }
    this.#running = false;
    if (!this.#closed) {
      this.#set({ state: "idle", busAway: false });
      if (this.#owner.groups().length) this.update();
    }
  }

  /** Connects once. Returns why the connection ended; undefined: we ended it. */
  async #connect(): Promise<Error | undefined> {
    const controller = (this.#attempt = new AbortController());
    let silent: Error | undefined;
    this.#lastMessage = Date.now();
    const stop = this.#watch(() => {
      silent = new ConnectionLost(`no message for ${this.#timing.heartbeats * this.#heartbeatS} s`);
      controller.abort();
    });
    try {
      await this.#transport.run({
        topics: [...this.#topics],
        groups: this.#owner.groups().filter((group) => group.some((topic) => !this.#accepted.has(topic))),
        after: this.#after,
        signal: controller.signal,
        receive: (message, id) => {
          if (controller.signal.aborted) return;
          this.#lastMessage = Date.now();
          this.#receive(message);
          if (id) this.#after = id;
        },
        refuse: (topics, error) => void this.#owner.refuse(topics, error),
      });
      return silent ?? (controller.signal.aborted ? undefined : new ConnectionLost("the gateway ended the connection"));
    } catch (error) {
      if (silent) return silent;
      if (controller.signal.aborted) return undefined;
      return error instanceof CrosstapeError ? error : new ConnectionLost(describe(error), { cause: error });
    } finally {
      stop();
      controller.abort();
    }
  }

  #receive(message: Message): void {
    switch (message.type) {
      case "connected":
        this.#everLive = true;
        this.#heartbeatS = message.heartbeat_s ?? this.#heartbeatS;
        this.#look?.();
        // Until the gateway has read something, it names no id to resume from. Ids begin with the bus's time in ms, and a resumed stream
        // begins two seconds before the id: the gateway's clock is good enough.
        this.#after ||= `${message.ts / NS_PER_MS}-0`;
        this.#accept(message);
        return;
      case "subscribed":
        this.#accept(message);
        return;
      case "heartbeat":
        if (message.id) this.#after = message.id;
        return;
      case "bus":
        this.#set({ ...this.#state, busAway: message.state === "away" });
        return;
      default:
        this.#owner.receive(message);
    }
  }

  /** Notes that the gateway sends these topics. Over WebSocket the first message names none. */
  #accept({ topics, resolved = {} }: { topics: readonly string[]; resolved?: Record<string, string> }): void {
    for (const topic of [...topics, ...Object.keys(resolved)]) this.#accepted.add(topic);
    this.#owner.resolved(resolved);
    if (topics.length && this.#state.state !== "live") this.#set({ state: "live", busAway: this.#state.busAway });
  }

  /** Ends the subscriptions that the gateway refuses for good. Returns whether it was that. */
  async #refused(reason: Error): Promise<boolean> {
    if (!(reason instanceof RequestError)) return false;
    const { status, code } = reason;
    const ours = code !== "" && [400, 401, 403, 404, 414].includes(status);
    const foreign = !this.#everLive && status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429;
    if (!ours && !foreign) return false;
    const fresh = [...this.#topics].filter((topic) => !this.#accepted.has(topic));
    const ofTopics = ours && status !== 401 && status !== 403 && fresh.length > 0;
    await this.#owner.refuse(ofTopics ? fresh : undefined, reason);
    this.#topics = new Set(this.#owner.groups().flat());
    return true;
  }

  /** Calls `lost` when no message came for too long. Returns a function that ends the watch. Timers of hidden pages may be late. */
  #watch(lost: () => void): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (this.#look = (): void => {
      clearTimeout(timer);
      const left = this.#lastMessage + 1000 * this.#timing.heartbeats * this.#heartbeatS - Date.now();
      if (left <= 0) lost();
      else timer = setTimeout(look, left);
    });
    look();
    return () => {
      clearTimeout(timer);
      this.#look = undefined;
    };
  }

  #sleep(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, 1000 * seconds);
      this.#wake = wake;
    });
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#owner.changed(state);
  }
}

/** The texts of an error and its causes: fetch says "fetch failed" and why in its cause. */
function describe(error: unknown): string {
  const texts: string[] = [];
  for (let one = error; one instanceof Error && texts.length < 4; one = one.cause) {
    texts.push(one.message || ("code" in one ? String(one.code) : one.name));
  }
  return texts.join(": ") || String(error);
}
