import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { AccessError, RequestError, Tape, type ConnectionState, type Missed, type TapeOptions, type Trade } from "../src/index.js";
import { EPOCH, FakeGateway, quote, trade, type Stream } from "./fake-gateway.js";

let gateway: FakeGateway;
before(async () => void (gateway = await new FakeGateway().start()));
after(() => gateway.stop());
beforeEach(() => {
  gateway.streams.length = 0;
  gateway.answer = () => undefined;
  gateway.heartbeatS = undefined;
});

const TIMEOUT = { timeout: 20_000 };

/** A tape that is closed at the end, and the states that its connection went through. */
async function withTape(options: Partial<TapeOptions>, body: (tape: Tape, states: ConnectionState[]) => Promise<void>): Promise<void> {
  const states: ConnectionState[] = [];
  const tape = new Tape({ url: gateway.url, mostDelayS: 0.02, onState: (state) => states.push(state), ...options });
  try {
    await body(tape, states);
  } finally {
    tape.close();
  }
}

async function take<T>(items: AsyncIterator<T, undefined>, count: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < count) {
    const { done, value } = await items.next();
    assert.ok(!done, `ended after ${taken.length} of ${count}`);
    taken.push(value as T);
  }
  return taken;
}

test("events come to those who follow them, exact", TIMEOUT, () =>
  withTape({ token: "secret-of-sixteen", gatherMs: 0 }, async (tape) => {
    const trades = tape.trades(["BTC-USDT", "ETH-USDT"], { venue: "kraken" });
    const quotes = tape.quotes("*");
    const stream = await gateway.stream(0);
    assert.equal(stream.headers.authorization, "Bearer secret-of-sixteen");
    assert.deepEqual(stream.query.get("topics")!.split(","), ["trade:BTC-USDT@kraken", "trade:ETH-USDT@kraken", "quote:*"]);
    assert.equal(stream.query.get("gather_ms"), "0");

    stream.send([trade(1, { venue: "binance" }), trade(1), quote(1), trade(1, { instrument: "SOL-USDT" }), trade(1, { instrument: "ETH-USDT" })]);

    assert.deepEqual(await take(trades, 2), [trade(1), trade(1, { instrument: "ETH-USDT" })]);
    const [one] = await take(quotes, 1);
    assert.equal(one!.received_ts, EPOCH + 1n);
    assert.equal(one!.bid_price, "100.10");
  }));

test("a cut connection is resumed behind the last id; repeated events come once, missing ones are said", TIMEOUT, () =>
  withTape({}, async (tape, states) => {
    const trades = tape.trades("BTC-USDT", { withMissed: true });
    const first = await gateway.stream(0);
    assert.equal(first.query.get("after"), null);
    first.send([trade(1), trade(2)], "7-0");
    await take(trades, 2);
    first.cut();

    const second = await gateway.stream(1);
    assert.equal(second.query.get("after"), "7-0");
    second.send([trade(1), trade(2), trade(3), trade(6)], "9-0");
    second.send([{ type: "heartbeat", ts: 1n, id: "12-0" }]);
    second.send([trade(7)]);

    assert.deepEqual(await take(trades, 4), [
      trade(3),
      { type: "missed", topic: "trade:BTC-USDT", venue: "kraken", epoch: EPOCH, first_missing: 4, count: 2, reason: "numbering" },
      trade(6),
      trade(7),
    ]);
    assert.equal(trades.missed, 2);
    assert.deepEqual(states.map(({ state }) => state), ["connecting", "live", "reconnecting", "live"]);
    second.cut();
    assert.equal((await gateway.stream(2)).query.get("after"), "12-0");
  }));

test("what was live is resumed even before an id was named: from the time of the connection", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    (await gateway.stream(0)).cut();
    const second = await gateway.stream(1);
    assert.equal(second.query.get("after"), "1790000000123-0");
    second.send([trade(1)]);
    await take(trades, 1);
  }));

test("a gateway that is away is waited for, for as long as it takes", TIMEOUT, async () => {
  await gateway.stop();
  const reconnecting: Error[] = [];
  let third: () => void;
  const failed = new Promise<void>((resolve) => (third = resolve));
  const onState = ({ state, reason }: ConnectionState): void => {
    if (state === "reconnecting" && reason && reconnecting.push(reason) === 3) third();
  };
  await withTape({ onState }, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    await failed;
    assert.match(reconnecting[0]!.message, /ECONNREFUSED/);
    await gateway.start();
    (await gateway.stream(0)).send([trade(1)]);

    assert.deepEqual(await take(trades, 1), [trade(1)]);
  });
});

test("a silent connection is given up after three heartbeats, as long as the gateway says that they are", TIMEOUT, () =>
  withTape({}, async (tape, states) => {
    gateway.heartbeatS = 0.05;
    const trades = tape.trades("BTC-USDT");
    await gateway.stream(0);
    gateway.heartbeatS = 60;
    const again = await gateway.stream(1);
    again.send([trade(1)]);

    await take(trades, 1);
    assert.match(states.find(({ state }) => state === "reconnecting")!.reason!.message, /no message for 0\.15/);
  }));

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
  }));

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
  }));

test("topics that do not fit into one address are refused, and those before go on", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    await gateway.stream(0);
    const many = tape.quotes(Array.from({ length: 500 }, (_, n) => `INSTRUMENT-NUMBER-${n}`));

    await assert.rejects(many.next(), (error) => error instanceof RequestError && error.status === 414 && /WebSocket/.test(error.message));
    (await gateway.stream(1)).send([trade(1)]);
    await take(trades, 1);
  }));

test("what is no gateway is an error at first; once it was one, a proxy's page is waited out", TIMEOUT, async () => {
  const page = { status: 404, body: "<h1>Not Found</h1>", headers: { "Content-Type": "text/html" } };
  gateway.answer = () => page;
  await withTape({}, (tape) => assert.rejects(tape.trades("BTC-USDT").next(), /HTTP 404/));

  gateway.answer = () => undefined;
  await withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    const first = await gateway.stream(0);
    const answers = [page, { ...page, status: 502 }, { ...page, status: 200 }, { ...page, status: 429, headers: { "Retry-After": "0" } }];
    gateway.answer = () => answers.shift();
    first.cut();
    (await gateway.stream(1)).send([trade(1)]);

    await take(trades, 1);
    assert.equal(answers.length, 0);
  });
});

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
  }));

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
  }));

test("a slow loop gets the newest quote, and is told how many trades it lost", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const reports: Missed[] = [];
    const trades = tape.trades("BTC-USDT", { buffer: 3, onMissed: (missed) => reports.push(missed) });
    const quotes = tape.quotes("BTC-USDT");
    const marks = tape.trades("ETH-USDT");
    (await gateway.stream(0)).send([1, 2, 3, 4, 5].flatMap((seq) => [trade(seq), quote(seq)]).concat(trade(1, { instrument: "ETH-USDT" })));
    await take(marks, 1);

    assert.deepEqual(await take(trades, 3), [trade(3), trade(4), trade(5)]);
    assert.deepEqual(reports.map(({ first_missing, count, reason }) => [first_missing, count, reason]), [[1, 2, "buffer"]]);
    assert.deepEqual(await take(quotes, 1), [quote(5)]);
  }));

test("what the gateway reports as missing comes to those whom it concerns", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT", { withMissed: true });
    const others = tape.trades("ETH-USDT", { withMissed: true });
    const missed = { type: "missed", topic: "trade:BTC-USDT", venue: "kraken", epoch: EPOCH, first_missing: 2, count: 3, reason: "slow" };
    (await gateway.stream(0)).send([trade(1), missed, trade(5), trade(1, { instrument: "ETH-USDT" })]);

    assert.deepEqual(await take(trades, 3), [trade(1), missed, trade(5)]);
    assert.deepEqual(await take(others, 1), [trade(1, { instrument: "ETH-USDT" })]);
  }));

test("a gateway without its bus is said to be, until the bus is back", TIMEOUT, () =>
  withTape({}, async (tape, states) => {
    const trades = tape.trades("BTC-USDT");
    const stream = await gateway.stream(0);
    stream.send([{ type: "bus", state: "away", since_ts: 1n }, { type: "bus", state: "back", since_ts: 1n }, trade(1)]);
    await take(trades, 1);

    assert.deepEqual(states.map(({ state, busAway }) => `${state} ${busAway}`), ["connecting false", "live false", "live true", "live false"]);
  }));

test("messages and fields of a newer gateway are passed over; a broken one ends the connection, and it goes on", TIMEOUT, () =>
  withTape({}, async (tape, states) => {
    const trades = tape.trades("BTC-USDT");
    const first = await gateway.stream(0);
    first.send([{ type: "weather", of: "tomorrow" }, trade(1, { mood: "good" })]);
    assert.deepEqual(await take(trades, 1), [trade(1, { mood: "good" })]);
    first.write("data: {broken\n\n");
    (await gateway.stream(1)).send([trade(2)]);

    await take(trades, 1);
    assert.match(states.find(({ state }) => state === "reconnecting")!.reason!.message, /JSON/);
  }));

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
  }));

test("without subscriptions there is no connection; the next one begins from then", TIMEOUT, () =>
  withTape({}, async (tape, states) => {
    const trades = tape.trades("BTC-USDT");
    (await gateway.stream(0)).send([trade(1)], "5-0");
    for await (const one of trades) {
      assert.equal(one.seq, 1);
      break;
    }
    const idle = (): boolean => states.at(-1)!.state === "idle";
    while (!idle()) await new Promise((resolve) => setTimeout(resolve, 1));
    const again = tape.trades("BTC-USDT");
    const stream: Stream = await gateway.stream(1);
    assert.equal(stream.query.get("after"), null);
    stream.send([trade(9)]);
    assert.deepEqual(await take(again, 1), [trade(9)] as unknown as Trade[]);
  }));

test("options that are wrong are refused by name, and no password is shown", () => {
  assert.throws(() => new Tape({ url: "nonsense" }), /url: "nonsense" is no address/);
  assert.throws(() => new Tape({ url: "ws://localhost" }), /expected http/);
  assert.throws(() => new Tape({ url: "http://me:secret@localhost" }), (error: Error) => /no user/.test(error.message) && !/secret/.test(error.message));
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
