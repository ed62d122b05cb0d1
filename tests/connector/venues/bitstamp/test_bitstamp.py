"""Bitstamp spot, WebSocket v2: the outputs of its frames."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.capture.reader import opened
from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.bitstamp import VENUE, rest, stream
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, unread
from crosstape_connector.venues.spec import Request
from crosstape_schemas import Book, FeedState, Quote, Status, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("bitstamp")
CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
D: Final = Decimal


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = stream.Parser(symbols_of("bitstamp"))
    return [output for frame in frames for output in parser(frame, 7)]


def tape(*frames: bytes) -> list[Any]:
    """The events of one connection's frames."""
    found = feeds(VENUE)
    return [event for output in parse(*frames) for event in found.apply(output)]


def test_a_complete_book_is_a_snapshot_and_then_its_changes() -> None:
    """Removals first; a size with other zeros at its end is no change."""
    first, later = parse(FRAMES["book"], FRAMES["book_later"])

    assert isinstance(first, BookSnapshot)
    assert first.bids == [(D("91000.10"), D("0.5")), (D(91000), D(1))]
    assert later == BookUpdate(
        "BTC-USD", 1_767_225_600_200_001_000, 7,
        [(D(91000), D(0)), (D("91000.10"), D("0.75")), (D("90999.90"), D(3))], [(D("91000.20"), D(0))],
    )  # fmt: skip


def test_a_lost_book_frame_costs_nothing_but_time() -> None:
    """With or without the one between, the last frame leads to the same book and quote."""
    between = FRAMES["book"].replace(b"600100000", b"600150000").replace(b'["91000.00","1.00000000"]', b'["90998","7"]')
    events = [tape(FRAMES["book"], *lost, FRAMES["book_later"]) for lost in ((between,), ())]

    for kind in (Book, Quote):
        (ours, other) = ([event for event in found if isinstance(event, kind)][-1] for found in events)
        assert ours == other
    assert ours.bids == ((D("91000.10"), D("0.75")), (D("90999.90"), D(3))) if isinstance(ours, Book) else ours.bid_size == D("0.75")


def test_a_book_that_is_not_newer_is_left_out() -> None:
    """It was overtaken, or came twice: a book never goes back."""
    assert [type(output) for output in parse(FRAMES["book_later"], FRAMES["book_earlier"], FRAMES["book_later"])] == [
        BookSnapshot,
        Odd,
        Odd,
    ]


@pytest.mark.parametrize("bad", [b'"x"', b"null", b'"NaN"', b'"-1"', b'"0.-1"', '"١"'.encode()])
def test_a_book_that_cannot_be_read_is_subscribed_again(bad: bytes) -> None:
    """It may be the newest for long; the next one that is good is a snapshot."""
    outputs = parse(FRAMES["book"], FRAMES["book_later"].replace(b'"0.75000000"', bad), FRAMES["book_later"])

    assert [type(output) for output in outputs] == [BookSnapshot, Odd, type(unread("BTC-USD", 7)), BookSnapshot]
    events = tape(FRAMES["book"], FRAMES["book_later"].replace(b'"0.75000000"', bad))
    assert [event.state for event in events if isinstance(event, Status) and event.kind == "book"] == [FeedState.LIVE, FeedState.RECOVERING]


def test_a_new_subscription_begins_with_a_snapshot() -> None:
    """Whatever was before: the book that asked for it is to be replaced."""
    assert [type(output) for output in parse(FRAMES["book_later"], FRAMES["ack"], FRAMES["book"])][::2] == [BookSnapshot, BookSnapshot]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'{"event":"soothsay","channel":"","data":{}}', UnknownFrame),
        (b'{"event":"data","channel":"live_trades_btcusd","data":{}}', UnknownFrame),
        (FRAMES["trade_sold"].replace(b"_btcusd", b"_xrpusd"), UnknownSymbol),
        (FRAMES["trade_sold"].replace(b'"1E-8"', b'"-1"'), FrameError),
        (FRAMES["trade_sold"].replace(b'"1767225600223000"', b'"1.5"'), FrameError),
        (FRAMES["trade_sold"].replace(b'"amount_str"', b'"amount"'), msgspec.ValidationError),
    ],
)
def test_what_cannot_be_used_says_why(frame: bytes, error: type[Exception]) -> None:
    """The type of the error gives the kind by which it is counted."""
    with pytest.raises(error):
        parse(frame)


def test_a_request_is_for_one_channel_of_one_market() -> None:
    """The table lets no request have more."""
    wanted = Request("live_trades", ("btcusd",), 5, 10)

    assert VENUE.endpoints[0].symbols_per_request == 1
    assert msgspec.json.decode(stream.request("subscribe", wanted)) == {
        "event": "bts:subscribe",
        "data": {"channel": "live_trades_btcusd"},
    }
    assert msgspec.json.decode(stream.ping(9)) == {"event": "bts:heartbeat"}


def test_an_error_in_a_rest_answer_is_found() -> None:
    """An answer without one has none; an asset has our name."""
    assert rest.rest_error(b'{"status":"error","reason":"Rate limit exceeded.","code":"400.002"}') == "400.002 Rate limit exceeded."
    assert rest.rest_error(answers_of("bitstamp")["quotes"]) is None
    assert rest.ours("UST") == "USTC"


@pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project")
def test_trades_of_a_recording_are_all_there_to_the_digit() -> None:
    """Each once, as a plain reading has it; no frame of the recording is unknown. Its books are changes only, which are not used."""
    path = Path(CORPUS) / "cryptofeed_bitstamp.jsonl.zst"
    with opened(path) as lines:
        found = normalize(VENUE, lines, delta=True, book_interval_ns=0)
        trades = [event for event in found if isinstance(event, Trade)]
    with opened(path) as lines:
        frames = [json.loads(line["f"]) for line in map(json.loads, lines) if line.get("d") == "in"]
    expected = [frame["data"] for frame in frames if frame["event"] == "trade"]

    assert found.summary.unhandled == {}
    assert [(trade.trade_id, trade.price, trade.size, trade.venue_ts) for trade in trades] == [
        (str(raw["id"]), D(raw["price_str"]), D(raw["amount_str"]), int(raw["microtimestamp"]) * 1_000) for raw in expected
    ]
    assert trades
