// Against a real gateway on a real bus, which the test ends by SIGKILL and starts again. tests/typescript in the repository runs it so.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import WsWebSocket from "ws";
import { AccessError, RequestError, Tape, type ConnectionState, type Missed, type TapeOptions, type Trade } from "../src/index.js";
import { encode } from "./fake-gateway.js";
import { take } from "./take.js";

const { CROSSTAPE_GATEWAY: url = "", CROSSTAPE_CONTROL: control = "", CROSSTAPE_TOKEN: token = "" } = process.env;
const OPTIONS = { skip: url ? false : "CROSSTAPE_GATEWAY names no gateway", timeout: 60_000 };
const FOLDER = new URL("../../", import.meta.url);

async function ask(command: string, body: unknown = null): Promise<void> {
  const answer = await fetch(`${control}/${command}`, { method: "POST", body: encode(body) });
  assert.ok(answer.ok, await answer.text());
}

interface Following {
  tape: Tape;
  states: ConnectionState[];
  /** Returns when the connection has this state. */
  until(state: ConnectionState["state"]): Promise<void>;
}

function follow(options: Partial<TapeOptions>): Following {
  const states: ConnectionState[] = [];
  const waiting = new Map<string, () => void>();
  const tape = new Tape({
    url,
    token,
    gatherMs: 0,
    mostDelayS: 0.2,
    ...options,
    onState: (state) => {
      states.push(state);
      waiting.get(state.state)?.();
    },
  });
  const until = async (state: string): Promise<void> => {
    while (tape.state.state !== state) await new Promise<void>((resolve) => waiting.set(state, resolve));
  };
  return { tape, states, until };
}

const TRANSPORTS: Record<string, Partial<TapeOptions>> = {
  "Server-Sent Events": { transport: "sse" },
  WebSocket: { transport: "websocket" },
  "WebSocket of the package ws": { transport: "websocket", WebSocket: WsWebSocket },
};

let number = 0;

function trade(instrument: string, changes: object = {}): object {
  number++;
  return {
    type: "trade",
    venue: "kraken",
    instrument,
    venue_ts: 1_790_000_000_123_456_789n,
    received_ts: 1_790_000_000_123_456_000n + BigInt(number),
    price: "64000.10",
    size: "0.00000001",
    taker: "buy",
    trade_id: String(number),
    ...changes,
  };
}

/** Does the same over each transport at the same time, so that one kill of the gateway serves all. */
async function overEach(
  body: (following: Following, name: string, ready: () => Promise<void>) => Promise<void>,
  between: () => Promise<void>,
): Promise<void> {
  const following = Object.entries(TRANSPORTS).map(([name, options]) => ({ name, ...follow(options) }));
  let all: () => void;
  const readied = new Promise<void>((resolve) => (all = resolve));
  let left = following.length;
  const ready = (): Promise<void> => {
    if (--left === 0) all();
    return proceeded;
  };
  const proceeded = readied.then(between);
  try {
    await Promise.all(following.map((one) => body(one, one.name, ready)));
  } finally {
    for (const { tape } of following) tape.close();
  }
}

test("all trades come once and exact, across a killed gateway", OPTIONS, async () => {
  const instrument = "RESUME-USD";
  const unseen = [trade(instrument), trade(instrument), trade(instrument)];
  const publishMore = async (): Promise<void> => {
    await ask("publish", [trade(instrument)]);
  };
  await ask("publish", [trade(instrument)]);
  await overEach(
    async ({ tape, states, until }, name, ready) => {
      const trades = tape.trades(instrument, { withMissed: true });
      const first = await take(trades, 1); // the last value
      await until("live");
      await ready();
      const more = (await take(trades, 3)) as Trade[];
      if (name === "WebSocket") await publishMore();
      const last = await take(trades, 1);

      const all = [...first, ...more, ...last] as Trade[];
      assert.deepEqual(
        all.map(({ seq }) => seq),
        [1, 2, 3, 4, 5],
        name,
      );
      assert.deepEqual(
        more.map(({ epoch: _, seq: __, backfilled: ___, ...rest }) => rest),
        unseen,
        name,
      );
      assert.equal(typeof more[0]!.epoch, "bigint", name);
      assert.equal(trades.missed, 0, name);
      assert.ok(
        states.some(({ state, reason }) => state === "reconnecting" && reason),
        name,
      );
    },
    async () => {
      await ask("kill");
      await ask("publish", unseen);
      await ask("start");
    },
  );
});

test("what is more than the gateway sends again, and what is not on the tape any more, is reported as missed", OPTIONS, async () => {
  const [instrument, removed] = ["MISSED-USD", "REMOVED-USD"];
  await ask("publish", [trade(instrument), trade(removed)]);
  await overEach(
    async ({ tape, until }, name, ready) => {
      const trades = tape.trades(instrument, { withMissed: true });
      const others = tape.trades(removed, { withMissed: true });
      await Promise.all([take(trades, 1), take(others, 1)]);
      await until("live");
      await ready();
      const [report] = (await take(others, 1)) as Missed[];
      assert.deepEqual([report!.type, report!.reason, report!.topic], ["missed", "trimmed", `trade:${removed}`], name);
      const reports: Missed[] = [];
      const seen: number[] = [];
      for await (const item of trades) {
        if (item.type === "trade") seen.push(item.seq);
        else if (reports.push(item) === 1) await ask("publish", [trade(instrument)]);
        if (seen.at(-1)! > 101) break;
      }

      assert.equal(reports[0]!.reason, "resume", name);
      assert.equal(reports[0]!.topic, `trade:${instrument}`, name);
      assert.deepEqual(
        seen,
        [...new Set(seen)].sort((a, b) => a - b),
        name,
      );
      assert.equal(reports[0]!.first_missing, seen.findIndex((seq, index) => seq !== index + 2) + 2, name);
    },
    async () => {
      await ask("kill");
      await ask("publish", Array.from({ length: 100 }, () => trade(instrument)).concat([trade(removed), trade(removed)]));
      await ask("trim", { stream: `tape:trade:${removed}` });
      await ask("start");
    },
  );
});

for (const [name, options] of Object.entries(TRANSPORTS)) {
  test(`over ${name}: topics come and go while the others go on`, OPTIONS, async () => {
    const [one, other] = [`TOPIC-A-${number}`, `TOPIC-B-${number}`];
    const { tape, until } = follow(options);
    try {
      const ones = tape.trades(one);
      await until("live");
      await ask("publish", [trade(one), trade(other)]);
      await take(ones, 1);
      const others = tape.trades(other);
      const [last] = await take(others, 1);
      assert.equal(last!.seq > 0, true);
      await ask("publish", [trade(one), trade(other)]);
      assert.equal((await take(others, 1))[0]!.instrument, other);
      await take(ones, 1);
      others.close();
      await ask("publish", [trade(other), trade(one)]);
      assert.equal((await take(ones, 1))[0]!.instrument, one);
    } finally {
      tape.close();
    }
  });

  test(`over ${name}: a wrong token and a wrong timeframe are refused with the gateway's words`, OPTIONS, async () => {
    const { tape } = follow({ ...options, token: "not-the-token-of-anyone" });
    try {
      await assert.rejects(
        tape.trades("BTC-USDT").next(),
        (error) => error instanceof AccessError && error.status === 401 && error.code !== "",
      );
      await assert.rejects(tape.last("trade", "BTC-USDT"), AccessError);
    } finally {
      tape.close();
    }

    const right = follow(options);
    try {
      const neighbour = right.tape.trades("NEIGHBOUR");
      const bars = right.tape.bars("BTC-USDT", "7m");
      await assert.rejects(
        bars.next(),
        (error) => error instanceof RequestError && error.code === "unknown_timeframe" && /7m/.test(error.message),
      );
      await right.until("live");
      await ask("publish", [trade("NEIGHBOUR")]);
      await take(neighbour, 1);
    } finally {
      right.tape.close();
    }
  });
}

test("REST: last values, history page by page, and errors", OPTIONS, async () => {
  const instrument = `HISTORY-${number}`;
  const { tape } = follow({});
  const known = ["kraken", "binance"].map((venue) => ({
    type: "status",
    venue,
    instrument: "*",
    venue_ts: null,
    received_ts: 1n,
    kind: "*",
    state: "live",
  }));
  await ask("publish", [...known, ...Array.from({ length: 5 }, () => trade(instrument)), trade(instrument, { venue: "binance" })]);

  const waited = Date.now() + 30_000; // the gateway looks for new streams once a second
  let last = await tape.last("trade", instrument).catch(() => []);
  while (last.length < 2 && Date.now() < waited) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    last = await tape.last("trade", instrument).catch(() => []);
  }
  assert.deepEqual(last.map(({ venue }) => venue).sort(), ["binance", "kraken"]);
  assert.equal(typeof last[0]!.received_ts, "bigint");

  const page = await tape.history("trade", instrument, { venue: "kraken", limit: 2 });
  assert.deepEqual(
    page.rows.map(({ seq }) => seq),
    [4, 5].map((n) => page.rows[0]!.seq + n - 4),
  );
  assert.ok(page.more && page.before && page.ts > 1_700_000_000n * 1_000_000_000n);
  const before = await tape.history("trade", instrument, { venue: "kraken", limit: 10, before: page.before });
  assert.equal(before.rows.length, 3);
  const since = await tape.history("trade", instrument, { fromTs: page.rows[1]!.received_ts });
  assert.equal(since.rows.length, 2);

  await assert.rejects(tape.history("bar:1m", instrument), (error) => error instanceof RequestError && error.status === 404);
  await assert.rejects(tape.history("cbbo", instrument), TypeError);
  await assert.rejects(tape.get("/api/trades", { instrumant: "x" }), /instrument/);
});

test("the example prints spreads", OPTIONS, async () => {
  const cbbo = {
    type: "cbbo",
    venue: "consolidated",
    instrument: "SPREAD-USD",
    venue_ts: null,
    received_ts: 1n,
    ts: 1_790_000_000_123_456_789n,
    bid_price: "100.10",
    bid_size: "1",
    bid_venues: ["kraken"],
    ask_price: "100.30",
    ask_size: "2",
    ask_venues: ["binance"],
    mid: "100.20",
    spread: "0.20",
    spread_bps: "19.96",
    market: "normal",
    venues: 2,
    vwap: {},
    legs: [],
  };
  await ask("publish", [cbbo]);
  const example = spawn(process.execPath, ["examples/spread.mjs", url, "SPREAD-USD"], {
    cwd: FOLDER,
    env: { ...process.env, CROSSTAPE_TOKEN: token },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const end = setTimeout(() => example.kill("SIGKILL"), 40_000);
  try {
    const ended = once(example, "exit");
    const [line] = (await once(createInterface(example.stdout), "line")) as [string];
    assert.match(line, /SPREAD-USD.*0\.20.*kraken.*binance/);
    example.kill("SIGINT");
    assert.deepEqual(await ended, [0, null]);
  } finally {
    clearTimeout(end);
    example.kill("SIGKILL");
  }
});
