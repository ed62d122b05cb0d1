import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TapeEvent } from "../src/events.js";
import type { Missed } from "../src/messages.js";
import { Numbering } from "../src/numbering.js";
import { EPOCH, quote, trade } from "./fake-gateway.js";

const check = (numbering: Numbering, one: object): ReturnType<Numbering["check"]> => numbering.check(one as TapeEvent);

function missed(changes: Partial<Missed> = {}): Missed {
  return {
    type: "missed",
    topic: "trade:BTC-USDT",
    venue: "kraken",
    epoch: EPOCH,
    first_missing: 3,
    count: 2,
    reason: "numbering",
    ...changes,
  };
}

test("repeated events are seen, skipped numbers are missing, and nothing is before the first", () => {
  const numbering = new Numbering();

  assert.equal(check(numbering, trade(1000)), "new");
  assert.equal(check(numbering, trade(1000)), "seen");
  assert.equal(check(numbering, trade(999)), "seen");
  assert.deepEqual(check(numbering, trade(1003)), missed({ first_missing: 1001, count: 2 }));
  assert.equal(check(numbering, trade(1004)), "new");
  assert.equal(check(numbering, trade(1, { venue: "binance" })), "new");
});

test("a later start of the producer begins with number 1", () => {
  const numbering = new Numbering();
  check(numbering, trade(10));

  const found = check(numbering, trade(3, { epoch: EPOCH + 5n }));

  assert.deepEqual(found, missed({ epoch: EPOCH + 5n, first_missing: 1, count: 2 }));
});

test("skipped numbers of states are no loss; older states are left out", () => {
  const numbering = new Numbering();

  assert.deepEqual(
    [5, 9, 9, 7, 10].map((seq) => check(numbering, quote(seq))),
    ["new", "new", "seen", "seen", "new"],
  );
});

test("a closed bar that comes behind a newer open one is not lost", () => {
  const bar = (seq: number, closed: boolean): object => ({
    type: "bar",
    timeframe: "1m",
    instrument: "BTC-USDT",
    venue: "consolidated",
    epoch: EPOCH,
    seq,
    closed,
  });
  const numbering = new Numbering();
  const found = [bar(5, false), bar(9, false), bar(8, true), bar(8, true), bar(6, false), bar(10, true)].map((one) =>
    check(numbering, one),
  );

  assert.deepEqual(found, ["new", "new", "new", "seen", "seen", "new"]);
});

test("what the gateway reports is not reported again from the numbers", () => {
  const numbering = new Numbering();
  check(numbering, trade(2));
  numbering.report(missed({ reason: "slow" }));
  assert.equal(check(numbering, trade(5)), "new");

  numbering.report(missed({ venue: "", epoch: 0n, first_missing: 0, count: null, reason: "trimmed" }));
  assert.equal(check(numbering, trade(50)), "new");
  assert.deepEqual(check(numbering, trade(52)), missed({ first_missing: 51, count: 1 }));
});

test("events that are passed on and those that are missed are all numbers, each once", () => {
  const stretch = fc.record({ skip: fc.nat(3), back: fc.nat(4), length: fc.integer({ min: 1, max: 6 }) });
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 30 }), (stretches) => {
      const numbering = new Numbering();
      const seen: number[] = [];
      check(numbering, trade(1));
      let next = 2;
      for (const { skip, back, length } of stretches) {
        next = Math.max(2, next + skip - back);
        for (let n = 0; n < length; n++, next++) {
          const found = check(numbering, trade(next));
          if (typeof found === "object") for (let i = 0; i < found.count!; i++) seen.push(found.first_missing + i);
          if (found !== "seen") seen.push(next);
        }
      }
      assert.deepEqual(
        seen,
        seen.map((_, index) => index + 2),
      );
    }),
  );
});
