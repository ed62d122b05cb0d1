"""Gemini's old socket: frames of `l2` and of candles, and a recording."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_connector.capture.reader import opened
from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.gemini import OLD, VENUE, recorded
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
    unread,
)
from crosstape_schemas import Candle, Delta, Side, Trade
from tests.connector.venues.golden import as_read, symbols_of

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
NAME: Final = "cryptofeed_gemini"
D: Final = Decimal

FIRST: Final = (
    b'{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","91000.10","3.1"],["buy","91000","0"],["sell","91000.20","0.5"]],"trades":['
    b'{"type":"trade","symbol":"BTCUSD","event_id":45463791708,"timestamp":1767225600937,"price":"91000.20","quantity":"0.02","side":"buy"},'
    b'{"type":"trade","symbol":"BTCUSD","event_id":45463791706,"timestamp":1767225600937,"price":"91000.10","quantity":"1E-8","side":"sell"}]'
    b',"auction_events":[]}'
)
CHANGES: Final = (
    b'{"type":"l2_updates","symbol":"BTCUSD","changes":[["sell","91000.20","0"],["buy","91000.10","2"],["sell","91000.30","4"]]}'
)
TRADE: Final = (
    b'{"type":"trade","symbol":"BTCUSD","event_id":45463791710,"timestamp":1767225601000,"price":"91000.20","quantity":"0.1","side":"buy"}'
)
CANDLES: Final = (
    b'{"type":"candles_1m_updates","symbol":"BTCUSD","changes":[[1767225660000,91000.2,91000.3,91000.2,91000.25,0.5],'
    b"[1767225600000,91000.1,91000.2,90999,91000.2,1.5]]}"
)


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = recorded.Parser(symbols_of("gemini"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_the_first_frame_of_a_book_has_the_trades_before_it() -> None:
    """Oldest first, by their ids; a level of size zero in the book is none."""
    trades, book = parse(FIRST)

    assert isinstance(trades, TradeSnapshot)
    assert [(one.trade_id, one.taker) for one in trades.trades] == [("45463791706", Side.SELL), ("45463791708", Side.BUY)]
    assert book == BookSnapshot("BTC-USD", None, 7, [(D("91000.10"), D("3.1"))], [(D("91000.20"), D("0.5"))])


def test_a_book_may_begin_without_trades() -> None:
    """`auction_events` alone shows that it is complete."""
    (book,) = parse(b'{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","91000","1"]],"auction_events":[]}')

    assert isinstance(book, BookSnapshot)


def test_one_list_has_the_changes_of_both_sides() -> None:
    """A quantity of zero removes; there is no time and no number."""
    (update,) = parse(CHANGES)

    assert update == BookUpdate("BTC-USD", None, 7, [(D("91000.10"), D(2))], [(D("91000.20"), D(0)), (D("91000.30"), D(4))])


@pytest.mark.parametrize(("word", "side"), [("buy", Side.BUY), ("sell", Side.SELL), ("block", None), ("auction", None)])
def test_a_side_is_the_takers_or_not_known(word: str, side: Side | None) -> None:
    """Auctions and block trades have none."""
    (trade,) = map(as_read, parse(TRADE.replace(b'"buy"', b'"%s"' % word.encode())))

    assert trade == Trade("gemini", "BTC-USD", 1_767_225_601_000_000_000, 7, D("91000.20"), D("0.1"), side, "45463791710")


@pytest.mark.parametrize("change", [(b'"91000.20","0"', b'"x","0"'), (b'["sell"', b'["ask"'), (b'"4"', b"null"), (b'"4"', '"٤"'.encode())])
def test_changes_that_cannot_be_read_break_only_their_book(change: tuple[bytes, bytes]) -> None:
    """A trade beside them is used."""
    assert [type(one) for one in parse(CHANGES.replace(*change))] == [Odd, type(unread("BTC-USD", 7))]
    found = parse(FIRST.replace(b'"91000.20","0.5"', b'"91000.20","abc"'))
    assert [type(one) for one in found] == [TradeSnapshot, Odd, type(unread("BTC-USD", 7))]


def test_a_past_trade_that_cannot_be_read_is_odd() -> None:
    """Its neighbour is used, and so is the book."""
    odd, trades, book = parse(FIRST.replace(b'"0.02"', b'"0"'))

    assert isinstance(odd, Odd)
    assert isinstance(trades, TradeSnapshot)
    assert len(trades.trades) == 1
    assert isinstance(book, BookSnapshot)


def test_candles_begin_with_their_history() -> None:
    """Newest first on the wire; later frames have the running one."""
    past, running = parse(CANDLES, CANDLES.replace(b",[1767225600000,91000.1,91000.2,90999,91000.2,1.5]", b""))

    assert isinstance(past, CandleSnapshot)
    assert [one.open_ts // 10**9 for one in past.candles] == [1_767_225_600, 1_767_225_660]
    assert isinstance(running, Candle)
    assert (running.timeframe, running.close, running.volume, running.closed) == ("1m", D("91000.25"), D("0.5"), False)


def test_a_candle_that_cannot_be_read_makes_its_feed_old() -> None:
    """A high that is not the highest, too: the columns may have changed."""
    for change in ((b"91000.3,", b'"91_000.3",'), (b"91000.3,", b"90000,")):
        found = parse(CANDLES, CANDLES.replace(*change))
        assert [one for one in found if isinstance(one, Unreadable)] == [Unreadable("candle:1m", "BTC-USD", 7)]
    assert parse(CANDLES.replace(b"candles_1m", b"candles_1d")) == []


def test_other_frames() -> None:
    """Signs of life, refusals, auctions; what is not documented is counted."""
    assert parse(b'{"type":"heartbeat","timestamp":1767225600869}') == [Heartbeat()]
    assert parse(b'{"result":"error","reason":"InvalidJson","message":"no JSON"}') == [Rejected("InvalidJson no JSON")]
    assert parse(b'{"type":"auction_indicative","symbol":"BTCUSD"}') == []
    with pytest.raises(UnknownFrame):
        parse(b'{"type":"something_new"}')
    with pytest.raises(UnknownSymbol):
        parse(TRADE.replace(b"BTCUSD", b"XYZUSD"))
    with pytest.raises(FrameError):
        parse(TRADE.replace(b'"0.1"', b'"0"'))


def test_a_recording_is_read_by_its_address() -> None:
    """The new socket's books have ids, the old one's have none."""
    assert VENUE.recordings["/v2/marketdata"] is OLD
    assert OLD.book.follows is None
    assert VENUE.book.follows is not None


def raw() -> Iterator[dict[str, Any]]:
    """The frames of the recording, read with plain `json`."""
    with (Path(CORPUS) / f"{NAME}.jsonl.zst").open("rb") as file:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            line = json.loads(text)
            if line.get("d") == "in":
                yield json.loads(line["f"])


def of_recording() -> tuple[list[Any], Any]:
    """All events of the recording, and the summary."""
    with opened(Path(CORPUS) / f"{NAME}.jsonl.zst") as lines:
        found = normalize(VENUE, lines, delta=True, book_interval_ns=0)
        return [as_read(event) for event in found], found.summary


needs_corpus = pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project")


@needs_corpus
@pytest.mark.slow
def test_trades_of_a_recording_are_all_there_to_the_digit() -> None:
    """Those of the stream: the ones before it are older than the tape."""
    expected = [(str(one["event_id"]), one["price"], one["quantity"], one["side"]) for one in raw() if one.get("type") == "trade"]
    trades = [event for event in of_recording()[0] if isinstance(event, Trade)]

    assert len(expected) == 16
    assert [(one.trade_id, f"{one.price:f}", f"{one.size:f}", one.taker.value if one.taker else None) for one in trades] == expected


@needs_corpus
@pytest.mark.slow
def test_books_of_a_recording_are_those_of_its_frames() -> None:
    """Ten books, 645 changes, never crossed, nothing left over: at the end each has the levels that plain `json` finds."""
    expected: dict[str, dict[tuple[str, Decimal], Decimal]] = {}
    changes = 0
    for frame in raw():
        if frame.get("type") != "l2_updates":
            continue
        changes += "auction_events" not in frame
        book = expected.setdefault(frame["symbol"], {})
        for side, price, size in frame["changes"]:
            book[side, D(price)] = D(size)
    events, summary = of_recording()
    ours: dict[str, dict[tuple[str, Decimal], Decimal]] = {}
    for event in events:
        if isinstance(event, Delta):
            book = ours.setdefault(event.instrument.replace("-", ""), {})
            book.update({("buy", price): size for price, size in event.bids} | {("sell", price): size for price, size in event.asks})

    def held(book: dict[tuple[str, Decimal], Decimal]) -> dict[tuple[str, Decimal], Decimal]:
        return {level: size for level, size in book.items() if size}

    assert {name: held(book) for name, book in ours.items()} == {name: held(book) for name, book in expected.items()}
    assert (len(expected), changes, summary.frames) == (10, 645, 678)
    assert summary.unhandled == {}
    assert (summary.proofs["snapshots"], summary.proofs["updates"], summary.proofs["crossed"]) == (10, 645, 0)
    assert summary.rest == {"unused": 1, "instruments": 71}
