// Prints the trades of one instrument from now on, each once and with every digit. Needs Node 20 or later.
//
//   npm install redis
//   node trades.mjs redis://127.0.0.1:6379 BTC-USDT
//
// It waits while the server is away and continues after the last entry that it has read.

import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "redis";

const [url, instrument] = process.argv.slice(2);
if (!instrument) {
  console.error("usage: node trades.mjs URL INSTRUMENT");
  process.exit(2);
}

// JSON.parse rounds integers above 2^53, and times in ns are above it. This makes each long integer a BigInt. Strings are matched first,
// so that digits within them stay as they are.
function parse(text) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, (token) => (token[0] === '"' ? token : `"\\u0000${token}"`));
  return JSON.parse(marked, (_, value) => (typeof value === "string" && value[0] === "\0" ? BigInt(value.slice(1)) : value));
}

const stream = `tape:trade:${instrument}`;
const client = createClient({ url, socket: { socketTimeout: 5000 } }); // no answer for 5 s: the connection is dead. Longer than BLOCK
client.on("error", (error) => console.error(`waiting for the server: ${error.message}`));
await client.connect(); // it tries again by itself until the server answers

let id; // of the last entry that was read
for (;;) {
  try {
    // Ask where "now" is only once: a "$" that is sent again skips what came in between.
    id ??= (await client.xRevRange(stream, "+", "-", { COUNT: 1 }))[0]?.id ?? "0-0";
    const answer = await client.xRead({ key: stream, id }, { BLOCK: 1000, COUNT: 500 });
    for (const entry of answer?.[0].messages ?? []) {
      const trade = parse(entry.message.d);
      // Price and size are strings: keep them so, or use a decimal library.
      console.log(`${trade.venue} ${trade.trade_id}: ${trade.size} at ${trade.price}, received ${trade.received_ts}`);
      id = entry.id;
    }
  } catch (error) {
    console.error(`waiting for the server: ${error.message}`);
    await pause(1000);
  }
}
