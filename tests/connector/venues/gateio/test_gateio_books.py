"""Gate's books: on the stream, and those that only recordings have."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import pytest

from crosstape_connector.errors import FrameError, NotANumber, UnknownSymbol
from crosstape_connector.venues.gateio import SPOT, books, recorded
from crosstape_connector.venues.gateio.spot import SpotParser
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    ConnectionBreak,
    Odd,
    Output,
)
from crosstape_connector.venues.spec import Verdict, subscribed_depth
from crosstape_schemas import Gap
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("gateio")
REST: Final = answers_of("gateio")
D: Final = Decimal
START: Final = 1_767_225_600 * 10**9


def parsed(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = SpotParser(symbols_of("gateio"))
    return [output for frame in frames for output in parser(frame, 7)]


def of_recording(*frames: bytes) -> list[Output]:
    """The same of a recording with other books."""
    parser = recorded.SpotParser(symbols_of("gateio"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_a_frame_without_levels_moves_the_number_on() -> None:
    """The next change follows it; without it there would be a gap."""
    names = ("book_full", "book_delta", "book_no_levels", "book_one_side")

    def gaps(*frames: str) -> list[Gap]:
        tape, parser = feeds(SPOT), SpotParser(symbols_of("gateio"))
        effects = [effect for now, name in enumerate(frames, 1) for one in parser(FRAMES[name], now) for effect in tape.apply(one)]
        return [effect for effect in effects if isinstance(effect, Gap) and effect.kind == "book"]

    assert gaps(*names) == []
    assert [one.missed for one in gaps(*(name for name in names if name != "book_no_levels"))] == [4]


def test_a_full_book_replaces_the_one_before_at_any_time() -> None:
    """It has the depth of its stream, and no number that it begins with."""
    first, again = parsed(FRAMES["book_full"], FRAMES["book_full"].replace(b'"u":102', b'"u":200'))
    (deep,) = parsed(FRAMES["book_full_400"])

    assert isinstance(first, BookSnapshot)
    assert (first.sequence, first.depth, first.venue_ts) == (102, 50, START + 100_000_000)
    assert isinstance(again, BookSnapshot)
    assert again.sequence == 200
    assert isinstance(deep, BookSnapshot)
    assert (deep.depth, list(deep.asks)) == (400, [])


def test_changes_begin_one_after_the_end_of_those_before() -> None:
    """Neither later nor earlier; what is known already is passed over."""

    def verdict(first: int | None, last: int | None) -> Verdict:
        return books.follows(BookUpdate("BTC-USDT", None, 7, (), (), first, last), 102)

    assert verdict(103, 105) is Verdict.APPLY
    assert verdict(104, 105) is Verdict.BREAK
    assert verdict(100, 105) is Verdict.BREAK
    assert verdict(100, 102) is Verdict.SKIP
    assert verdict(None, None) is Verdict.BREAK


def test_changes_of_a_recording_may_span_the_number_of_their_snapshot() -> None:
    """As the steps of the documents say."""

    def verdict(first: int, last: int) -> Verdict:
        return recorded.chain(BookUpdate("BTC-USDT", None, 7, (), (), first, last), 102)

    assert [verdict(100, 105), verdict(103, 103), verdict(104, 105), verdict(90, 102)] == [
        Verdict.APPLY,
        Verdict.APPLY,
        Verdict.BREAK,
        Verdict.SKIP,
    ]


@pytest.mark.parametrize(
    "change",
    [(b'"2.5"', b'"x"'), (b'"2.5"', b"2.5"), (b'"90999.5"', b'"9_0999"'), (b'"U":103,', b""), (b'"1.25"', '"١"'.encode())],
)
def test_a_change_that_cannot_be_read_breaks_its_book_only(change: tuple[bytes, bytes]) -> None:
    """It is counted with its reason."""
    frame = FRAMES["book_delta"].replace(*change)
    odd, broken = parsed(frame)

    assert frame != FRAMES["book_delta"]
    assert isinstance(odd, Odd)
    assert isinstance(broken, ConnectionBreak)
    assert (odd.kind, broken.instruments) == ("book", ("BTC-USDT",))


def test_a_stream_of_books_must_be_named_as_the_venue_names_it() -> None:
    """Else nobody knows whose it is: the book of the pair that it names is not trusted."""
    odd, broken = parsed(FRAMES["book_full"].replace(b"ob.BTC_USDT.50", b"BTC_USDT"))

    assert isinstance(odd, Odd)
    assert isinstance(broken, ConnectionBreak)
    with pytest.raises(UnknownSymbol):
        parsed(FRAMES["book_full"].replace(b"BTC_USDT", b"NOPE_USDT"))


def test_the_reason_says_what_cannot_be_read() -> None:
    """A price that is no number, or a field and its place."""
    full = FRAMES["book_full"]
    reasons = [
        one.reason
        for one in parsed(full.replace(b'"91000.1"', b'"x"'), full.replace(b'"u":102', b'"u":9223372036854775808'))
        if isinstance(one, Odd)
    ]

    assert reasons == [
        "book of BTC-USDT: no number in a level",
        "book of BTC-USDT: Expected `int` <= 9223372036854775807 - at `$.u`",
    ]


def test_of_two_streams_of_one_book_the_first_is_read() -> None:
    """A recording may have both; their numbers count the same changes, so that each would break the other's chain."""
    shallow, deep = FRAMES["book_full"], FRAMES["book_full_400"]
    pair = re.search(rb"ob\.([A-Z_]+)\.50", shallow)
    assert pair is not None
    same = re.sub(rb"ob\.[A-Z_]+\.400", b"ob.%s.400" % pair[1], deep)

    assert [one.depth for one in parsed(shallow, same, shallow) if isinstance(one, BookSnapshot)] == [50, 50]
    assert [one.depth for one in parsed(same, shallow) if isinstance(one, BookSnapshot)] == [400]


def test_a_book_has_one_of_two_depths() -> None:
    """The smaller one that suffices."""
    assert [subscribed_depth(SPOT, depth) for depth in (10, 50, 51, 1_000)] == [50, 50, 400, 400]


def test_other_books_are_read_in_recordings() -> None:
    """Changes, and complete books."""
    update, complete = of_recording(FRAMES["order_book_update"], FRAMES["order_book"])

    assert update == BookUpdate("BTC-USDT", START + 100_000_000, 7, [(D("90999.5"), D("2.5"))], [], 103, 105)
    assert complete == BookSnapshot("BTC-USDT", START + 100_000_000, 7, [(D("91000.1"), D("3.1"))], [(D("91000.2"), D("0.5"))], 102)
    assert [type(one) for one in of_recording(FRAMES["order_book"].replace(b'"0.5"', '"٥"'.encode()))] == [Odd, ConnectionBreak]


def test_a_book_by_rest_is_one_with_a_number() -> None:
    """Another request for levels is the quote's. Beyond its last level nothing is known."""
    symbol = recorded.depth_symbol("https://api.gateio.ws/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=100&with_id=true")
    other = recorded.depth_symbol("https://api.gateio.ws/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=1")
    book = recorded.parse_depth(b'{"id":7,"asks":[["2","1"]],"bids":[["1","1"],["0.5","1"]]}', symbols_of("gateio")["BTC_USDT"], 7)

    assert (symbol, other) == ("BTC_USDT", None)
    assert (book.sequence, book.limit, book.venue_ts) == (7, 2, None)
    with pytest.raises((FrameError, NotANumber)):
        recorded.parse_depth(b'{"id":7,"asks":[["2","x"]],"bids":[]}', symbols_of("gateio")["BTC_USDT"], 7)
