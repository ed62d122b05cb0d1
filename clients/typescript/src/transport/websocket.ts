// WebSocket. Topics change without a new connection. Browsers have it, and Node from 22 on; on Node 20 a class such as that of the package
// `ws` is given to `Tape`. A browser cannot set a header: there a session is opened first, which works for pages of the gateway's own site.

import type { Attempt, Transport } from "../connection.js";
import { AccessError, ConnectionLost, CrosstapeError, RequestError, errorOf } from "../errors.js";
import { parse } from "../json.js";
import type { Message } from "../messages.js";
import type { Access } from "./access.js";

/** The part of the standard WebSocket that is used. */
export interface WebSocketLike {
  binaryType: string;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketClass = new (url: string, options?: never) => WebSocketLike;

/** Whether this runs in a browser, where a WebSocket takes no headers. */
const IN_PAGE = (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === undefined;

interface Closing {
  code: number;
  reason: string;
}

export class WebSocketTransport implements Transport {
  readonly #access: Access;
  readonly #url: string;
  readonly #WebSocket: new (url: string, options?: object) => WebSocketLike;
  #socket: WebSocketLike | undefined;
  #requests = 0;
  /** Topics of requests that are not answered yet. */
  readonly #asked = new Map<number, readonly string[]>();

  /** Throws CrosstapeError where there is no WebSocket. */
  constructor(access: Access, gatherMs: number | undefined, given: WebSocketClass | undefined) {
    const found = given ?? (globalThis.WebSocket as WebSocketClass | undefined);
    if (!found) {
      throw new CrosstapeError(
        'there is no WebSocket here (Node has it from version 22 on): use transport: "sse", or give a class as WebSocket',
      );
    }
    this.#access = access;
    this.#url = `${access.url.replace(/^http/, "ws")}/ws${gatherMs === undefined ? "" : `?gather_ms=${gatherMs}`}`;
    this.#WebSocket = found as new (url: string, options?: object) => WebSocketLike;
  }

  async run(attempt: Attempt): Promise<void> {
    const token = await this.#access.token();
    const options = token === undefined ? undefined : await this.#authorize(token, attempt.signal);
    const opened = await this.#converse(attempt, options);
    if (!opened && !attempt.signal.aborted) {
      await this.#explain(attempt.signal);
      throw new ConnectionLost(`cannot connect to ${this.#url}`);
    }
  }

  change(added: string[][], removed: string[]): void {
    for (const topics of added) this.#ask("subscribe", topics);
    if (removed.length) this.#ask("unsubscribe", removed);
  }

  #ask(op: "subscribe" | "unsubscribe", topics: readonly string[], after = ""): void {
    const id = ++this.#requests;
    if (op === "subscribe") this.#asked.set(id, topics);
    this.#socket?.send(JSON.stringify({ op, topics, id, ...(after ? { after } : {}) }));
  }

  /** Returns the options that show the token; a page opens a session in their place. */
  async #authorize(token: string, signal: AbortSignal): Promise<object | undefined> {
    if (!IN_PAGE) return { headers: { Authorization: `Bearer ${token}` } };
    const response = await this.#access.openSession(token, signal);
    if (!response.ok) throw await errorOf(response);
    await response.body?.cancel();
    if (await this.#access.hasSession(signal)) return undefined;
    throw new AccessError('this page cannot have a session with the gateway, since it is of another site: use transport: "sse"', 401);
  }

  /** Returns whether there was a connection, when it has ended; throws if it ended otherwise than by us. */
  #converse(attempt: Attempt, options: object | undefined): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const socket = options ? new this.#WebSocket(this.#url, options) : new this.#WebSocket(this.#url);
      this.#asked.clear();
      let open = false;
      const end = (error?: Error): void => {
        attempt.signal.removeEventListener("abort", abort);
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.onerror = () => undefined; // the package `ws` throws an error that nobody handles
        if (this.#socket === socket) this.#socket = undefined;
        socket.close();
        if (error) reject(error);
        else resolve(open);
      };
      const abort = (): void => end();
      attempt.signal.addEventListener("abort", abort);
      socket.onopen = () => {
        open = true;
        this.#socket = socket;
        const fresh = new Set(attempt.groups.flat());
        const accepted = attempt.topics.filter((topic) => !fresh.has(topic));
        for (const topics of [accepted, ...attempt.groups]) if (topics.length) this.#ask("subscribe", topics, attempt.after);
      };
      socket.onmessage = ({ data }: { data: unknown }) => {
        try {
          for (const line of String(data).split("\n")) {
            const message = line && (parse(line) as Message);
            if (message && !this.#isRefusal(message, attempt)) attempt.receive(message);
          }
        } catch (error) {
          end(error as Error);
        }
      };
      socket.onclose = ({ code, reason }: Closing) => {
        end(open ? new ConnectionLost(`the connection was closed (${code}${reason && `: ${reason}`})`) : undefined);
      };
      // Node 20 fires no close event when it could not connect.
      socket.onerror = ({ message }: { message?: string }) => {
        end(open ? new ConnectionLost(`the connection failed${message ? `: ${message}` : ""}`) : undefined);
      };
    });
  }

  /** Reports a refused subscription; returns whether the message was one. */
  #isRefusal(message: Message, attempt: Attempt): boolean {
    if (message.type === "subscribed") this.#asked.delete(Number(message.id));
    if (message.type !== "error") return false;
    const topics = this.#asked.get(Number(message.id));
    if (!topics) return false;
    this.#asked.delete(Number(message.id));
    attempt.refuse(topics, new RequestError(message.message, 0, message.code));
    return true;
  }

  /** A refused WebSocket does not say why: asks by HTTP, and throws the answer if it is a refusal. */
  async #explain(signal: AbortSignal): Promise<void> {
    const response = await this.#access.request("/api/venues", {}, "application/json", signal).catch(() => undefined);
    if (response && !response.ok) throw await errorOf(response);
    await response?.body?.cancel();
  }
}
