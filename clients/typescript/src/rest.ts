// Asks the gateway by REST.

import { ProtocolError, errorOf } from "./errors.js";
import { parse } from "./json.js";
import type { Access } from "./transport/access.js";

/** A moment: ns since the epoch UTC, or a Date. */
export type Moment = bigint | Date;

/** Rows of one answer. */
export interface Page<T> {
  rows: T[];
  /** Whether there are more than the answer holds. */
  more: boolean;
  /** The gateway's clock, ns. */
  ts: bigint;
  /** Of trades: asks for those before, or behind, this page. */
  before?: string;
  after?: string;
}

export type Parameters = Record<string, string | number | bigint | Date | undefined>;

const NS_PER_MS = 1_000_000n;

export class Rest {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  /** Returns the JSON object of an answer. Throws `RequestError` or `AccessError` for a refusal, `ProtocolError` for any other answer. */
  async get(path: string, parameters: Parameters, signal?: AbortSignal): Promise<Record<string, unknown>> {
    const query: Record<string, string> = {};
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) query[name] = value instanceof Date ? String(BigInt(value.getTime()) * NS_PER_MS) : String(value);
    }
    const response = await this.#access.request(path, query, "application/json", signal);
    if (!response.ok) throw await errorOf(response);
    const text = await response.text();
    let body: unknown;
    try {
      body = parse(text);
    } catch (error) {
      throw new ProtocolError(`${path}: the answer is no JSON`, { cause: error });
    }
    if (body === null || typeof body !== "object" || Array.isArray(body)) throw new ProtocolError(`${path}: the answer is no JSON object`);
    return body as Record<string, unknown>;
  }

  /** Returns the rows of an answer. Throws as `get` does. */
  async rows<T>(path: string, name: string, parameters: Parameters, signal?: AbortSignal): Promise<Page<T>> {
    const body = await this.get(path, parameters, signal);
    const rows = body[name];
    if (!Array.isArray(rows)) throw new ProtocolError(`${path}: the answer has no list "${name}"`);
    const { ts, before, after } = body;
    return {
      rows: rows as T[],
      more: body["more"] === true,
      ts: typeof ts === "bigint" ? ts : 0n,
      ...(typeof before === "string" ? { before } : {}),
      ...(typeof after === "string" ? { after } : {}),
    };
  }
}
