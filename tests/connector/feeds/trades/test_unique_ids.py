"""Trades whose ids are texts without an order: each is on the tape once, and nothing shows how many are missing."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.feeds.trades import trade_feeds
from crosstape_connector.rest.sources import RestSources
from crosstape_connector.venues.messages import Unreadable
from crosstape_schemas import Event, Gap, GapCause, Side, Trade
from tests.connector.fake_venue import fake, instrument

NAME: Final = "AAA-USD"
TOPIC: Final = Topic("main", "trades", "AAAUSD")


def feeds() -> FeedHandler:
    """The trades of one instrument of such a venue."""
    venue = msgspec.structs.replace(fake(), trade_ids="unique")
    return FeedHandler(venue, {NAME: instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)


def trade(trade_id: str, now: int) -> Trade:
    """A trade with this id, received at `now`."""
    return Trade("fake", NAME, now, now, Decimal(1), Decimal(1), Side.BUY, trade_id)


def published(made: FeedHandler, *trades: Trade) -> list[Event]:
    """The trades and gaps on the tape."""
    return [one for output in trades for one in made.apply(output) if isinstance(one, Trade | Gap)]


def test_a_trade_is_on_the_tape_once_whatever_its_id_looks_like() -> None:
    """Ids that are numbers have no order here either."""
    made = feeds()
    found = published(made, trade("b9", 1), trade("a1", 2), trade("b9", 3), trade("7", 4), trade("3", 5), trade("7", 6))

    assert [one.trade_id for one in found if isinstance(one, Trade)] == ["b9", "a1", "7", "3"]
    assert made.duplicate_trades() == 2


def test_a_lost_connection_is_a_gap_without_a_count() -> None:
    """What the next connection repeats is not published again."""
    made = feeds()
    made.open_topics([TOPIC], 1)
    before = published(made, trade("x", 10), trade("y", 20))
    made.close_topics([TOPIC], 30, "lost")
    made.open_topics([TOPIC], 40)
    after = published(made, trade("y", 50), trade("z", 60))

    assert len(before) == 2
    assert [(one.missed, one.cause) for one in after if isinstance(one, Gap)] == [(None, GapCause.DISCONNECT)]
    assert [one.trade_id for one in after if isinstance(one, Trade)] == ["z"]


def test_a_trade_that_is_on_the_tape_already_is_known_after_a_restart() -> None:
    """The newest of an earlier run."""
    made = feeds()
    made.seed([trade("x", 10)])

    assert [one.trade_id for one in published(made, trade("x", 20), trade("y", 30)) if isinstance(one, Trade)] == ["y"]


def test_a_row_that_cannot_be_read_is_a_gap() -> None:
    """Only while the feed is live: before that, nothing is known to be missing."""
    made = feeds()
    assert list(made.apply(Unreadable("trade", NAME, 5))) == []
    published(made, trade("x", 10))
    (gap,) = made.apply(Unreadable("trade", NAME, 20))

    assert isinstance(gap, Gap)
    assert (gap.from_ts, gap.to_ts, gap.missed) == (10, 20, None)


def test_as_many_ids_are_kept_as_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest, of each instrument."""
    monkeypatch.setattr(trade_feeds, "SEEN", 2)
    made = feeds()
    found = published(made, *(trade(name, now) for now, name in enumerate("abcca", 1)))

    assert [one.trade_id for one in found if isinstance(one, Trade)] == ["a", "b", "c", "a"]


def test_such_trades_are_not_asked_for_by_rest() -> None:
    """Nothing says which page has those that are missing."""
    assert RestSources(feeds().venue, None, {}).trades is None  # type: ignore[arg-type]
