"""The place of REST lines in a capture does not change the events made from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.replay import rest_order
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Book, Gap, encode
from tests.connector.replay.test_normalize import INSTRUMENTS_URL, line
from tests.connector.venues.golden import answers_of, frames_of

KRAKEN = frames_of("kraken")

SECOND = 1_000_000_000
DEPTH_URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
HEADER = msgspec.json.encode({"capture": 1, "venue": "binance", "url": ""})


def update(number: int) -> bytes:
    """The change of the book with this number, a second after the one before."""
    frame = {
        "e": "depthUpdate",
        "E": 1767225600000 + number * 1000,
        "s": "BTCUSDT",
        "U": number,
        "u": number,
        "b": [["90.5", str(number)]],
        "a": [],
    }
    return msgspec.json.encode({"stream": "btcusdt@depth@100ms", "data": frame})


def snapshot(number: int) -> bytes:
    """The book after this change."""
    return msgspec.json.encode({"lastUpdateId": number, "bids": [["90.5", str(number)]], "asks": [["91", "1"]]})


FRAMES = [line("open", SECOND // 2, connection=1), *(line("in", number * SECOND, update(number), connection=1) for number in range(1, 9))]
REST = [
    line("rest", SECOND // 4, answers_of("binance")["instruments"], url=INSTRUMENTS_URL["binance"]),
    line("rest", 3 * SECOND + 1, snapshot(3), url=DEPTH_URL),
]
ORDERLY = [HEADER, REST[0], *FRAMES[:4], REST[1], *FRAMES[4:]]


def events(lines: Sequence[bytes], **options: Any) -> list[bytes]:
    """Return the events of a capture, with deltas."""
    return [encode(event) for event in normalize(VENUES["binance"], lines, delta=True, book_interval_ns=0, **options)]


@given(st.integers(0, len(FRAMES)), st.integers(0, len(FRAMES)), st.booleans())
def test_rest_lines_may_stand_anywhere(instruments: int, depth: int, swapped: bool) -> None:
    """Before the first frame, after the last, or the snapshot before the instruments: every byte is the same."""
    lines = list(FRAMES)
    rest = sorted([(instruments, REST[0]), (depth, REST[1])], key=lambda pair: pair[0], reverse=True)
    for place, one in rest if not swapped or instruments != depth else rest[::-1]:
        lines.insert(place, one)

    assert events([HEADER, *lines]) == events(ORDERLY)
    assert any(b'"type":"book"' in event for event in events(ORDERLY))


def test_a_snapshot_before_everything_begins_a_book_from_a_pipe_too() -> None:
    """The lines of a pipe are kept until the instruments are known."""
    found = normalize(VENUES["binance"], iter([HEADER, REST[1], *FRAMES, REST[0]]), book_interval_ns=0)
    made = list(found)

    assert [event.sequence for event in made if isinstance(event, Book)] == [3, 4, 5, 6, 7, 8]
    assert found.summary.rest == {"snapshot": 1, "instruments": 1}
    assert not found.summary.gaps


LOSSY = [line("open", SECOND // 2, connection=1), *(line("in", n * SECOND, update(n), connection=1) for n in range(1, 13) if n != 6)]
LATER = [
    REST[0],
    REST[1],
    line("rest", 8 * SECOND + 1, snapshot(8), url=DEPTH_URL),
    line("rest", 11 * SECOND + 2, answers_of("binance")["instruments"], url=INSTRUMENTS_URL["binance"]),
    line("rest", 9 * SECOND + 1, b"[]", url="https://api.binance.com/api/v3/historicalTrades?symbol=BTCUSDT"),
    line("rest", 10 * SECOND, b"{}", url="https://elsewhere.example/"),
]
LOSSY_ORDERLY = sorted([*LATER, *LOSSY], key=lambda text: msgspec.json.decode(text)["t"])


@given(st.permutations(LATER), st.booleans(), st.integers(0, 100_000_000))
def test_all_that_rest_answered_may_stand_first_in_a_pipe(rest: list[bytes], from_pipe: bool, interval_ns: int) -> None:
    """In any order: each snapshot is used for its own request."""
    lines = [HEADER, *rest, *LOSSY]
    found = normalize(VENUES["binance"], iter(lines) if from_pipe else lines, delta=True, book_interval_ns=interval_ns)
    expected = normalize(VENUES["binance"], [HEADER, *LOSSY_ORDERLY], delta=True, book_interval_ns=interval_ns)
    events = list(found)

    assert [encode(event) for event in events] == [encode(event) for event in expected]
    assert found.summary == expected.summary
    assert list(dict.fromkeys(event.sequence for event in events if isinstance(event, Book))) == [3, 4, 5, 8, 9, 10, 11, 12]
    assert sum(isinstance(event, Gap) for event in events) == 2  # books and their changes


@given(st.permutations([*LATER, *LOSSY]), st.booleans())
def test_a_gap_never_ends_before_it_begins(lines: list[bytes], from_pipe: bool) -> None:
    """The lines of a pipe may be in any order."""
    for event in normalize(VENUES["binance"], iter([HEADER, *lines]) if from_pipe else [HEADER, *lines], book_interval_ns=0):
        if isinstance(event, Gap):
            assert event.from_ts <= event.to_ts


def test_snapshots_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest snapshot is used at once."""
    lines = [HEADER, *LATER, *LOSSY]
    monkeypatch.setattr(rest_order, "CAPACITY", 1)
    found = normalize(VENUES["binance"], iter(lines))
    list(found)
    assert found.summary.rest["snapshot"] == 2


def test_a_pipe_gives_events_as_they_come() -> None:
    """Lines are not kept once the instruments are known."""
    given_out = 0

    def lines() -> Any:
        nonlocal given_out
        for one in (HEADER, REST[0], REST[1], *FRAMES):
            given_out += 1
            yield one

    next(iter(normalize(VENUES["binance"], lines(), delta=True)))
    assert given_out < len(FRAMES)


def test_the_kept_lines_of_a_pipe_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound lines are used as they come, and the summary counts those of unknown instruments."""
    monkeypatch.setattr(rest_order, "CAPACITY", 500)
    found = normalize(VENUES["binance"], iter([HEADER, *FRAMES, REST[0]]))
    list(found)

    assert found.summary.unhandled["symbol"] == 8


def test_a_refusal_is_no_list_of_instruments() -> None:
    """A refused or unreadable answer does not end the search."""
    refused = msgspec.json.encode({"t": 1, "c": 0, "d": "rest", "f": "no", "u": INSTRUMENTS_URL["binance"], "bad": "refused"})
    broken = line("rest", 2, b'{"symbols":', url=INSTRUMENTS_URL["binance"])
    for lines in ([HEADER, refused, broken, REST[1], *FRAMES, REST[0]], [HEADER, *FRAMES, refused, REST[1], broken, REST[0]]):
        assert events(lines) == events(ORDERLY)


def test_snapshots_without_times_are_used_where_they_stand() -> None:
    """A recorder may not have noted the times; the list of instruments is still moved to the front."""
    timeless = [msgspec.json.encode({**msgspec.json.decode(one), "t": None}) for one in (REST[1], *FRAMES, REST[0])]
    found = normalize(VENUES["binance"], [HEADER, *timeless], book_interval_ns=0)

    assert [event.sequence for event in found if isinstance(event, Book)] == [3, 4, 5, 6, 7, 8]


def test_a_venue_whose_snapshots_are_in_the_stream_needs_its_instruments_only() -> None:
    """Kraken's frames before the list of pairs are used once the list is known."""
    header = msgspec.json.encode({"capture": 1, "venue": "kraken", "url": ""})
    frames = [line("in", number * SECOND, frame) for number, frame in enumerate(KRAKEN.values(), 1)]
    pairs = line("rest", SECOND, answers_of("kraken")["instruments"], url=INSTRUMENTS_URL["kraken"])

    first = [encode(event) for event in normalize(VENUES["kraken"], [header, pairs, *frames])]
    last = [encode(event) for event in normalize(VENUES["kraken"], [header, *frames, pairs])]
    assert first == last
    assert first
