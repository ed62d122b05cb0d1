import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionState, Trade } from "../src/index.js";
import { EPOCH, trade, type Stream } from "./fake-gateway.js";
import { take } from "./take.js";
import { TIMEOUT, gateway, withTape } from "./with-tape.js";

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
    assert.deepEqual(
      states.map(({ state }) => state),
      ["connecting", "live", "reconnecting", "live"],
    );
    second.cut();
    assert.equal((await gateway.stream(2)).query.get("after"), "12-0");
  }),
);

test("what was live is resumed even before an id was named: from the time of the connection", TIMEOUT, () =>
  withTape({}, async (tape) => {
    const trades = tape.trades("BTC-USDT");
    (await gateway.stream(0)).cut();
    const second = await gateway.stream(1);
    assert.equal(second.query.get("after"), "1790000000123-0");
    second.send([trade(1)]);
    await take(trades, 1);
  }),
);

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
  }),
);

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

test("a gateway without its bus is said to be, until the bus is back", TIMEOUT, () =>
  withTape({}, async (tape, states) => {
    const trades = tape.trades("BTC-USDT");
    const stream = await gateway.stream(0);
    stream.send([{ type: "bus", state: "away", since_ts: 1n }, { type: "bus", state: "back", since_ts: 1n }, trade(1)]);
    await take(trades, 1);

    assert.deepEqual(
      states.map(({ state, busAway }) => `${state} ${busAway}`),
      ["connecting false", "live false", "live true", "live false"],
    );
  }),
);

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
  }),
);

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
  }),
);
