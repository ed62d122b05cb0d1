#!/bin/sh
# ccxt 4.5.90: a whole Bitfinex book fails its checksum as soon as a number in it is below 0.000001.
#
# One would guess: the checksum's text has each price and amount in plain digits, or any notation that names the same number.
# What is true: the venue's text is what JavaScript prints: plain down to 0.000001, with an exponent below (`9e-7`), and so are the numbers in its
#   frames (bitfinexcom/bitfinex-api-node#328; its own client failed by writing them out, bitfinexcom/bfx-api-node-models#70). ccxt.pro writes
#   0.0000009, compares by default, and drops the book with a ChecksumError.
# Why market-data people care: for cheap pairs against BTC the book is thrown away at each checksum, and the error points at lost data where there is none.
#   BTC/USD passes, so that no usual test shows it; one dust amount (`2e-7`) suffices. Keep the text of the frame, or print `str(decimal).lower()`:
#   `repr(float)` gives 9e-07 and 2e-06, which is wrong in another way.
# Seen 2026-11-30, Python 3.11, frames of our own, no network: "smallest 9e-7: ChecksumError". The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check ccxt==4.5.90
cat > "$place/probe.py" <<'PY'
import asyncio, json, zlib

import ccxt.pro


class Line:
    """What a socket of ccxt is for its handlers."""

    url = "offline"

    def __init__(self):
        self.subscriptions, self.errors = {"book:tABCBTC": {}}, []

    def resolve(self, result, key):
        pass

    def reject(self, error, key=None):
        self.errors.append(type(error).__name__)


def checksum(text):
    unsigned = zlib.crc32(text.encode())
    return unsigned - 2**32 if unsigned >= 2**31 else unsigned


async def main():
    venue = ccxt.pro.bitfinex()
    venue.set_markets([venue.safe_market_structure({
        "id": "tABCBTC", "symbol": "ABC/BTC", "base": "ABC", "quote": "BTC", "baseId": "ABC", "quoteId": "BTC", "type": "spot", "spot": True})])

    def verdict(bids, asks):
        """Send a book and its checksum; the texts of the numbers are the frame's."""
        line = Line()
        venue.orderbooks.clear()
        rows = [f"[{price},1,{size}]" for price, size in bids + asks]
        pairs = [level for both in zip(bids, asks, strict=True) for level in both]
        text = ":".join(f"{price}:{size}" for price, size in pairs)
        for frame in (
            '{"event":"subscribed","channel":"book","chanId":5,"symbol":"tABCBTC","prec":"P0","freq":"F0","len":"25","pair":"ABCBTC"}',
            f"[5,[{','.join(rows)}]]",
            f'[5,"cs",{checksum(text)}]',
        ):
            venue.handle_message(line, json.loads(frame))
        return line.errors[0] if line.errors else "the book stands" if venue.orderbooks else "the book is gone"

    cases = {
        "smallest 0.000002": verdict([("0.0000021", "10"), ("0.000002", "2.5")], [("0.0000025", "-3"), ("0.000003", "-1")]),
        "smallest 9e-7": verdict([("0.0000021", "10"), ("9e-7", "2.5")], [("0.0000025", "-3"), ("0.000003", "-1")]),
        "an amount of 2e-7": verdict([("100", "10"), ("99", "2e-7")], [("101", "-3"), ("102", "-1")]),
    }
    print(f"ccxt {ccxt.__version__}")
    for what, found in cases.items():
        print(f"{what}: {found}")
    assert list(cases.values()) == ["the book stands", "ChecksumError", "ChecksumError"], cases
    await venue.close()


asyncio.run(main())
PY
"$place/env/bin/python" "$place/probe.py"
