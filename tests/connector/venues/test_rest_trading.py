"""Whether instruments trade, by REST: what is asked of each venue that says it, and what its answers say."""

from __future__ import annotations

import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import NOT_LISTED, TradingSource
from tests.connector.venues.cases import trading_cases
from tests.connector.venues.unfinished import FINISHED

each = pytest.mark.parametrize("venue", trading_cases())


def source(venue: str) -> TradingSource:
    """The venue's source of trading states."""
    found = VENUES[venue].trading
    assert found is not None
    return found


@each
def test_an_instrument_that_trades_has_no_reason(venue: str) -> None:
    """The answer is about all that were asked for, and no others."""
    case = trading_cases()[venue]

    assert source(venue).parse(case.body("", ""), case.symbols) == dict.fromkeys(case.symbols, "")
    assert source(venue).parse(case.body("", ""), case.symbols[:1]) == {case.symbols[0]: ""}


@pytest.mark.parametrize(
    ("venue", "change", "reason"), [(venue, *change) for venue, case in trading_cases().items() for change in case.halted]
)
def test_anything_but_trading_has_the_venues_word_for_it(venue: str, change: str, reason: str) -> None:
    """Only the one concerned."""
    case = trading_cases()[venue]
    first, second = case.symbols

    assert source(venue).parse(case.body(change, ""), case.symbols) == {first: reason, second: ""}


@pytest.mark.parametrize(("venue", "change"), [(venue, change) for venue, case in trading_cases().items() for change in case.trades])
def test_with_limit_orders_only_it_can_still_be_traded(venue: str, change: str) -> None:
    """Its quotes can be had."""
    case = trading_cases()[venue]

    assert set(source(venue).parse(case.body(change, ""), case.symbols).values()) == {""}


@each
def test_what_is_not_in_the_list_any_more_does_not_trade(venue: str) -> None:
    """Where all are listed, absence says so; where they are asked for by name, an error may."""
    case = trading_cases()[venue]

    found = source(venue).parse(case.body("", ""), (*case.symbols, case.gone))
    assert found == {**dict.fromkeys(case.symbols, ""), case.gone: NOT_LISTED}
    assert not source(venue).unknown("HTTP 404")


@pytest.mark.parametrize(("venue", "change"), [(venue, change) for venue, case in trading_cases().items() for change in case.unreadable])
def test_a_row_that_cannot_be_read_says_nothing_and_harms_no_other(venue: str, change: str) -> None:
    """Neither that it trades nor that it does not."""
    case = trading_cases()[venue]

    assert source(venue).parse(case.body(change, ""), case.symbols) == {case.symbols[1]: ""}


@pytest.mark.parametrize("venue", [venue.id for venue in FINISHED if venue.trading is not None])
@pytest.mark.parametrize("answer", [b"", b"null", b"{}", b'{"code":-1}', b"<html>", b"7"])
def test_what_is_no_list_is_an_error(venue: str, answer: bytes) -> None:
    """No instrument is halted by it."""
    with pytest.raises(FRAME_ERRORS):
        source(venue).parse(answer, ["BTC"])
