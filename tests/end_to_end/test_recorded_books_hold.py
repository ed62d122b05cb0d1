"""Recorded book streams with lost, repeated, swapped and damaged frames: a live book must equal the one of the undamaged recording.

That this is also the venue's own book is tested in tests/connector/venues/test_recordings.py. `CROSSTAPE_CORPUS` names the recordings.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.capture.reader import opened
from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.registry import find
from crosstape_connector.venues.spec import Endpoint, Venue
from crosstape_schemas import Book, FeedState, Instrument
from tests.connector.venues.golden import instrument

CORPUS = os.environ.get("CROSSTAPE_CORPUS", "")
MOST = 400
"""Frames of each."""

Levels = tuple[object, object]


class Recording(NamedTuple):
    """The recorded stream of one instrument."""

    venue: str
    name: str
    symbol: str
    marks: tuple[str, ...]
    """A frame with one of these is wanted."""


RECORDINGS = [
    Recording("binance", "binance_spot_btcusdt_20240808", "BTCUSDT", ("@depth",)),
    Recording("coinbase", "tickvault_coinbase_advanced_btcusd_20260824", "BTC-USD", ("sequence_num",)),
    Recording("kraken", "kraken_v2_btcusd_d10_20260801", "BTC/USD", ('"book"',)),
    Recording("kraken", "kraken_v2_btcusd_d25_20260802", "BTC/USD", ('"book"',)),
]


class Line(NamedTuple):
    """A frame, or a REST answer."""

    text: bytes
    by_rest: bool


@cache
def lines(recording: Recording) -> list[Line]:
    """Returns its frames and snapshots, in order."""
    found: list[Line] = []
    with opened(Path(CORPUS) / f"{recording.name}.jsonl.zst") as rows:
        for row in rows:
            line = json.loads(row)
            if line.get("d") == "in" and any(mark in line.get("f", "") for mark in recording.marks):
                found.append(Line(line["f"].encode(), by_rest=False))
            elif line.get("d") == "rest" and "depth" in line["u"]:
                found.append(Line(line["f"].encode(), by_rest=True))
            if len(found) == MOST:
                break
    return found


class Connector:
    """One venue's book, which the test feeds."""

    def __init__(self, recording: Recording) -> None:
        self.venue: Venue = find(recording.venue)
        endpoint: Endpoint = next(one for one in self.venue.endpoints if "book" in one.channels)
        self.parse = endpoint.parser({recording.symbol: instrument("X")})
        instruments = {"X": Instrument("X", self.venue.id, recording.symbol, "X", "X")}
        self.feeds = FeedHandler(self.venue, instruments, ("book",), book_depth=10, book_interval_ns=0)
        self.book: Book | None = None
        self.now = 1

    def hear(self, line: Line, text: bytes | None = None) -> bool:
        """Deliver a frame or an answer, perhaps damaged. Returns whether it is about the book."""
        self.now += 1
        outputs: list[Any] = []
        try:
            if line.by_rest:
                assert self.venue.snapshots is not None
                outputs.append(self.venue.snapshots.parse(line.text, instrument("X"), self.now))
            else:
                outputs += self.parse(line.text if text is None else text, self.now)
        except FRAME_ERRORS:
            return False
        for output in outputs:
            for event in self.feeds.apply(output):
                if isinstance(event, Book):
                    self.book = event
        return any(isinstance(output, BookSnapshot | BookUpdate) for output in outputs)

    @property
    def live(self) -> Book | None:
        """The book, if it is said to be true."""
        return self.book if self.feeds.records[FeedKey("book", "X")].state is FeedState.LIVE else None


@cache
def truth(recording: Recording) -> tuple[list[Levels | None], dict[int, Levels]]:
    """The book after each line, and by the venue's number where it has one."""
    clean = Connector(recording)
    after: list[Levels | None] = []
    numbered: dict[int, Levels] = {}
    for line in lines(recording):
        if line.by_rest and clean.venue.snapshots is not None:
            fetched = clean.venue.snapshots.parse(line.text, instrument("X"), clean.now)
            if fetched.sequence is not None:
                numbered[fetched.sequence] = tuple(fetched.bids[:10]), tuple(fetched.asks[:10])
        clean.hear(line)
        book = clean.live
        after.append((book.bids, book.asks) if book is not None else None)
        if book is not None and book.sequence is not None:
            numbered[book.sequence] = book.bids, book.asks
    assert any(after)
    return after, numbered


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="needs recordings of real venues: a folder of them in CROSSTAPE_CORPUS")
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_recorded_book_is_true_or_said_not_to_be(recording: Recording, data: st.DataObject) -> None:
    """After each undamaged frame of the book, the book is that of the newest such frame, or there is none."""
    stream = lines(recording)
    after, numbered = truth(recording)
    places = st.dictionaries(st.integers(0, len(stream) - 1), st.sampled_from(["drop", "duplicate", "swap", "damage"]), max_size=8)
    faults = data.draw(places)
    order: list[tuple[int, bool]] = []
    for number, line in enumerate(stream):
        match None if line.by_rest else faults.get(number):
            case "drop":
                continue
            case "duplicate":
                order += [(number, True), (number, True)]
            case "swap" if order:
                order.insert(-1, (number, True))
            case "damage":
                order.append((number, False))
            case _:
                order.append((number, True))

    ours, newest = Connector(recording), -1
    for number, whole in order:
        line = stream[number]
        if not ours.hear(line, None if whole else line.text[: len(line.text) // 2]):
            continue  # that the newest change was lost shows with the next
        newest = max(newest, number)
        book = ours.live
        if book is None:
            continue
        if book.sequence is not None:
            assert (book.bids, book.asks) == numbered[book.sequence]
        else:
            assert (book.bids, book.asks) == after[newest]
