import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape, type NotOnTape } from "../src/index.js";
import { encode, quote, trade } from "./fake-gateway.js";
import { take } from "./take.js";
import { TIMEOUT, gateway, withTape } from "./with-tape.js";

const { CROSSTAPE_GATEWAY: url = "", CROSSTAPE_CONTROL: control = "", CROSSTAPE_TOKEN: token = "" } = process.env;
const REAL = { ...TIMEOUT, skip: url ? false : "CROSSTAPE_GATEWAY names no gateway" };

function absent(topic: string, ...nearest: string[]): object {
  return { type: "error", code: "not_on_tape", message: `${topic}: not yet`, id: null, topic, nearest };
}

test("events come under the name of the topic that is followed", TIMEOUT, () =>
  withTape({}, async (tape) => {
    gateway.spellings = { "trade:BTC/USDT": "trade:BTC-USDT", "trade:BTCUSDT@kraken": "trade:BTC-USDT@kraken" };
    const all = tape.trades("BTC/USDT");
    const kraken = tape.trades("BTCUSDT", { venue: "kraken" });
    (await gateway.stream(0)).send([trade(1, { venue: "binance" }), trade(1)]);

    assert.deepEqual(await take(all, 2), [trade(1, { venue: "binance" }), trade(1)]);
    assert.deepEqual(await take(kraken, 1), [trade(1)]);
  }),
);

test("another spelling gets the newest states that came already", TIMEOUT, () =>
  withTape({}, async (tape) => {
    gateway.spellings = { "quote:BTC/USDT": "quote:BTC-USDT" };
    const first = tape.quotes("BTC-USDT");
    (await gateway.stream(0)).send([quote(1), quote(2)]);
    await take(first, 1);
    const second = tape.quotes("BTC/USDT");

    assert.deepEqual(await take(second, 1), [quote(2)]);
    first.close();
    (await gateway.stream(1)).send([quote(2)]);
    (await gateway.stream(2)).send([quote(3)]);
    assert.deepEqual(await take(second, 1), [quote(3)]);
  }),
);

test("a topic that is not on the tape is told once, to those who follow it, and comes later", TIMEOUT, async () => {
  const ofTape: NotOnTape[] = [];
  await withTape({ onNotOnTape: (notice) => ofTape.push(notice) }, async (tape) => {
    const told: NotOnTape[] = [];
    const wrong = tape.trades("BTC-USDX", { onNotOnTape: (notice) => told.push(notice) });
    const right = tape.trades("BTC-USDT");
    const first = await gateway.stream(0);
    first.send([absent("trade:BTC-USDX", "trade:BTC-USDT"), trade(1)], "5-0");
    await take(right, 1);
    first.cut();
    const second = await gateway.stream(1);
    second.send([absent("trade:BTC-USDX", "trade:BTC-USDT"), trade(2)]);
    await take(right, 1);
    const another = tape.trades("BTC-USDX");
    second.send([trade(3)]);
    await take(right, 1);

    assert.deepEqual(told, [{ topic: "trade:BTC-USDX", nearest: ["trade:BTC-USDT"], message: "trade:BTC-USDX: not yet" }]);
    assert.deepEqual(ofTape, told);
    second.send([trade(1, { instrument: "BTC-USDX" })]);
    await take(wrong, 1);
    await take(another, 1);
  });
});

test("without a callback the console warns", TIMEOUT, (context) =>
  withTape({}, async (tape) => {
    const warn = context.mock.method(console, "warn", () => undefined);
    const trades = tape.trades("BTC-USDX");
    (await gateway.stream(0)).send([absent("trade:BTC-USDX"), trade(1, { instrument: "BTC-USDX" })]);
    await take(trades, 1);

    assert.deepEqual(warn.mock.calls.map(({ arguments: [text] }) => text), ["trade:BTC-USDX: not yet"]);
  }),
);

async function publish(...instruments: string[]): Promise<void> {
  const body = encode(
    instruments.map((instrument) => {
      const { epoch, seq, backfilled, ...event } = trade(1, { instrument }) as Record<string, unknown>;
      return event;
    }),
  );
  const answer = await fetch(`${control}/publish`, { method: "POST", body });
  assert.ok(answer.ok, await answer.text());
}

for (const transport of ["sse", "websocket"] as const) {
  test(`a gateway finds instruments in any spelling: ${transport}`, REAL, async () => {
    let tell = (_: NotOnTape): void => undefined;
    const told = new Promise<NotOnTape>((resolve) => (tell = resolve));
    const tape = new Tape({ url, token, transport, gatherMs: 0, onNotOnTape: (notice) => tell(notice) });
    const base = transport.toUpperCase();
    try {
      await publish(`${base}-USDT`, `${base}-USDT-PERP`);
      const spellings = [`${base}/USDT`, `${base}USDT`, `${base}/USDT:USDT`];
      const found = await Promise.all(spellings.map(async (name) => (await take(tape.trades(name), 1))[0]!.instrument));
      assert.deepEqual(found, [`${base}-USDT`, `${base}-USDT`, `${base}-USDT-PERP`]);

      const later = tape.trades(`${base}/USDX`);
      const { topic, nearest } = await told;
      assert.equal(topic, `trade:${base}-USDX`);
      assert.ok(nearest.includes(`trade:${base}-USDT`));
      await publish(`${base}-USDX`);
      await take(later, 1);
    } finally {
      tape.close();
    }
  });
}
