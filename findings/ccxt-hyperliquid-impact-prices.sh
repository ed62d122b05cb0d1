#!/bin/sh
# ccxt 4.5.90: `bid` and `ask` of a Hyperliquid ticker are impact prices, and `last` is the middle.
#
# One would guess: `watch_ticker` gives the best bid, the best ask and the last trade, as the unified structure says.
# What is true: the venue's context of an asset (`activeAssetCtx`) has neither best prices nor a last trade. ccxt puts the two `impactPxs`, the average
#   prices at which a fixed notional amount could be sold and bought, into `bid` and `ask`, `midPx` into `last` and `close`, and no time.
# Why market-data people care: a spread from it is the cost of an order of that size, not the spread; a crossed or locked market does not show; a
#   "last price" moves without a trade. Best prices are in the channel `bbo`, which `watch_ticker` does not subscribe.
# Seen 2026-12-01, Python 3.11, a frame of our own, no network: "bid 89990.0, ask 90012.0, last 90000.5". The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check ccxt==4.5.90
cat > "$place/probe.py" <<'PY'
import asyncio

import ccxt.pro


class Line:
    """What a socket of ccxt is for its handlers."""

    url, subscriptions = "offline", {}

    def resolve(self, result, key):
        pass


async def main():
    venue = ccxt.pro.hyperliquid()
    venue.set_markets([venue.safe_market_structure({
        "id": "0", "symbol": "BTC/USDC:USDC", "base": "BTC", "quote": "USDC", "settle": "USDC", "baseId": "BTC", "baseName": "BTC", "quoteId": "USDC",
        "settleId": "USDC", "type": "swap", "swap": True, "contract": True, "linear": True, "contractSize": 1})])
    # the book is 90000 against 90001; the last trade was at 90001
    impact, middle = ["89990.0", "90012.0"], "90000.5"
    venue.handle_message(Line(), {"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": {
        "funding": "0.0000125", "openInterest": "100.0", "prevDayPx": "89000.0", "dayNtlVlm": "1000000.0", "premium": "0.0001", "oraclePx": "90010.0",
        "markPx": "90004.0", "midPx": middle, "impactPxs": impact, "dayBaseVlm": "11.1"}}})
    found = venue.tickers["BTC/USDC:USDC"]
    print(f"ccxt {ccxt.__version__}, Hyperliquid: bid {found['bid']}, ask {found['ask']}, last {found['last']}, time {found['timestamp']}")
    assert [found["bid"], found["ask"]] == [float(one) for one in impact] and found["last"] == float(middle) and found["timestamp"] is None, found
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
