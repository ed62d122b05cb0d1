#!/bin/sh
# ccxt 4.5.90: the time of an Upbit trade is by WebSocket the time of the frame, by REST that of the trade.
#
# One would guess: `timestamp` of a trade is when it was made, from either source, so that both can be joined by time.
# What is true: a frame of Upbit has both: `trade_timestamp` is the trade's, `timestamp` when the venue sent the frame. A REST row has the trade's
#   under the name `timestamp`. ccxt reads `timestamp` in both.
# Why market-data people care: after a pause or a subscription, when the venue sends the last trade first, a trade may be minutes older than its time
#   says: it falls into a wrong minute, lags look negative or zero, and a trade fetched by REST after a disconnect has another time than the same trade
#   from the stream. `sequential_id` joins them; the raw `info` has the right time.
# Seen 2026-12-01, Python 3.11, frames of our own, no network: "by WebSocket 5150 ms later than by REST". The exit code is 0 while that is so.
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
    venue = ccxt.pro.upbit()
    venue.set_markets([venue.safe_market_structure({
        "id": "KRW-BTC", "symbol": "BTC/KRW", "base": "BTC", "quote": "KRW", "baseId": "BTC", "quoteId": "KRW", "type": "spot", "spot": True})])
    made, sent = 1790000000100, 1790000005250
    common = {
        "trade_price": 120000000.0, "trade_volume": 0.01, "ask_bid": "BID", "prev_closing_price": 119000000.0, "change_price": 1000000.0,
        "sequential_id": 17900000001000000}
    venue.handle_message(Line(), {
        "type": "trade", "code": "KRW-BTC", "timestamp": sent, "trade_date": "2026-09-21", "trade_time": "13:33:20", "trade_timestamp": made,
        "change": "RISE", "stream_type": "SNAPSHOT", **common})
    watched = venue.trades["BTC/KRW"][-1]
    row = {"market": "KRW-BTC", "trade_date_utc": "2026-09-21", "trade_time_utc": "13:33:20", "timestamp": made, **common}
    fetched = venue.parse_trade(row, venue.market("BTC/KRW"))
    late = watched["timestamp"] - fetched["timestamp"]
    print(f"ccxt {ccxt.__version__}, Upbit trade {watched['id']}: by WebSocket {late} ms later than by REST")
    assert watched["id"] == fetched["id"] and fetched["timestamp"] == made and watched["timestamp"] == sent, (watched, fetched)
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
