#!/bin/sh
# ccxt 4.5.90: the volume of a Gate spot candle is in the quote currency by WebSocket and in the base currency by REST.
#
# One would guess: `watch_ohlcv` and `fetch_ohlcv` return the same candle, with the volume in the base currency (ccxt/ccxt#3318).
# What is true: in a frame of `spot.candlesticks` the base amount is `a`, and `v` is the turnover (in recorded frames it grows by price times amount
#   of each trade; the 375,304 of a running minute of BTC/USDT in ccxt/ccxt#19054 are USDT). A REST row has both as well, by place. ccxt takes the
#   base amount from the row (corrected in ccxt/ccxt#14757) and `v` from the frame.
# Why market-data people care: history from REST, continued by the stream, jumps by a factor of the price, 80,000 in the example: volume-weighted prices,
#   volume alarms and participation rates are wrong from the first live candle on. A ccxt candle keeps no raw frame, so that the base amount
#   is lost: take it in a wrapper around `handle_message`.
# Seen 2026-11-30, Python 3.11, frames of our own, no network: "by REST 0.5, by WebSocket 40001.0". The exit code is 0 while that is so.
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
    venue = ccxt.pro.gate()
    venue.set_markets([venue.safe_market_structure({
        "id": "BTC_USDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT", "type": "spot", "spot": True})])
    # two trades in this minute: 0.3 at 80000 and 0.2 at 80005
    base, quote = "0.5", "40001"
    row = ["1790000040", quote, "80005", "80005", "80000", "80000", base, "true"]

    async def rows(request):
        return [row]

    venue.publicSpotGetCandlesticks = venue.public_spot_get_candlesticks = rows
    fetched = (await venue.fetch_ohlcv("BTC/USDT", "1m"))[0]
    venue.handle_message(Line(), {
        "time": 1790000101, "time_ms": 1790000101000, "channel": "spot.candlesticks", "event": "update", "result": {
            "t": "1790000040", "v": quote, "c": "80005", "h": "80005", "l": "80000", "o": "80000", "n": "1m_BTC_USDT", "a": base, "w": True}})
    watched = venue.ohlcvs["BTC/USDT"]["1m"][-1]
    print(f"ccxt {ccxt.__version__}, 0.5 BTC traded: by REST {fetched[5]}, by WebSocket {watched[5]}")
    assert fetched[:5] == watched[:5] and (fetched[5], watched[5]) == (0.5, 40001.0), (fetched, watched)
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
