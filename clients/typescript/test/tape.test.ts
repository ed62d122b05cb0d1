import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessError, RequestError, Tape, type Missed } from "../src/index.js";
import { EPOCH, quote, trade } from "./fake-gateway.js";
import { take } from "./take.js";
import { TIMEOUT, gateway, withTape } from "./with-tape.js";

test("events come to those who follow them, exact", TIMEOUT, () =>
  withTape({ token: "secret-of-sixteen", gatherMs: 0 }, async (tape) => {
    const trades = tape.trades(["BTC-USDT", "ETH-USDT"], { venue: "kraken" });
    const quotes = tape.quotes("*");
    const stream = await gateway.stream(0);
    assert.equal(stream.headers.authorization, "Bearer secret-of-sixteen");
    assert.deepEqual(stream.query.get("topics")!.split(","), ["trade:BTC-USDT@kraken", "trade:ETH-USDT@kraken", "quote:*"]);
    assert.equal(stream.query.get("gather_ms"), "0");

    stream.send([
      trade(1, { venue: "binance" }),
      trade(1),
      quote(1),
      trade(1, { instrument: "SOL-USDT" }),
      trade(1, { instrument: "ETH-USDT" }),
    ]);

    assert.deepEqual(await take(trades, 2), [trade(1), trade(1, { instrument: "ETH-USDT" })]);
    const [one] = await take(quotes, 1);
    assert.equal(one!.received_ts, EPOCH + 1n);
    assert.equal(one!.bid_price, "100.10");
  }),
);

test("a wrong token ends all subscriptions with an error that says so, and no token is in it", TIMEOUT, () =>
  withTape({ token: "wrong-but-long-enough" }, async (tape) => {
    gateway.answer = () => ({ status: 401, body: { error: { code: "unauthorized", message: "the token is not valid" } } });
    const trades = tape.trades("BTC-USDT");
    const quotes = tape.quotes("BTC-USDT");

    for (const one of [trades, quotes]) {
      await assert.rejects(one.next(), (error) => {
        assert.ok(error instanceof AccessError);
        assert.equal(error.status, 401);
        assert.equal(error.message, "the token is not valid");
        assert.doesNotMatch(JSON.stringify(error) + error.stack, /wrong-but/);
        return true;
      });
    }
    assert.deepEqual(await trades.next(), { done: true, value: undefined });
  }),
);

test("a refused topic ends its own subscription; its neighbours go on", TIMEOUT, () =>
  withTape({}, async (tape) => {
    gateway.answer = (path, query) => {
      const refused = query.get("topics")?.includes("bar:7m:");
      if (refused) return { status: 400, body: { error: { code: "unknown_timeframe", message: "no such timeframe" } } };
      return path === "/api/stream" ? undefined : { status: 200, body: { events: [] } };
    };
    const trades = tape.trades("BTC-USDT");
    const bars = tape.bars("BTC-USDT", "7m");

    await assert.rejects(bars.next(), (error) => error instanceof RequestError && error.code === "unknown_timeframe");
    (await gateway.stream(0)).send([trade(1)]);
    await take(trades, 1);

    const more = tape.bars("ETH-USDT", "7m");
    await assert.rejects(more.next(), RequestError);
    const again = await gateway.stream(1);
    assert.equal(again.query.get("topics"), "trade:BTC-USDT");
    again.send([trade(2)]);
    await take(trades, 1);
  }),
);

test("topics that do not fit into one address are refused, and those before go on", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    await gateway.stream(0);
    const many = tape.quotes(Array.from({ length: 500 }, (_, n) => `INSTRUMENT-NUMBER-${n}`));

    await assert.rejects(many.next(), (error) => error instanceof RequestError && error.status === 414 && /WebSocket/.test(error.message));
    (await gateway.stream(1)).send([trade(1)]);
    await take(trades, 1);
  }),
);

test("what is subscribed later gets the newest states at once, and the stream goes on where it was", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    const quotes = tape.quotes("BTC-USDT");
    const first = await gateway.stream(0);
    first.send([quote(1), quote(2), trade(1)], "5-0");
    await take(quotes, 1);
    await take(trades, 1);

    assert.deepEqual(await take(tape.quotes("*"), 1), [quote(2)]);
    const second = await gateway.stream(1);
    assert.equal(second.query.get("after"), "5-0");
    second.send([trade(1), quote(2), trade(2), quote(3)]);

    assert.deepEqual(await take(trades, 1), [trade(2)]);
  }),
);

test("what happened while nobody followed a venue is not missing", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const others = tape.trades("BTC-USDT", { venue: "binance" });
    const first = tape.trades("BTC-USDT", { venue: "kraken" });
    (await gateway.stream(0)).send([trade(1), trade(1, { venue: "binance" })]);
    await take(first, 1);
    first.close();
    (await gateway.stream(1)).send([trade(2, { venue: "binance" })]);
    await take(others, 2);
    const again = tape.trades("BTC-USDT", { venue: "kraken", withMissed: true });
    (await gateway.stream(2)).send([trade(70), trade(71)]);

    assert.deepEqual(await take(again, 2), [trade(70), trade(71)]);
  }),
);

test("a slow loop gets the newest quote, and is told how many trades it lost", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const reports: Missed[] = [];
    const trades = tape.trades("BTC-USDT", { buffer: 3, onMissed: (missed) => reports.push(missed) });
    const quotes = tape.quotes("BTC-USDT");
    const marks = tape.trades("ETH-USDT");
    (await gateway.stream(0)).send([1, 2, 3, 4, 5].flatMap((seq) => [trade(seq), quote(seq)]).concat(trade(1, { instrument: "ETH-USDT" })));
    await take(marks, 1);

    assert.deepEqual(await take(trades, 3), [trade(3), trade(4), trade(5)]);
    assert.deepEqual(
      reports.map(({ first_missing, count, reason }) => [first_missing, count, reason]),
      [[1, 2, "buffer"]],
    );
    assert.deepEqual(await take(quotes, 1), [quote(5)]);
  }),
);

test("what the gateway reports as missing comes to those whom it concerns", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT", { withMissed: true });
    const others = tape.trades("ETH-USDT", { withMissed: true });
    const missed = { type: "missed", topic: "trade:BTC-USDT", venue: "kraken", epoch: EPOCH, first_missing: 2, count: 3, reason: "slow" };
    (await gateway.stream(0)).send([trade(1), missed, trade(5), trade(1, { instrument: "ETH-USDT" })]);

    assert.deepEqual(await take(trades, 3), [trade(1), missed, trade(5)]);
    assert.deepEqual(await take(others, 1), [trade(1, { instrument: "ETH-USDT" })]);
  }),
);

test("callbacks are called in order, and what one throws stops nothing", TIMEOUT, () => {
  const errors: unknown[] = [];
  return withTape({ onError: (error) => errors.push(error) }, async (tape) => {
    const seen: number[] = [];
    let third: () => void;
    const called = new Promise<void>((resolve) => (third = resolve));
    tape.on("trade", "BTC-USDT", async ({ seq }) => {
      await Promise.resolve();
      seen.push(seq);
      if (seq === 2) throw new Error("of the second");
      if (seq === 3) third();
    });
    (await gateway.stream(0)).send([trade(1), trade(2), trade(3)]);
    await called;

    assert.deepEqual(seen, [1, 2, 3]);
    assert.deepEqual(errors.map(String), ["Error: of the second"]);
  });
});

test("a signal ends a loop with its reason; a closed tape ends all loops", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const controller = new AbortController();
    const aborted = tape.trades("BTC-USDT", { signal: controller.signal });
    const closed = tape.quotes("BTC-USDT");
    await gateway.stream(0);
    const waiting = assert.rejects(aborted.next(), /enough/);
    controller.abort(new Error("enough"));
    await waiting;

    const end = closed.next();
    tape.close();
    assert.deepEqual(await end, { done: true, value: undefined });
    assert.equal(tape.state.state, "closed");
    assert.deepEqual(await tape.trades("BTC-USDT").next(), { done: true, value: undefined });
  }),
);

test("options that are wrong are refused by name, and no password is shown", () => {
  assert.throws(() => new Tape({ url: "nonsense" }), /url: "nonsense" is no address/);
  assert.throws(() => new Tape({ url: "ws://localhost" }), /expected http/);
  assert.throws(
    () => new Tape({ url: "http://me:secret@localhost" }),
    (error: Error) => /no user/.test(error.message) && !/secret/.test(error.message),
  );
  assert.throws(() => new Tape({ url: gateway.url, transport: "pigeon" as "sse" }), /transport: .*"pigeon"/);
  const { WebSocket } = globalThis;
  try {
    Object.assign(globalThis, { WebSocket: undefined });
    assert.throws(() => new Tape({ url: gateway.url, transport: "websocket" }), /no WebSocket here .*version 22/);
  } finally {
    Object.assign(globalThis, { WebSocket });
  }
  const tape = new Tape({ url: gateway.url });
  assert.throws(() => tape.trades([]), /at least one instrument/);
  assert.throws(() => tape.trades("BTC-USDT", { buffer: 0 }), /buffer: /);
});
