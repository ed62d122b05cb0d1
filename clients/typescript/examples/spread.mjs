// Prints the spread of consolidated quotes whenever it changes, until Ctrl-C. Needs Node 20 or later.
//
//   node spread.mjs http://localhost:8090 BTC-USDT ETH-USDT
//
// A token, where the gateway wants one, is read from CROSSTAPE_TOKEN. It waits while the gateway is away.

import { AccessError, RequestError, Tape } from "crosstape";

const [url, ...instruments] = process.argv.slice(2);
if (!instruments.length) {
  console.error("usage: node spread.mjs URL INSTRUMENT…");
  process.exit(2);
}

const token = process.env.CROSSTAPE_TOKEN;
const tape = new Tape({
  url,
  ...(token ? { token } : {}),
  onState: ({ state, reason, busAway }) => {
    if (state === "reconnecting") console.error(`waiting for the gateway: ${reason.message}`);
    else if (busAway) console.error("the gateway waits for the bus: nothing is current");
  },
});
process.once("SIGINT", tape.close);

const shown = new Map();
try {
  for await (const quote of tape.cbbo(instruments)) {
    // Prices are strings with every digit: they are compared and printed as they are, and never go through a float.
    const spread = quote.spread === null ? quote.market : `${quote.spread} (${quote.spread_bps} bp)`;
    if (shown.get(quote.instrument) === spread) continue;
    shown.set(quote.instrument, spread);
    const time = new Date(Number(quote.ts / 1_000_000n)).toISOString(); // ts is a bigint: ns since the epoch
    console.log(
      `${time} ${quote.instrument} ${spread}: bid ${quote.bid_price} at ${quote.bid_venues}, ask ${quote.ask_price} at ${quote.ask_venues}`,
    );
  }
} catch (error) {
  if (!(error instanceof AccessError || error instanceof RequestError)) throw error;
  console.error(`the gateway refuses: ${error.message}`);
  process.exitCode = 1;
}
