#!/bin/sh
# ccxt 4.5.90, KuCoin with `uta=True`: bid and ask change places, the book stands still, and times are a millisecond early.
#
# One would guess: the streams of KuCoin's unified account are a drop-in for the classic ones: same methods, same shapes, one option more.
# What is true: 1. a ticker frame has the best bid in `b`/`B` and the best ask in `a`/`A`; ccxt assigns them the other way round, sizes included.
#   2. after the snapshot, updates of `obu` move `nonce` and the time of the book, but never a level: the code that reads `b` and `a` is not reached.
#   3. times in ns are multiplied by 0.000001 as floats and cut: of 1,000 consecutive whole milliseconds, 375 come out as the one before.
# Why market-data people care: the spread is negative on every quote; a book that has stood still for hours looks alive to any check of its age or sequence; and an
#   equality of times between this stream, REST and another recorder fails for three rows of eight, or puts a trade into the minute before.
# Seen 2026-11-30, Python 3.11, frames of our own, no network: "bid 101.0 x 0.5, ask 100.0 x 2.0", "nonce 1007 -> 1008, bids [[100.0, 1.0]] ->
#   [[100.0, 1.0]]", "375 of 1000". The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check ccxt==4.5.90
cat > "$place/probe.py" <<'PY'
import asyncio

import ccxt.pro

start = 1790000000000


class Line:
    """What a socket of ccxt is for its handlers."""

    url, error, subscriptions = "offline", None, {}

    def __init__(self):
        self.errors, self.first = [], asyncio.Event()

    def resolve(self, result, key):
        if "orderbook" in key:
            self.first.set()

    def reject(self, error, key=None):
        self.errors.append(error)


async def main():
    venue = ccxt.pro.kucoin({"options": {"uta": True}})
    venue.open()
    venue.set_markets([venue.safe_market_structure({
        "id": "BTC-USDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT", "type": "spot", "spot": True})])
    line = Line()

    async def snapshot(symbol, limit=None, params={}):
        book = venue.parse_order_book({"bids": [["100", "1"]], "asks": [["101", "1"]]}, symbol)
        book["nonce"] = 1000
        return book

    venue.fetch_order_book = snapshot

    def send(topic, data, **envelope):
        venue.handle_message(line, {"T": f"{topic}.SPOT", "P": (start + 9) * 10**6, **envelope, "d": {"s": "BTC-USDT", **data}})

    send("ticker", {"A": "0.5", "B": "2", "E": 7, "M": start * 10**6, "S": "BUY", "a": "101", "b": "100", "l": "101", "q": "0.1"})
    quote = venue.tickers["BTC/USDT"]
    print(f"ccxt {ccxt.__version__}")
    print(f"sent bid 100 x 2, ask 101 x 0.5; handed out bid {quote['bid']} x {quote['bidVolume']}, ask {quote['ask']} x {quote['askVolume']}")
    assert (quote["bid"], quote["bidVolume"], quote["ask"], quote["askVolume"]) == (101.0, 0.5, 100.0, 2.0), quote

    def update(number):
        data = {"O": number, "C": number, "M": (start + number) * 10**6, "a": [["101", "0"], ["102", "3"]], "b": [["100", str(number)]]}
        send("obu", data, dp="increment", t="delta")

    for number in range(1001, 1008):
        update(number)
    await asyncio.wait_for(line.first.wait(), 10)
    sides = ["bids", "asks"]
    before = [venue.orderbooks["BTC/USDT"]["nonce"]] + [[level[:2] for level in venue.orderbooks["BTC/USDT"][side]] for side in sides]
    update(1008)
    after = [venue.orderbooks["BTC/USDT"]["nonce"]] + [[level[:2] for level in venue.orderbooks["BTC/USDT"][side]] for side in sides]
    print(f"bid 100 set to 1008, ask 101 removed, 102 added: nonce {before[0]} -> {after[0]}, bids {before[1]} -> {after[1]}, asks {after[2]}")
    assert (before[0], after[0]) == (1007, 1008) and before[1:] == after[1:] == [[[100.0, 1.0]], [[101.0, 1.0]]], (before, after)

    for number in range(1000):
        send("trade", {"E": number, "M": (start + number) * 10**6, "S": "buy", "p": "100", "q": "1", "ti": str(number)})
    late = [start + int(trade["id"]) - trade["timestamp"] for trade in venue.trades["BTC/USDT"]]
    print(f"{late.count(1)} of {len(late)} trades at a whole millisecond are dated one earlier, {late.count(0)} are right")
    assert (late.count(1), late.count(0)) == (375, 625)
    assert not line.errors
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
