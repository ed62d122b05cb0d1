#!/bin/sh
# ccxt 4.5.90: rows of Binance's USD-M trade stream that are no trades come out of `watch_trades` as trades at price 0.
#
# One would guess: each row of `<symbol>@trade` is a trade, and what `watch_trades` returns has a price and an amount.
# What is true: since 2025 the stream has rows with `"X":"NA","p":"0","q":"0"` (nkaz001/hftbacktest#263; in recordings of 2026 2 to 4 of 1,000 rows).
#   Nothing was traded, but the row takes an id in the same chain. ccxt, which reads this stream by default, passes it on with price 0.0, amount 0.0
#   and a side; only `info["X"]` tells. Its own `build_ohlcvc` leaves prices of 0 out, so that candles look right and the trades do not.
# Why market-data people care: one such row makes a low of 0 and a return of -100 %, fires stops and alarms in a back test, and counts as a trade. To drop the
#   row is right for prices; for a check of gaps by trade id it has to be counted. `INSURANCE_FUND` and `ADL` in `X` are no market trades either.
# Seen 2026-11-30, Python 3.11, frames of our own, no network: "7001: price 0.0, amount 0.0, sell". The exit code is 0 while that is so.
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

    url, subscriptions = "wss://fstream.binance.com/ws", {}

    def resolve(self, result, key):
        pass


async def main():
    venue = ccxt.pro.binanceusdm()
    venue.set_markets([venue.safe_market_structure({
        "id": "BTCUSDT", "symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT", "settle": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "settleId": "USDT", "type": "swap", "swap": True, "contract": True, "linear": True, "contractSize": 1})])
    for number, (price, size, kind) in enumerate([("85000.1", "0.002", "MARKET"), ("0", "0", "NA"), ("85000.2", "0.004", "MARKET")], 7000):
        venue.handle_message(Line(), {
            "e": "trade", "E": 1790000000000 + number, "T": 1790000000000 + number, "s": "BTCUSDT", "t": number, "p": price, "q": size, "X": kind,
            "m": kind == "NA"})
    trades = list(venue.trades["BTC/USDT:USDT"])
    print(f"ccxt {ccxt.__version__}, default stream: {venue.options['watchTrades']['name']}")
    for trade in trades:
        print(f"{trade['id']}: price {trade['price']}, amount {trade['amount']}, {trade['side']}")
    lows = min(trade["price"] for trade in trades), venue.build_ohlcvc(trades)[0][3]
    print(f"lowest price of the trades {lows[0]}, low of build_ohlcvc {lows[1]}")
    assert venue.options["watchTrades"]["name"] == "trade"
    assert [(trade["id"], trade["price"], trade["amount"]) for trade in trades] == [
        ("7000", 85000.1, 0.002), ("7001", 0.0, 0.0), ("7002", 85000.2, 0.004)], trades
    assert trades[1]["side"] == "sell" and lows == (0.0, 85000.1)
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
