"""Past trades by REST: what is asked of each venue that has them, and what its answers become."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import TradeSource
from crosstape_schemas import Instrument, Side, Trade, decode, encode
from tests.connector.venues.cases import Row, cents, trade_cases
from tests.connector.venues.golden import answers_of, symbols_of
from tests.connector.venues.test_contract import warp
from tests.connector.venues.unfinished import FINISHED

each = pytest.mark.parametrize("venue", [venue.id for venue in FINISHED if venue.trades is not None])
each_case = pytest.mark.parametrize("venue", trade_cases())


def source(venue: str) -> TradeSource:
    """The venue's source of past trades."""
    found = VENUES[venue].trades
    assert found is not None
    return found


def parse(venue: str, body: bytes) -> tuple[Trade, ...]:
    """The trades of an answer that was received at 7."""
    return source(venue).parse(body, traded(venue), 7).trades


def traded(venue: str) -> Instrument:
    """The first golden instrument, by a name that all venues share here."""
    return msgspec.structs.replace(next(iter(symbols_of(venue).values())), name="BTC-X")


@each
def test_an_answer_holds_trades_that_were_not_seen_live(venue: str) -> None:
    """Every golden answer has the same two: oldest first, sides are the taker's, no digit of a price or a size is lost."""
    first, second = parse(venue, answers_of(venue)["trades"])

    assert (first.instrument, first.received_ts, first.taker, first.trade_id, first.backfilled) == ("BTC-X", 7, Side.SELL, "4000001", True)
    assert (second.taker, second.trade_id, second.backfilled) == (Side.BUY, "4000002", True)
    assert (first.price, second.price) == (Decimal("91000.1"), Decimal("91000.2"))
    if not traded(venue).inverse:
        assert (first.size, second.size) == (Decimal("0.0015"), Decimal("0.02"))
    if traded(venue).contract_size == 1:
        assert (str(first.price), str(first.size)) == ("91000.10000000", "0.00150000")
    assert first.venue_ts is not None
    assert second.venue_ts is not None
    assert 1_767_225_600_000_000_000 <= first.venue_ts <= second.venue_ts < 1_767_225_601_000_000_000


@each_case
def test_a_page_is_asked_for_as_the_venue_pages(venue: str) -> None:
    """From an id, below one, after a time that lies before the trade's, or by the hour."""
    case = trade_cases()[venue]

    assert source(venue).path("BÄR", 4_000_001, 1_767_225_600_123_456_000) == case.path
    assert source(venue).newest("BÄR") == case.newest


@each
def test_a_page_has_room_and_an_address_known_to_the_venue(venue: str) -> None:
    """A shorter one is the last. Where trades that are missing are asked for by id, one page fills most gaps."""
    case = trade_cases().get(venue)
    most = 0 if case is None else case.most
    assert source(venue).page == most or source(venue).page >= (1_000 if VENUES[venue].trade_ids == "contiguous" else 100)
    assert source(venue).rest in VENUES[venue].rest_urls


@each_case
def test_there_is_room_for_other_requests(venue: str) -> None:
    """And for other programs of the same address."""
    assert 0 < source(venue).per_minute <= trade_cases()[venue].limit / 2


rows = st.lists(
    st.tuples(st.integers(0, 2**63 - 1), st.integers(1, 10**12), st.integers(10**15, 3 * 10**15), st.booleans()),
    unique_by=lambda row: row[0],
    max_size=20,
)


@each_case
@given(made=rows)
def test_whatever_the_order_no_trade_and_no_digit_is_lost(venue: str, made: list[Row]) -> None:
    """Ascending by id, each once."""
    case = trade_cases()[venue]
    found = parse(venue, case.body(made))

    assert [(int(trade.trade_id), str(trade.price), trade.venue_ts, trade.taker, trade.backfilled) for trade in found] == [
        (number, cents(price), case.moment(us), Side.BUY if buys else Side.SELL, True) for number, price, us, buys in sorted(made)
    ]


@pytest.mark.parametrize(("venue", "old", "new"), [(venue, *change) for venue, case in trade_cases().items() for change in case.bad])
def test_what_cannot_be_a_trade_is_left_out(venue: str, old: bytes, new: bytes) -> None:
    """It is counted, and its good neighbour is used."""
    good = parse(venue, answers_of(venue)["trades"])
    body = answers_of(venue)["trades"].replace(old, new)

    assert body != answers_of(venue)["trades"]
    page = source(venue).parse(body, traded(venue), 7)
    assert set(page.trades) < set(good)
    assert page.left_out == 2 - len(page.trades)
    assert page.odd
    assert page.rows == 2


@pytest.mark.parametrize(("venue", "old", "new"), [(venue, *change) for venue, case in trade_cases().items() for change in case.refused])
def test_an_answer_without_any_good_trade_is_refused(venue: str, old: bytes, new: bytes) -> None:
    """A list of another market's trades, too."""
    body = answers_of(venue)["trades"].replace(old, new)

    assert body != answers_of(venue)["trades"]
    with pytest.raises((FrameError, msgspec.MsgspecError)):
        source(venue).parse(body, traded(venue), 7)


@each_case
def test_a_row_that_is_there_twice_counts_once(venue: str) -> None:
    """If both say the same."""
    body = trade_cases()[venue].body
    row = (4_000_001, 9_100_010, 10**15, True)
    page = source(venue).parse(body([row, row]), traded(venue), 7)

    assert page.trades == parse(venue, body([row]))
    assert page.odd == ()


@each_case
def test_an_answer_without_trades_is_an_empty_page(venue: str) -> None:
    """A market may have none yet."""
    assert parse(venue, trade_cases()[venue].body([])) == ()


@each
@given(data=st.binary(max_size=100), seed=st.integers(0, 2**32))
@example(data=b"[" * 100_000, seed=0)
@example(data=b'{"error":[],"result":' + b'{"a":[' * 100_000, seed=0)
@settings(deadline=None)
def test_no_answer_does_harm(venue: str, data: bytes, seed: int) -> None:
    """Any bytes, or a good answer with a part replaced by something strange: refused, or what it gives can be written."""
    for body in (data, msgspec.json.encode(warp(msgspec.json.decode(answers_of(venue)["trades"]), random.Random(seed)))):
        try:
            found = parse(venue, body)
        except FRAME_ERRORS:
            continue
        for trade in found:
            assert decode(encode(trade)) == trade
