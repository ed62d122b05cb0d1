"""Candles may be missing where other data of their streams are: they are doubted then, and a later candle awaits a page or tells a gap."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import ConnectionBreak, TradeSnapshot
from crosstape_schemas import Gap, Trade
from tests.connector.fake_venue import ID, candle, candle_rules, fake, instrument

NAME = "AAA-USD"


def handler() -> FeedHandler:
    """A live handler with trades and with candles of a minute, of which one runs."""
    feeds = FeedHandler(
        fake(candles=candle_rules("snapshot")), {NAME: instrument("AAAUSD")}, ("trade", "candle:1m"), book_depth=2, book_interval_ns=0
    )
    feeds.apply(trade(7, at=1))
    feeds.apply(candle(NAME, 1, 1, at=2))
    return feeds


def trade(number: int, *, at: int) -> Trade:
    """A trade with this id."""
    made = candle(NAME, 1, 1, at=at)
    return Trade(ID, NAME, at, at, made.close, made.volume, None, str(number))


def a_frame_is_missing(feeds: FeedHandler) -> None:
    """The connection's numbers skip."""
    feeds.apply(ConnectionBreak(5, 1, instruments=(NAME,)))


def a_book_cannot_be_read(feeds: FeedHandler) -> None:
    """A frame of the book came, and cannot be applied."""
    feeds.apply(ConnectionBreak(5, None, instruments=(NAME,), reason="a change of the book cannot be read"))


def trades_are_missing(feeds: FeedHandler) -> None:
    """REST twice has a trade that the stream did not bring."""
    for at in (5, 6):
        feeds.check_newest_trades(TradeSnapshot(NAME, at, (trade(8, at=at),)))


@pytest.mark.parametrize(("happens", "doubted"), [(a_frame_is_missing, True), (a_book_cannot_be_read, False), (trades_are_missing, True)])
def test_candles_are_doubted_where_other_data_of_the_connection_are_missing(happens: Callable[[FeedHandler], None], doubted: bool) -> None:
    """The next candle closes the one that ran only if nothing shows that frames may be missing."""
    feeds = handler()
    happens(feeds)

    told = feeds.apply(candle(NAME, 2, 1, at=9))

    assert any(isinstance(event, Gap) and (event.kind, event.from_ts, event.to_ts) == ("candle:1m", 2, 9) for event in told) is doubted
    assert feeds.records[FeedKey("candle:1m", NAME)].last == candle(NAME, 2, 1, at=9)
