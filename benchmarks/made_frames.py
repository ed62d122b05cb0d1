"""Frames of a made market in the documented formats of some venues, for comparisons where no recording of the venue is at hand.

All venues get the same market: a book of `LEVELS` a side, of which each update changes `CHANGED`, and a trade of one row after each update.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from venue_frames import Recorded

from crosstape_connector.capture.reader import CaptureLine
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Instrument

LEVELS: Final = 100
CHANGED: Final = 10
START_MS: Final = 1_767_225_600_000
MIDDLE: Final = 910_000
"""Of prices in tenths."""
Side = list[list[str]]
"""Rows of price and size."""


class Step(NamedTuple):
    """One update of the book, and the trade after it."""

    number: int
    ms: int
    bids: Side
    asks: Side
    price: str
    size: str
    buys: bool


def market(count: int) -> Iterator[Step]:
    """The complete book, then so many updates. A level never goes: sizes change, so that all books stay comparable."""
    draw = random.Random(7)
    sides = [[f"{(MIDDLE + sign * (level + 1)) / 10:.1f}" for level in range(LEVELS)] for sign in (-1, 1)]
    for number in range(count + 1):
        found: list[Side] = []
        for prices in sides:
            chosen = prices if not number else sorted(draw.sample(prices, CHANGED // 2), key=prices.index)
            found.append([[price, f"{draw.randint(1, 999_999) / 100_000:.5f}"] for price in chosen])
        bought = bool(draw.getrandbits(1))
        bids, asks = found
        yield Step(number, START_MS + 20 * number, bids, asks, sides[bought][0], f"{draw.randint(1, 99_999) / 100_000:.5f}", bought)


def _okx(step: Step) -> Iterator[Any]:
    rows = [[[*row, "0", "3"] for row in side] for side in (step.asks, step.bids)]
    book = {
        "asks": rows[0],
        "bids": rows[1],
        "ts": str(step.ms),
        "checksum": 0,
        "prevSeqId": 5_000 + step.number - 1,
        "seqId": 5_000 + step.number,
    }
    if not step.number:
        book["prevSeqId"] = -1
    yield {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": "update" if step.number else "snapshot", "data": [book]}
    trade = {
        "instId": "BTC-USDT", "tradeId": str(670_000_000 + step.number), "px": step.price, "sz": step.size,
        "side": "buy" if step.buys else "sell", "ts": str(step.ms), "count": "1", "source": "0", "seqId": 5_000 + step.number,
    }  # fmt: skip
    yield {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [trade]}


def _bybit(step: Step) -> Iterator[Any]:
    data = {"s": "BTCUSDT", "b": step.bids, "a": step.asks, "u": 18_000_000 + step.number, "seq": 7_961_638_724 + 3 * step.number}
    kind = "delta" if step.number else "snapshot"
    yield {"topic": "orderbook.200.BTCUSDT", "ts": step.ms, "type": kind, "data": data, "cts": step.ms - 2}
    trade = {
        "i": str(2_290_000_000_050_703_789 + step.number), "T": step.ms, "p": step.price, "v": step.size,
        "S": "Buy" if step.buys else "Sell", "s": "BTCUSDT", "BT": False, "RPI": False, "seq": 7_961_638_724 + 3 * step.number,
    }  # fmt: skip
    yield {"topic": "publicTrade.BTCUSDT", "ts": step.ms, "type": "snapshot", "data": [trade]}


def _gate(step: Step) -> Iterator[Any]:
    head = {"time": step.ms // 1_000, "time_ms": step.ms, "event": "update"}
    number = 25_847_113_075 + 3 * step.number
    book: dict[str, Any] = {"t": step.ms - 3, "s": "ob.BTC_USDT.400", "u": number, "b": step.bids, "a": step.asks}
    book |= {"U": number - 2} if step.number else {"full": True}
    yield {"channel": "spot.obu", "result": book, **head}
    trade = {
        "id": 309_143_071 + step.number, "create_time": step.ms // 1_000, "create_time_ms": f"{step.ms}.4578",
        "side": "buy" if step.buys else "sell", "currency_pair": "BTC_USDT", "amount": step.size, "price": step.price,
        "range": f"{2_390_902 + step.number}-{2_390_902 + step.number}",
    }  # fmt: skip
    yield {"channel": "spot.trades", "result": trade, **head}


def _bitget(step: Step) -> Iterator[Any]:
    number = 427_583_461_144 + 5 * step.number
    book = {"asks": step.asks, "bids": step.bids, "ts": str(step.ms), "seq": number, "pseq": number - 5 if step.number else 0}
    action = "update" if step.number else "snapshot"
    yield {"action": action, "arg": {"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"}, "data": [book], "ts": step.ms + 1}
    trade = {
        "ts": str(step.ms), "price": step.price, "size": step.size, "side": "buy" if step.buys else "sell",
        "tradeId": str(1_235_671_058_980_749_319 + step.number),
    }  # fmt: skip
    yield {"action": "update", "arg": {"instType": "SPOT", "channel": "trade", "instId": "BTCUSDT"}, "data": [trade], "ts": step.ms + 1}


class Maker(NamedTuple):
    """How a venue writes the market."""

    url: str
    symbol: str
    frames: Callable[[Step], Iterator[Any]]


MAKERS: Final = {
    "okx": Maker("wss://ws.okx.com:8443/ws/v5/public", "BTC-USDT", _okx),
    "bybit": Maker("wss://stream.bybit.com/v5/public/spot", "BTCUSDT", _bybit),
    "gateio": Maker("wss://api.gateio.ws/ws/v4/", "BTC_USDT", _gate),
    "bitget": Maker("wss://ws.bitget.com/v2/ws/public", "BTCUSDT", _bitget),
}


def made(venue: str, count: int) -> Recorded:
    """The frames of one venue: a snapshot, so many updates, and as many trades."""
    maker = MAKERS[venue]
    lines = [
        CaptureLine(t=step.ms * 1_000_000, d="in", f=json.dumps(frame, separators=(",", ":")))
        for step in market(count)
        for frame in maker.frames(step)
    ]
    instrument = Instrument("BTC-USDT", venue, maker.symbol, "BTC", "USDT")
    return Recorded("made here", VENUES[venue], maker.url, lines, [instrument], is_market=True)
