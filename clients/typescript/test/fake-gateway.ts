// A gateway that a test scripts: it refuses, cuts, falls silent, and sends what the test wants.

import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";

export interface Stream {
  query: URLSearchParams;
  headers: http.IncomingHttpHeaders;
  /** Sends messages together; the id stands on the last. */
  send(messages: object[], id?: string): void;
  /** Sends text as it is. */
  write(text: string): void;
  /** Ends the connection without a word. */
  cut(): void;
}

/** An answer in place of a stream or rows. */
export interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

const HEAD = { "Content-Type": "text/event-stream", "Cache-Control": "no-store" };

export class FakeGateway {
  readonly streams: Stream[] = [];
  /** Called for each request; an answer that it returns is sent. A stream without one is opened. */
  answer: (path: string, query: URLSearchParams) => Answer | undefined = () => undefined;
  heartbeatS: number | undefined;
  /** Topics as they are asked for → those that are followed in their place. */
  spellings: Record<string, string> = {};
  #server: http.Server | undefined;
  #port = 0;
  readonly #waiting: (() => void)[] = [];

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    this.#server = http.createServer((request, response) => this.#serve(request, response));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Ends as a killed process does; `start` begins again on the same port. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve)); // first, so that no connection comes after those that are closed
    server.closeAllConnections();
    await closed;
  }

  /** Returns the nth stream that a client opens, from 0 on. */
  async stream(n: number): Promise<Stream> {
    while (this.streams.length <= n) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.streams[n]!;
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname, searchParams: query } = new URL(request.url!, this.url);
    const answer = this.answer(pathname, query) ?? (pathname === "/api/stream" ? undefined : { status: 200, body: { events: [] } });
    if (answer) {
      const body = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
      response.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers }).end(body);
      return;
    }
    response.writeHead(200, HEAD);
    const stream: Stream = {
      query,
      headers: request.headers,
      send: (messages, id) => {
        const texts = messages.map((message) => `data: ${encode(message)}\n`);
        if (id && texts.length) texts[texts.length - 1] += `id: ${id}\n`;
        response.write(texts.map((text) => `${text}\n`).join(""));
      },
      write: (text) => response.write(text),
      cut: () => response.destroy(),
    };
    const heartbeat = this.heartbeatS === undefined ? {} : { heartbeat_s: this.heartbeatS };
    const asked = query.get("topics")!.split(",");
    const resolved = Object.fromEntries(asked.filter((topic) => topic in this.spellings).map((topic) => [topic, this.spellings[topic]!]));
    const topics = [...new Set(asked.map((topic) => resolved[topic] ?? topic))];
    stream.send([{ type: "connected", version: "1", topics, resolved, ts: EPOCH, resumed: query.has("after"), ...heartbeat }]);
    this.streams.push(stream);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** JSON with bigint as plain digits, as on the tape. */
export function encode(value: unknown): string {
  const marked = JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? `\u0001${item}` : item));
  return marked.replace(/"\\u0001(-?\d+)"/g, "$1");
}

export const EPOCH = 1_790_000_000_123_456_789n;

export function trade(seq: number, changes: object = {}): object {
  return {
    type: "trade",
    venue: "kraken",
    instrument: "BTC-USDT",
    venue_ts: null,
    received_ts: EPOCH + BigInt(seq),
    price: "100.10",
    size: "0.5",
    taker: "buy",
    trade_id: String(seq),
    backfilled: false,
    epoch: EPOCH,
    seq,
    ...changes,
  };
}

export function quote(seq: number, changes: object = {}): object {
  return {
    type: "quote",
    venue: "kraken",
    instrument: "BTC-USDT",
    venue_ts: null,
    received_ts: EPOCH + BigInt(seq),
    bid_price: "100.10",
    bid_size: "1",
    ask_price: "100.20",
    ask_size: "2",
    state: "live",
    epoch: EPOCH,
    seq,
    ...changes,
  };
}
