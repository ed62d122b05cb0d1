// Server-Sent Events, read with `fetch`: EventSource sends no Authorization header, gives up for good after one answer of a proxy, and does
// not exist in Node.

import type { Attempt, Transport } from "../connection.js";
import { ProtocolError, errorOf } from "../errors.js";
import { EventStream } from "../event-stream.js";
import { parse } from "../json.js";
import type { Message } from "../messages.js";
import type { Access } from "./access.js";

export class SseTransport implements Transport {
  readonly #access: Access;
  readonly #gatherMs: number | undefined;

  constructor(access: Access, gatherMs: number | undefined) {
    this.#access = access;
    this.#gatherMs = gatherMs;
  }

  async run(attempt: Attempt): Promise<void> {
    const query: Record<string, string> = { topics: attempt.topics.join(",") };
    if (attempt.after) query["after"] = attempt.after;
    if (this.#gatherMs !== undefined) query["gather_ms"] = String(this.#gatherMs);
    const response = await this.#access.request("/api/stream", query, "text/event-stream", attempt.signal);
    if (!response.ok) throw await errorOf(response);
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("text/event-stream") || !response.body) {
      await response.body?.cancel();
      throw new ProtocolError(`${this.#access.url}/api/stream: expected text/event-stream, got ${type || "no content"}`);
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const stream = new EventStream();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const { data, id } of stream.push(decoder.decode(value, { stream: true }))) attempt.receive(parse(data) as Message, id);
    }
  }
}
