// What comes from a gateway besides events of the tape.

import type { TapeEvent } from "./events.js";

/** The first message of a connection. */
export interface Connected {
  type: "connected";
  version: string;
  topics: string[];
  /** The gateway's clock, ns. */
  ts: bigint;
  resumed: boolean;
  /** How often a heartbeat comes at least, seconds. Older gateways do not say it. */
  heartbeat_s?: number;
  /** Topics that were asked for in another spelling → those that are followed in their place. Older gateways do not say it. */
  resolved?: Record<string, string>;
}

/** Events that this program did not get, or dropped. */
export interface Missed {
  type: "missed";
  /** Where they were: `trade:BTC-USDT`. */
  topic: string;
  /** Empty: not known. */
  venue: string;
  epoch: bigint;
  /** The first `seq` that is missing; 0: not known. */
  first_missing: number;
  /** How many are missing; null: not known. */
  count: number | null;
  /**
   * `slow`: this program did not read its connection fast enough. `buffer`: its loop did not take events fast enough, the buffer was full.
   * `trimmed`: they are not on the tape any more, or never were. `resume`: more happened during an outage than is sent again.
   * `numbering`: the numbers of the events show that some did not come.
   */
  reason: "slow" | "buffer" | "trimmed" | "resume" | "numbering";
}

/** The gateway lost the bus, or has it again. */
export interface Bus {
  type: "bus";
  state: "away" | "back";
  since_ts: bigint;
}

/** The connection works. */
export interface Heartbeat {
  type: "heartbeat";
  ts: bigint;
  /** Everything up to this id was sent. */
  id: string;
}

/** A request over WebSocket that was refused; or, with the code `not_on_tape`, a topic that is followed and not on the tape yet. */
export interface Failed {
  type: "error";
  code: string;
  message: string;
  id?: number | string | null;
  topic?: string;
  nearest?: string[];
}

/** A topic that is followed, and of which the tape has nothing yet: its name is wrong, or it comes later. */
export interface NotOnTape {
  /** As it is followed: `cbbo:BTC-USDX`. */
  topic: string;
  /** Topics that the tape has and that were perhaps meant, the nearest first. */
  nearest: readonly string[];
  /** What is missing, in words. */
  message: string;
}

/** The answers to `subscribe` and `unsubscribe` over WebSocket. */
export interface Acknowledged {
  type: "subscribed" | "unsubscribed";
  topics: string[];
  id?: number | string | null;
  resolved?: Record<string, string>;
}

export type Message = TapeEvent | Connected | Missed | Bus | Heartbeat | Failed | Acknowledged;
