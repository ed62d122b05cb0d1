#!/bin/sh
# ccxt 4.5.90: with `exchange.number = str` Kraken's order book cannot be read.
#
# One would guess: `number = str`, the setting that gives prices and sizes with their digits, works for all of an exchange's streams, or is ignored
#   where a class computes with floats. (It is ignored by the books of KuCoin, Bitget, Gate and BingX, which stay floats.)
# What is true: Kraken's class converts the levels of a frame with the same setting and hands texts to a book that sorts by minus the price:
#   "bad operand type for unary -: 'str'". Trades, tickers and candles of the same exchange have their digits.
# Why market-data people care: who wants exact digits of trades loses the book, and the error comes at the first snapshot, in a callback, so that the
#   awaiting program sees silence. Two exchange objects, one for each setting, are needed.
# Seen 2026-12-01, Python 3.11, frames of our own, no network: "float: a book, str: TypeError". The exit code is 0 while that is so.
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


async def read(number):
    venue = ccxt.pro.kraken()
    venue.number = number
    venue.options["watchOrderBook"] = {"checksum": False}
    venue.set_markets([venue.safe_market_structure({
        "id": "XXBTZUSD", "wsId": "XBT/USD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "baseId": "XXBT", "quoteId": "ZUSD", "type": "spot",
        "spot": True, "info": {"wsname": "XBT/USD"}})])
    venue.orderbooks["BTC/USD"] = venue.order_book({}, 10)
    frame = {"channel": "book", "type": "snapshot", "data": [{
        "symbol": "BTC/USD", "bids": [{"price": 90000.1, "qty": 1.5}], "asks": [{"price": 90000.2, "qty": 0.7}], "checksum": 0}]}
    try:
        venue.handle_message(Line(), frame)
        return [list(row) for row in venue.orderbooks["BTC/USD"]["bids"]]
    except TypeError as error:
        return f"TypeError: {error}"
    finally:
        await venue.close()


async def main():
    floats, texts = await read(float), await read(str)
    print(f"ccxt {ccxt.__version__}, Kraken's book with numbers as float: {floats}, as str: {texts}")
    assert floats == [[90000.1, 1.5]] and texts == "TypeError: bad operand type for unary -: 'str'", (floats, texts)


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
