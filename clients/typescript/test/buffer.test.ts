import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Buffer } from "../src/buffer.js";
import type { TapeEvent } from "../src/events.js";
import type { Missed } from "../src/messages.js";
import { EPOCH, quote, trade } from "./fake-gateway.js";

const event = (one: object): TapeEvent => one as TapeEvent;

function drain(buffer: Buffer): (TapeEvent | Missed)[] {
  const items: (TapeEvent | Missed)[] = [];
  for (let item = buffer.shift(); item; item = buffer.shift()) items.push(item);
  return items;
}

test("the newest state replaces the one before, and stands where it came", () => {
  const buffer = new Buffer(10);
  for (const one of [quote(1), trade(1), quote(2), quote(1, { venue: "binance" }), trade(2)]) buffer.push(event(one));

  assert.deepEqual(drain(buffer), [trade(1), quote(2), quote(1, { venue: "binance" }), trade(2)]);
});

test("of too many events the oldest are dropped, and said in one report before what follows", () => {
  const buffer = new Buffer(2);
  for (let seq = 1; seq <= 5; seq++) buffer.push(event(trade(seq)));
  buffer.push(event(trade(1, { venue: "binance" })));

  assert.deepEqual(drain(buffer), [
    { type: "missed", topic: "trade:BTC-USDT", venue: "kraken", epoch: EPOCH, first_missing: 1, count: 4, reason: "buffer" },
    trade(5),
    trade(1, { venue: "binance" }),
  ]);
});

test("an open bar is a state, a closed one an event", () => {
  const bar = (seq: number, closed: boolean): TapeEvent =>
    event({ type: "bar", timeframe: "1m", instrument: "BTC-USDT", venue: "consolidated", epoch: EPOCH, seq, closed });
  const buffer = new Buffer(10);
  for (const one of [bar(1, false), bar(2, false), bar(3, true), bar(4, false)]) buffer.push(one);

  assert.deepEqual(drain(buffer), [bar(3, true), bar(4, false)]);
});

test("whatever comes and goes: nothing is lost unsaid, order stays, memory is bounded", () => {
  const venue = fc.constantFrom("a", "b", "c");
  const step = fc.oneof(
    { weight: 5, arbitrary: venue.map((one) => ({ push: "trade" as const, venue: one })) },
    { weight: 2, arbitrary: venue.map((one) => ({ push: "quote" as const, venue: one })) },
    { weight: 3, arbitrary: fc.constant("shift" as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 20 }), (steps, limit) => {
      const buffer = new Buffer(limit);
      const numbers: Record<string, number> = {};
      const next: Record<string, number> = {};
      const quotes: Record<string, number> = {};
      const accept = (item: TapeEvent | Missed | undefined): void => {
        if (!item) return;
        if (item.type === "missed") {
          assert.equal(item.first_missing, next[item.venue] ?? 1);
          next[item.venue] = item.first_missing + item.count!;
        } else if (item.type === "trade") {
          assert.equal(item.seq, next[item.venue] ?? 1);
          next[item.venue] = item.seq + 1;
        } else {
          assert.ok(item.seq > (quotes[item.venue] ?? 0));
          quotes[item.venue] = item.seq;
        }
      };
      for (const one of steps) {
        if (one === "shift") accept(buffer.shift());
        else {
          const name = `${one.push} ${one.venue}`;
          const seq = (numbers[name] = (numbers[name] ?? 0) + 1);
          buffer.push(event(one.push === "trade" ? trade(seq, { venue: one.venue }) : quote(seq, { venue: one.venue })));
        }
        assert.ok(buffer.size <= limit + 6);
      }
      drain(buffer).forEach(accept);
      for (const of of ["a", "b", "c"]) {
        assert.equal(next[of] ?? 1, (numbers[`trade ${of}`] ?? 0) + 1);
        assert.equal(quotes[of] ?? 0, numbers[`quote ${of}`] ?? 0);
      }
    }),
  );
});
