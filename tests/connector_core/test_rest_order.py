"""Where a capture's REST lines stand does not matter for the events that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector import rest_order
from crosstape_connector.normalize import normalize
from crosstape_connector.venues import VENUES
from crosstape_schemas import Book, encode
from tests.connector_core.test_normalize import INSTRUMENTS_URL, line
from tests.venues.golden import INSTRUMENTS, KRAKEN

SECOND = 1_000_000_000
DEPTH_URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
HEADER = msgspec.json.encode({"capture": 1, "venue": "binance", "url": ""})


def update(number: int) -> bytes:
    """The book's change of this number, a second after the one before."""
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
    """The book as it was after that change."""
    return msgspec.json.encode({"lastUpdateId": number, "bids": [["90.5", str(number)]], "asks": [["91", "1"]]})


FRAMES = [line("open", SECOND // 2, connection=1), *(line("in", number * SECOND, update(number), connection=1) for number in range(1, 9))]
REST = [
    line("rest", SECOND // 4, INSTRUMENTS["binance"], url=INSTRUMENTS_URL["binance"]),
    line("rest", 3 * SECOND + 1, snapshot(3), url=DEPTH_URL),
]
ORDERLY = [HEADER, REST[0], *FRAMES[:4], REST[1], *FRAMES[4:]]


def events(lines: Sequence[bytes], **options: Any) -> list[bytes]:
    """What a capture becomes, raw changes of books too."""
    return [encode(event) for event in normalize(VENUES["binance"], lines, delta=True, book_interval_ns=0, **options)]


@given(st.integers(0, len(FRAMES)), st.integers(0, len(FRAMES)), st.booleans())
def test_rest_lines_may_stand_anywhere(instruments: int, depth: int, swapped: bool) -> None:
    """Before the first frame, after the last, the snapshot before the instruments: not a byte differs."""
    lines = list(FRAMES)
    rest = sorted([(instruments, REST[0]), (depth, REST[1])], key=lambda pair: pair[0], reverse=True)
    for place, one in rest if not swapped or instruments != depth else rest[::-1]:
        lines.insert(place, one)

    assert events([HEADER, *lines]) == events(ORDERLY)
    assert any(b'"type":"book"' in event for event in events(ORDERLY))


def test_a_snapshot_before_everything_begins_a_book_from_a_pipe_too() -> None:
    """What can be read only once is held until the instruments are there."""
    found = normalize(VENUES["binance"], iter([HEADER, REST[1], *FRAMES, REST[0]]), book_interval_ns=0)
    made = list(found)

    assert [event.sequence for event in made if isinstance(event, Book)] == [3, 4, 5, 6, 7, 8]
    assert found.summary.rest == {"snapshot": 1, "instruments": 1}
    assert not found.summary.gaps


def test_a_pipe_gives_events_as_they_come() -> None:
    """Nothing is held once the instruments are known."""
    given_out = 0

    def lines() -> Any:
        nonlocal given_out
        for one in (HEADER, REST[0], REST[1], *FRAMES):
            given_out += 1
            yield one

    next(iter(normalize(VENUES["binance"], lines(), delta=True)))
    assert given_out < len(FRAMES)


def test_what_is_held_of_a_pipe_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound lines are taken as they come, and the summary says what could not be mapped."""
    monkeypatch.setattr(rest_order, "HELD", 500)
    found = normalize(VENUES["binance"], iter([HEADER, *FRAMES, REST[0]]))
    list(found)

    assert found.summary.unhandled["symbol"] == 8


def test_a_refusal_is_no_list_of_instruments() -> None:
    """One that the venue refused, or that cannot be read, does not end the search."""
    refused = msgspec.json.encode({"t": 1, "c": 0, "d": "rest", "f": "no", "u": INSTRUMENTS_URL["binance"], "bad": "refused"})
    broken = line("rest", 2, b'{"symbols":', url=INSTRUMENTS_URL["binance"])
    for lines in ([HEADER, refused, broken, REST[1], *FRAMES, REST[0]], [HEADER, *FRAMES, refused, REST[1], broken, REST[0]]):
        assert events(lines) == events(ORDERLY)


def test_snapshots_without_times_are_used_where_they_stand() -> None:
    """A recorder may not have noted them; the instruments are looked for all the same."""
    timeless = [msgspec.json.encode({**msgspec.json.decode(one), "t": None}) for one in (REST[1], *FRAMES, REST[0])]
    found = normalize(VENUES["binance"], [HEADER, *timeless], book_interval_ns=0)

    assert [event.sequence for event in found if isinstance(event, Book)] == [3, 4, 5, 6, 7, 8]


def test_a_venue_whose_snapshots_are_in_the_stream_needs_its_instruments_only() -> None:
    """Kraken's frames before the list of pairs are read once it is known."""
    header = msgspec.json.encode({"capture": 1, "venue": "kraken", "url": ""})
    frames = [line("in", number * SECOND, frame) for number, frame in enumerate(KRAKEN.values(), 1)]
    pairs = line("rest", SECOND, INSTRUMENTS["kraken"], url=INSTRUMENTS_URL["kraken"])

    first = [encode(event) for event in normalize(VENUES["kraken"], [header, pairs, *frames])]
    last = [encode(event) for event in normalize(VENUES["kraken"], [header, *frames, pairs])]
    assert first == last
    assert first
