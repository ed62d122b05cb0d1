"""Recordings of Bitget: of both generations, with and without numbers of books; and the list of pairs as the venue served it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_connector.replay.normalize import normalize
from crosstape_connector.replay.summary import Summary
from crosstape_connector.venues.bitget import FUTURES, SPOT
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Book, Candle, Event, Gap, Instrument, Quote, Trade
from tests.connector.venues.golden import answers_of

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
T: Final = 1_767_225_600_000
"""2026-01-01, 00:00 UTC, ms."""


def lines(venue: Venue, path: str, frames: list[dict[str, Any]]) -> Iterator[bytes]:
    """A recording: its header, the list of instruments, an acknowledgement and a pong, then these frames, one every 100 ms."""
    yield json.dumps({"capture": 1, "venue": venue.id, "url": f"wss://ws.bitget.com/{path}/ws/public", "source": "a test"}).encode()
    start = T * 1_000_000
    list_url = venue.rest_urls["rest"] + venue.instruments.path
    yield json.dumps({"t": start, "c": 0, "d": "rest", "u": list_url, "f": answers_of(venue.id)["instruments"].decode()}).encode()
    ack = {"event": "subscribe", "arg": frames[0]["arg"]}
    for number, text in enumerate([json.dumps(ack), "pong", *(json.dumps(frame, separators=(",", ":")) for frame in frames)]):
        yield json.dumps({"t": start + number * 100_000_000, "c": 1, "d": "in", "f": text}).encode()


def replayed(venue: Venue, path: str, frames: list[dict[str, Any]]) -> tuple[list[Event], Summary]:
    """All events, and the summary."""
    found = normalize(venue, lines(venue, path, frames), delta=True, candles=("1m",), book_interval_ns=0)
    return list(found), found.summary


def v2(channel: str, action: str, row: Any, product: str = "SPOT") -> dict[str, Any]:
    """A frame of v2 with one row."""
    return {"action": action, "arg": {"instType": product, "channel": channel, "instId": "BTCUSDT"}, "data": [row], "ts": T}


def v3(topic: str, action: str, row: Any, product: str = "spot") -> dict[str, Any]:
    """The same of v3."""
    return {"action": action, "arg": {"instType": product, "topic": topic, "symbol": "BTCUSDT"}, "data": [row], "ts": T}


def old_book(action: str, bids: list[list[str]], checksum: int) -> dict[str, Any]:
    """A book frame as in 2024: a checksum, and no number."""
    return v2("books", action, {"asks": [["91000.2", "1"]], "bids": bids, "checksum": checksum, "ts": str(T)})


def test_books_of_2024_are_read_without_numbers() -> None:
    """Nothing links their frames; their checksum is not looked at. The last book has all changes."""
    events, summary = replayed(
        SPOT, "v2", [old_book("snapshot", [["91000.1", "2"]], 0), old_book("update", [["91000.1", "0"], ["90999", "3"]], -431745958)]
    )
    book = [event for event in events if isinstance(event, Book)][-1]
    assert list(book.bids) == [(Decimal(90999), Decimal(3))]
    assert (summary.unhandled, summary.proofs["holes"], summary.proofs["links"]) == ({}, 0, 0)
    assert not [event for event in events if isinstance(event, Gap)]


def test_a_recording_of_v3_is_read_like_one_of_v2() -> None:
    """Books are linked by their numbers; a link that is missing is a hole."""
    rows = {"a": [["91000.2", "1"]], "b": [["91000.1", "2"]], "ts": str(T)}
    frames = [
        v3("publicTrade", "update", {"i": "1390000000000000001", "p": "91000.1", "v": "2", "S": "sell", "T": str(T), "isRPI": "no"}),
        v3("books1", "snapshot", rows | {"seq": 100, "pseq": 0}),
        v3("books", "snapshot", rows | {"seq": 100, "pseq": 0, "checksum": 0}),
        v3("books", "update", rows | {"a": [], "seq": 120, "pseq": 100, "checksum": -5}),
        v3("books", "update", rows | {"a": [], "seq": 140, "pseq": 130}),
    ]
    events, summary = replayed(SPOT, "v3", frames)
    assert summary.unhandled == {}
    assert (summary.proofs["links"], summary.proofs["holes"]) == (1, 1)
    assert [type(event) for event in events if isinstance(event, Trade | Quote)] == [Trade, Quote]
    assert summary.gaps == {"book sequence": 1, "delta sequence": 1}


def test_both_markets_may_be_on_one_connection() -> None:
    """Each table reads its own: a trade of the perpetual is none of the pair of the same symbol."""
    row = {"ts": str(T), "price": "91000.1", "size": "0.5", "side": "buy", "tradeId": "1390000000000000003"}
    frames = [v2("trade", "update", row), v2("trade", "update", row | {"size": "7"}, "USDT-FUTURES")]
    for venue, size in ((SPOT, "0.5"), (FUTURES, "7")):
        events, summary = replayed(venue, "v2", frames)
        assert [str(event.size) for event in events if isinstance(event, Trade)] == [size]
        assert summary.unhandled == {}


def test_the_first_frame_of_candles_begins_the_tape() -> None:
    """The last of its rows is running, until the next begins."""
    past = v2("candle1m", "snapshot", None)
    past["data"] = [[str(T + 60_000 * number), "2", "3", "1", "2", "1", "2", "2"] for number in range(-3, 1)]
    events, summary = replayed(FUTURES, "v2", [past | {"arg": past["arg"] | {"instType": "USDT-FUTURES"}}])
    closed = [event.closed for event in events if isinstance(event, Candle)]
    assert closed[-1] is False
    assert summary.unhandled == {}


@pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project")
def test_the_list_of_pairs_is_read_as_it_was_served() -> None:
    """2026-06: 889 pairs, of which 235 are tokenised shares, which are left out; one does not trade, none is odd."""
    with (Path(CORPUS) / "rest_instruments_202606.rest.jsonl.zst").open("rb") as file:
        rows = [json.loads(line) for line in zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()]
    (body,) = [row["body"] for row in rows if row["url"].endswith("/api/v2/spot/public/symbols")]
    found = SPOT.instruments.parse(body.encode())
    assert not [row for row in found if isinstance(row, OddRow)]
    pairs = [row for row in found if isinstance(row, Instrument)]
    assert (len(json.loads(body)["data"]), len(pairs), sum(one.active for one in pairs)) == (889, 654, 653)
    assert all(one.price_tick and one.size_step for one in pairs)
