#!/bin/sh
# ccxt 4.5.90: a hole in the sequence of KuCoin's order book is stepped over, and the book goes on as if whole.
#
# One would guess: `watch_order_book` of ccxt.pro follows KuCoin's rule for `/market/level2`: an update whose `sequenceStart` is past the book's
#   sequence + 1 means lost updates, and the book has to be built anew. ccxt reads `sequenceStart` already, to join the REST snapshot and the stream.
# What is true: only that join looks at it. Afterwards an update is dropped if its `sequenceEnd` is old, and applied otherwise; the book's `nonce` just jumps.
#   No error, no new snapshot, no mark on the book.
# Why market-data people care: levels that were removed in the hole stay in the book for ever, levels that were added are absent, and a crossed or thin book is
#   the first sign. Whoever uses these books has to compare `nonce` with the sequences of the frames, in a wrapper around `handle_message`.
# Seen 2026-11-30, Python 3.11, frames of our own, no network: "50 updates lost: nonce 1007 -> 1058, … errors: 0, snapshots: 1", and a best bid
#   of 100 that the lost updates had removed. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check ccxt==4.5.90
cat > "$place/probe.py" <<'PY'
import asyncio

import ccxt.pro


class Line:
    """What a socket of ccxt is for its handlers: the subscriptions, and where results and errors go."""

    url, error = "offline", None

    def __init__(self):
        self.subscriptions = {"/market/level2:BTC-USDT": {}}
        self.books, self.errors, self.first = 0, [], asyncio.Event()

    def resolve(self, result, key):
        self.books += 1
        self.first.set()

    def reject(self, error, key=None):
        self.errors.append(error)


async def main():
    venue = ccxt.pro.kucoin()
    venue.open()
    venue.set_markets([venue.safe_market_structure({
        "id": "BTC-USDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT", "type": "spot", "spot": True})])
    line, snapshots = Line(), 0

    async def snapshot(symbol, limit=None, params={}):
        nonlocal snapshots
        snapshots += 1
        book = venue.parse_order_book({"bids": [["100", "1"], ["99", "2"]], "asks": [["103", "1"]]}, symbol)
        book["nonce"] = 1000
        return book

    venue.fetch_order_book = snapshot

    def update(number, price, size):
        venue.handle_message(line, {
            "type": "message", "topic": "/market/level2:BTC-USDT", "subject": "trade.l2update", "data": {
                "sequenceStart": number, "sequenceEnd": number, "symbol": "BTC-USDT", "time": 1790000000000 + number,
                "changes": {"asks": [], "bids": [[price, size, str(number)]]}}})

    for number in range(1001, 1008):
        update(number, "99", str(number - 1000))
    await asyncio.wait_for(line.first.wait(), 10)
    book = venue.orderbooks["BTC/USDT"]
    before = book["nonce"], [level[:2] for level in book["bids"]]
    # lost: 1008 to 1057, the first of which removes the bid at 100
    update(1058, "98", "5")
    await asyncio.sleep(0.1)  # time to start anew, if it wanted to
    book = venue.orderbooks["BTC/USDT"]
    after = book["nonce"], [level[:2] for level in book["bids"]]
    print(f"ccxt {ccxt.__version__}: 50 updates lost: nonce {before[0]} -> {after[0]}, bids {before[1]} -> {after[1]}, "
          f"errors: {len(line.errors)}, snapshots: {snapshots}")
    assert before == (1007, [[100.0, 1.0], [99.0, 7.0]]), before
    assert after == (1058, [[100.0, 1.0], [99.0, 7.0], [98.0, 5.0]]), after
    assert not line.errors and snapshots == 1 and line.books == 2
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
