"""Trades whose ids are texts in no order: each once, and what a venue replays is not taken for new."""

from __future__ import annotations

from decimal import Decimal

from crosstape_connector.feeds.trades import unique
from crosstape_connector.feeds.trades.unique import UniqueTrades
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_schemas import Event, FeedState, Gap, GapCause, Instrument, Side, Trade

BITCOIN = Instrument("BTC-USD", "v", "BTC/USD", "BTC", "USD")


def trade(trade_id: str, at: int) -> Trade:
    """A trade made at this time and received 1,000 ns later."""
    return Trade("v", "BTC-USD", at, at + 1_000, Decimal(1), Decimal(1), Side.BUY, trade_id)


def replay(*trades: Trade, at: int) -> TradeSnapshot:
    """The same trades, replayed."""
    return TradeSnapshot("BTC-USD", at, trades)


def live(*trades: Trade) -> UniqueTrades:
    """A feed that has brought these."""
    feed = UniqueTrades(BITCOIN)
    for one in trades:
        feed.accept(one)
    return feed


def lose(feed: UniqueTrades) -> None:
    """Lose its connection."""
    feed.interrupt(feed.received_ts)
    feed.set_state(FeedState.DOWN, "lost", 0)


def ids(events: list[Event]) -> list[tuple[str, bool]]:
    """Id, and whether it was backfilled, of each trade among these events."""
    return [(event.trade_id, event.backfilled) for event in events if isinstance(event, Trade)]


def test_a_trade_that_comes_twice_is_published_once() -> None:
    """The library hands out trades again: when it has connected twice, and after each subscription."""
    feed = live(trade("b", 10))

    assert ids(feed.accept(trade("a", 11))) == [("a", False)]
    assert feed.accept(trade("b", 10)) == []
    assert feed.duplicates == 1


def test_a_lost_connection_is_a_gap_of_unknown_size() -> None:
    """No id shows how many trades are missing, or that none is."""
    feed = live(trade("b", 10))
    lose(feed)

    gap = next(event for event in feed.accept(trade("c", 5_000)) if isinstance(event, Gap))

    assert (gap.cause, gap.missed, gap.from_ts, gap.to_ts) == (GapCause.DISCONNECT, None, 1_010, 6_000)


def test_what_was_traded_before_the_tape_began_is_not_published() -> None:
    """A first subscription is answered with the past: it is remembered only, so that it is not taken for new later."""
    feed = UniqueTrades(BITCOIN)

    assert feed.apply_snapshot(replay(trade("a", 1), trade("b", 2), at=100)) == []
    assert feed.accept(trade("b", 2)) == []
    assert ids(feed.accept(trade("c", 3))) == [("c", False)]


def test_what_is_replayed_after_a_gap_is_published_if_it_is_later_than_all_before() -> None:
    """The gap comes before it. A trade of the past whose id was forgotten is older than the newest, and is left out."""
    feed = live(trade("b", 10), trade("c", 20))
    lose(feed)

    events = feed.apply_snapshot(replay(trade("forgotten", 5), trade("c", 20), trade("d", 30), at=9_000))

    assert isinstance(events[0], Gap)
    assert ids(events) == [("d", True)]
    assert [event for event in feed.accept(trade("e", 40)) if isinstance(event, Gap)] == []


def test_a_restart_publishes_what_is_replayed_since_the_last_trade_on_the_tape() -> None:
    """Of an earlier run only the newest trade is known."""
    feed = UniqueTrades(BITCOIN)
    feed.seed(trade("b", 10))

    assert ids(feed.apply_snapshot(replay(trade("a", 9), trade("b", 10), trade("c", 11), at=9_000))) == [("c", True)]


def test_trades_without_ids_are_all_published() -> None:
    """Nothing shows that two of them are the same."""
    feed = live(trade("", 10))

    assert ids(feed.accept(trade("", 10))) == [("", False)]


def test_the_memory_of_ids_is_bounded() -> None:
    """The oldest id is forgotten first."""
    feed = live(*(trade(str(number), number) for number in range(1, unique.SEEN + 2)))

    assert ids(feed.accept(trade("1", 1))) == [("1", False)]
    assert feed.accept(trade("3", 3)) == []


def test_a_trade_that_is_replayed_again_and_again_forgets_no_other() -> None:
    """It is remembered once: all others of the memory still show their repetitions."""
    feed = live(*(trade(str(number), number) for number in range(1, 4)))
    for _ in range(unique.SEEN):
        feed.apply_snapshot(replay(trade("3", 3), at=9_000))

    assert feed.accept(trade("1", 1)) == []
