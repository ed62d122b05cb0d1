"""Real recordings: published events compared with an independent reading of the same frames, with plain `json` and none of our code.

`CROSSTAPE_CORPUS` names the folder of the recordings, which are not part of this project.
"""

from __future__ import annotations

import calendar
import io
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.replay.summary import Summary
from crosstape_connector.venues.registry import recorded
from crosstape_schemas import Book, Candle, Delta, Event, FeedState, Gap, Quote, Side, Status, Trade
from tests.connector.venues.golden import as_read

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
]
SPOT, FOUR = "binance_spot_btcusdt_20240808", "cryptofeed_binance"
TEN, EXCHANGE, ADVANCED = "kraken_v2_btcusd_d10_20260801", "cryptofeed_coinbase", "tickvault_coinbase_advanced_btcusd_20260824"
DEEP = "kraken_v2_btcusd_d25_20260802"
KUCOIN = "cryptofeed_kucoin"
ALL = [SPOT, FOUR, EXCHANGE, ADVANCED, TEN, DEEP, KUCOIN]


def grouped(*cases: tuple[object, ...]) -> list[object]:
    """Returns cases for `parametrize`, the first value of each a recording: its tests run in one process, which reads it once."""
    return [pytest.param(*case, marks=pytest.mark.xdist_group(str(case[0]))) for case in cases]


@lru_cache(maxsize=2)
def normalized(name: str) -> tuple[list[Event], Summary]:
    """All events of a recording as a reader gets them, books at every change; candles of a minute, where it has some."""
    candles = ("1m",) if name.startswith("cryptofeed") and recorded(header(name)).candles is not None else ()
    with opened(Path(CORPUS) / f"{name}.jsonl.zst") as lines:
        found = normalize(recorded(header(name)), lines, delta=True, candles=candles, book_interval_ns=0)
        return [as_read(event) for event in found], found.summary


def raw(name: str) -> Iterator[dict[str, Any]]:
    """The lines of a recording."""
    with (Path(CORPUS) / f"{name}.jsonl.zst").open("rb") as file:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            yield json.loads(text)


def header(name: str) -> str:
    """The venue that it says it is of."""
    return str(next(raw(name))["venue"])


def frames(name: str) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Receive time and content of what came in."""
    for line in raw(name):
        if line.get("d") == "in":
            yield line["t"], json.loads(line["f"])


def ns(text: str) -> int:
    """An ISO time, exactly."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0") or 0)


def spelled(trade: Trade) -> tuple[str, str, str, str, str | None, int | None]:
    """A trade as text, to the digit."""
    side = trade.taker.value if isinstance(trade.taker, Side) else None
    return trade.instrument, trade.trade_id, format(trade.price, "f"), format(trade.size, "f"), side, trade.venue_ts


@pytest.mark.parametrize("name", grouped(*zip(ALL, strict=True)))
def test_every_frame_is_used(name: str) -> None:
    """No frame is unknown or malformed, no book breaks, and no trade is missed or published twice."""
    events, summary = normalized(name)

    assert summary.frames == sum(1 for _ in frames(name))
    assert summary.unhandled == {}
    assert summary.first_unhandled == []
    assert summary.unwanted == summary.duplicates == 0
    for bad in ("checksums_bad", "crossed", "holes", "impossible", "refused", "unproven"):
        assert summary.proofs[bad] == 0
    assert {gap.cause.value for gap in events if isinstance(gap, Gap)} <= {"disconnect"}
    seqs: Counter[tuple[type[Event], str]] = Counter()
    for event in events:
        seqs[type(event), event.instrument] += 1
        assert event.seq == seqs[type(event), event.instrument]


@pytest.mark.xdist_group(SPOT)
def test_binance_trades_are_all_there_to_the_digit() -> None:
    """Number, price, size, taker's side and time of each, in order."""
    expected = [
        ("BTC-USDT", str(d["t"]), d["p"], d["q"], "sell" if d["m"] else "buy", d["T"] * 1_000_000)
        for _, frame in frames(SPOT)
        if (d := frame["data"]).get("e") == "trade"
    ]
    trades = [event for event in normalized(SPOT)[0] if isinstance(event, Trade)]

    assert len(expected) == 19_904
    assert [spelled(trade) for trade in trades] == expected


@pytest.mark.xdist_group(SPOT)
def test_binance_volume_and_mean_price_of_a_window() -> None:
    """23:54:17 to 23:59:59 by receive time: as others counted it."""
    first, end = 1_723_161_257 * 10**9, 1_723_161_599 * 10**9
    trades = [event for event in normalized(SPOT)[0] if isinstance(event, Trade) and first <= event.received_ts < end]
    volume = sum((trade.size for trade in trades), Decimal(0))

    assert len(trades) == 9_661
    assert round(volume, 4) == Decimal("211.4014")
    assert round(sum(trade.price * trade.size for trade in trades) / volume, 4) == Decimal("61707.4328")


@pytest.mark.parametrize(("name", "links", "bridged"), grouped((SPOT, 6_494, 1), (FOUR, 173, 4)))
def test_binance_books_are_linked_from_their_snapshot_on(name: str, links: int, bridged: int) -> None:
    """Each update begins where the one before ended, and the snapshot lies within one."""
    events, summary = normalized(name)

    assert (summary.proofs["links"], summary.proofs["bridged"], summary.proofs["snapshots"]) == (links, bridged, bridged)
    assert not [event for event in events if isinstance(event, Gap)]


@pytest.mark.parametrize(("name", "count"), grouped((SPOT, 1_072), (FOUR, 26)))
def test_binance_books_have_the_venues_own_best_bid_and_ask(name: str, count: int) -> None:
    """Where `bookTicker` has the number that a book ends at, price and size of both sides are the same."""
    best = {
        (frame["data"]["s"], frame["data"]["u"]): tuple(frame["data"][field] for field in "bBaA")
        for _, frame in frames(name)
        if frame["stream"].endswith("@bookTicker")
    }
    compared = 0
    for event in normalized(name)[0]:
        if isinstance(event, Book) and (theirs := best.get((event.instrument.replace("-", ""), event.sequence or 0))):
            ours = tuple(format(figure, "f") for figure in (*event.bids[0], *event.asks[0]))
            assert ours == theirs
            compared += 1
    assert compared == count


@pytest.mark.parametrize(("name", "count"), grouped((SPOT, 73_174), (FOUR, 84)))
def test_binance_quotes_are_those_of_the_venue(name: str, count: int) -> None:
    """One for one, with every digit."""
    expected = [
        (at, d["s"], d["b"], d["B"], d["a"], d["A"])
        for at, frame in frames(name)
        if frame["stream"].endswith("@bookTicker") and (d := frame["data"])
    ]
    ours = [
        (
            q.received_ts,
            q.instrument.replace("-", ""),
            *(f"{n:f}" for n in (q.bid_price, q.bid_size, q.ask_price, q.ask_size) if n is not None),
        )
        for q in normalized(name)[0]
        if isinstance(q, Quote)
    ]

    assert len(expected) == count
    assert ours == expected


@pytest.mark.xdist_group(FOUR)
def test_aggregate_trades_are_trades() -> None:
    """Where a recording has no others; of four markets, two traded in that half minute."""
    trades = [event for event in normalized(FOUR)[0] if isinstance(event, Trade)]

    assert [spelled(trade) for trade in trades] == [
        (trade.instrument, str(d["a"]), d["p"], d["q"], "sell" if d["m"] else "buy", d["T"] * 1_000_000)
        for trade, d in zip(trades, [f["data"] for _, f in frames(FOUR) if f["data"].get("e") == "aggTrade"], strict=True)
    ]


@pytest.mark.xdist_group(EXCHANGE)
def test_coinbase_matches_are_all_there_to_the_digit() -> None:
    """Taker's side, which is not the one that is written; those from before the subscription are marked."""
    found = [f for _, f in frames(EXCHANGE) if f["type"] in ("match", "last_match")]
    trades = [event for event in normalized(EXCHANGE)[0] if isinstance(event, Trade)]

    assert [spelled(trade) for trade in trades] == [
        (f["product_id"], str(f["trade_id"]), f["price"], f["size"], {"buy": "sell", "sell": "buy"}[f["side"]], ns(f["time"]))
        for f in found
    ]
    assert [trade.backfilled for trade in trades] == [f["type"] == "last_match" for f in found]
    assert Counter(trade.backfilled for trade in trades) == {False: 97, True: 10}


@pytest.mark.xdist_group(EXCHANGE)
def test_coinbase_tickers_agree_with_the_takers_side() -> None:
    """A ticker's side is the taker's: the same as ours for the same trade."""
    takers = {(f["product_id"], str(f["trade_id"])): f["side"] for _, f in frames(EXCHANGE) if f["type"] == "ticker"}
    trades = {(event.instrument, event.trade_id): event.taker for event in normalized(EXCHANGE)[0] if isinstance(event, Trade)}

    assert len(takers) == 107
    assert {key: trades[key] for key in takers} == takers


def replayed(events: list[Event]) -> dict[str, dict[str, dict[Decimal, Decimal]]]:
    """The books that a reader of deltas has in the end."""
    books: dict[str, dict[str, dict[Decimal, Decimal]]] = defaultdict(lambda: {"bids": {}, "asks": {}})
    for event in events:
        if isinstance(event, Delta):
            book = books[event.instrument]
            for name, rows in (("bids", event.bids), ("asks", event.asks)):
                if event.snapshot:
                    book[name] = {}
                for price, size in rows:
                    book[name].pop(price, None)
                    if size:
                        book[name][price] = size
    return books


@pytest.mark.xdist_group(EXCHANGE)
def test_coinbase_exchange_books_are_those_of_a_plain_replay() -> None:
    """Ten products with complete books: all levels, and the best of each as published last."""
    plain: dict[str, dict[str, dict[Decimal, Decimal]]] = {}
    for _, frame in frames(EXCHANGE):
        if frame["type"] == "snapshot":
            plain[frame["product_id"]] = {side: {Decimal(price): Decimal(size) for price, size in frame[side]} for side in ("bids", "asks")}
        if frame["type"] == "l2update":
            for word, price, size in frame["changes"]:
                side = plain[frame["product_id"]]["bids" if word == "buy" else "asks"]
                side.pop(Decimal(price), None)
                if Decimal(size):
                    side[Decimal(price)] = Decimal(size)
    events, summary = normalized(EXCHANGE)

    assert summary.proofs["updates"] == 9_719
    assert replayed(events) == plain
    last = {event.instrument: event for event in events if isinstance(event, Quote)}
    assert {name: (quote.bid_price, quote.ask_price) for name, quote in last.items()} == {
        name: (max(book["bids"]), min(book["asks"])) for name, book in plain.items()
    }


@pytest.mark.xdist_group(ADVANCED)
def test_coinbase_advanced_frames_follow_each_other() -> None:
    """Their sequence has no gap, also at the acknowledgement in the middle; times are the engine's, to the nanosecond."""
    events, summary = normalized(ADVANCED)
    expected = [
        ns(updates[-1]["event_time"] if updates else frame["timestamp"])
        for _, frame in frames(ADVANCED)
        if frame["channel"] == "l2_data" and (updates := frame["events"][0]["updates"]) is not None
    ]

    assert [delta.venue_ts for delta in events if isinstance(delta, Delta)] == expected
    assert (summary.proofs["updates"], summary.proofs["snapshots"]) == (10, 1)


@pytest.mark.parametrize(("name", "count", "snapshots"), grouped((TEN, 301, 5), (DEEP, 2_052, 1)))
def test_kraken_books_have_the_venues_checksum_after_each_frame(name: str, count: int, snapshots: int) -> None:
    """At either depth, over all resyncs; each frame that was proven is a delta."""
    events, summary = normalized(name)

    assert (summary.proofs["checksums_ok"], summary.proofs["snapshots"]) == (count, snapshots)
    assert [delta.venue_ts for delta in events if isinstance(delta, Delta)] == [
        ns(frame["data"][0]["timestamp"]) for _, frame in frames(name) if frame.get("channel") == "book"
    ]


@pytest.mark.xdist_group(TEN)
def test_kraken_resyncs_are_told() -> None:
    """The recorder unsubscribed its book four times: down, live again, and a gap between."""
    events, _ = normalized(TEN)

    said = [event.state for event in events if isinstance(event, Status) and event.kind == "book"]
    assert said == [FeedState.LIVE, *[FeedState.DOWN, FeedState.LIVE] * 4]
    gaps = [event for event in events if isinstance(event, Gap) and event.kind == "book"]
    assert len(gaps) == 4
    assert all(gap.from_ts < gap.to_ts for gap in gaps)


def kucoin(subject: str) -> list[tuple[int | None, str, dict[str, Any]]]:
    """Receive time, name and data of the frames with a subject that begins so. BSV was listed as BCHSV, which its symbol still says."""
    found = [(at, frame) for at, frame in frames(KUCOIN) if frame.get("subject", "").startswith(subject)]
    return [(at, frame["topic"].partition(":")[2].replace("BCHSV", "BSV"), frame["data"]) for at, frame in found]


@pytest.mark.xdist_group(KUCOIN)
def test_kucoin_books_are_linked_from_their_snapshot_on() -> None:
    """Each update begins where the one before ended, and nine of nine snapshots by REST lie within one; a third only count."""
    events, summary = normalized(KUCOIN)
    rows = [row for _, _, data in kucoin("trade.l2update") for side in ("asks", "bids") for row in data["changes"][side]]

    assert [summary.proofs[name] for name in ("updates", "links", "bridged", "snapshots")] == [3_853, 3_844, 9, 9]
    assert not [event for event in events if isinstance(event, Gap)]
    assert (len(rows), sum(row[0] == "0" for row in rows)) == (3_853, 1_355)


@pytest.mark.xdist_group(KUCOIN)
def test_kucoin_books_have_the_venues_own_best_bid_and_ask() -> None:
    """Where a ticker has the sequence that a book ends at, price and size of both sides are the same."""
    names = ("bestBid", "bestBidSize", "bestAsk", "bestAskSize")
    best = {(symbol, int(data["sequence"])): tuple(Decimal(data[name]) for name in names) for _, symbol, data in kucoin("trade.ticker")}
    compared = 0
    for event in normalized(KUCOIN)[0]:
        if isinstance(event, Book) and (theirs := best.get((event.instrument, event.sequence or 0))):
            assert (*event.bids[0], *event.asks[0]) == theirs
            compared += 1
    assert compared == 819


@pytest.mark.xdist_group(KUCOIN)
def test_kucoin_trades_are_all_there_to_the_digit() -> None:
    """Each once, by the sequence that REST knows it by."""
    trades = [event for event in normalized(KUCOIN)[0] if isinstance(event, Trade)]

    assert len(trades) == 18
    assert [spelled(trade) for trade in trades] == [
        (symbol, data["sequence"], data["price"], data["size"], data["side"], int(data["time"]))
        for _, symbol, data in kucoin("trade.l3match")
    ]


@pytest.mark.xdist_group(KUCOIN)
def test_kucoin_quotes_are_those_of_the_venue() -> None:
    """One for one, with every digit."""
    quotes = [event for event in normalized(KUCOIN)[0] if isinstance(event, Quote)]

    assert len(quotes) == 830
    assert [
        (q.received_ts, q.instrument, *(f"{n:f}" for n in (q.bid_price, q.bid_size, q.ask_price, q.ask_size) if n is not None))
        for q in quotes
    ] == [(at, symbol, d["bestBid"], d["bestBidSize"], d["bestAsk"], d["bestAskSize"]) for at, symbol, d in kucoin("trade.ticker")]


@pytest.mark.xdist_group(KUCOIN)
def test_kucoin_candles_are_those_of_the_venue() -> None:
    """Open, close, high, low in the venue's order; the minute without trades comes late, and closes with the next."""
    candles = [event for event in normalized(KUCOIN)[0] if isinstance(event, Candle)]
    theirs = [
        (symbol.rpartition("_")[0], int(start) * 10**9, *figures)
        for _, symbol, data in kucoin("trade.candles")
        for start, *figures in (data["candles"],)
    ]
    ours = [
        (
            one.instrument,
            one.open_ts,
            *(f"{n:f}" for n in (one.open, one.close, one.high, one.low, one.volume, one.quote_volume or Decimal(0))),
        )
        for one in candles
        if not one.closed
    ]

    assert len(theirs) == 6
    assert ours == theirs
    starts = dict.fromkeys((name, start) for name, start, *_ in theirs)
    assert {(one.instrument, one.open_ts) for one in candles if one.closed} == {
        (name, start) for name, start in starts if (name, start + 60 * 10**9) in starts
    }
