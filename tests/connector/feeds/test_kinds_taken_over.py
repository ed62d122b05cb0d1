"""Takeovers by a replica: which events of candles, figures and liquidations follow those on the tape."""

from __future__ import annotations

from decimal import Decimal

from crosstape_connector.publishing.predecessor import unpublished, wanted
from crosstape_schemas import Event, Gap, Liquidation, Mark, Side, feed_kind
from tests.connector.fake_venue import ID, candle
from tests.connector.feeds.candles.test_sequence import told
from tests.connector.feeds.test_kinds import NAME, feeds

ONE, TWO = Decimal(1), Decimal(2)


def reported(*ours: Event, tape: Event) -> list[tuple[str, int, int]]:
    """Return the gaps that a takeover reports: kind, from and to."""
    found = feeds()
    for event in ours:
        found.apply(event)  # type: ignore[arg-type]  # an event is an output
    gaps = unpublished(found, {(feed_kind(tape), NAME): tape}, 9)
    return [(gap.kind, gap.from_ts, gap.to_ts) for gap in gaps if isinstance(gap, Gap)]


def test_a_figure_that_is_on_the_tape_leaves_no_gap() -> None:
    """Another one may have been missed."""
    ours = Mark(ID, NAME, None, 5, ONE)

    assert reported(ours, tape=Mark(ID, NAME, None, 4, ONE)) == []
    assert reported(ours, tape=Mark(ID, NAME, None, 4, TWO)) == [("mark", 4, 5)]


def test_a_liquidation_that_is_on_the_tape_leaves_no_gap() -> None:
    """A standby keeps only the newest: others since the one on the tape are missing."""
    ours = Liquidation(ID, NAME, 3, 5, Side.SELL, ONE, TWO)

    assert reported(ours, tape=Liquidation(ID, NAME, 3, 4, Side.SELL, ONE, TWO)) == []
    assert reported(ours, tape=Liquidation(ID, NAME, 2, 4, Side.SELL, ONE, TWO)) == [("liquidation", 4, 5)]


def test_candles_continue_by_their_times() -> None:
    """So there is no gap of them, and none is published twice."""
    found = feeds()
    for number in (5, 6, 7):
        found.apply(candle(NAME, number, 1, at=number))
    tape = candle(NAME, 6, 1, at=6)

    assert list(unpublished(found, {("candle:1m", NAME): tape}, 9)) == []
    assert told(found.split(found.candles.continue_after({("candle:1m", NAME): tape}, 9))) == ["6:1.", "7:1"]


def test_the_last_events_of_all_feeds_are_read() -> None:
    """Each timeframe of candles is a feed."""
    assert wanted(("candle:1m", "status", "mark", "candle:1m"), ["A"]) == [("candle:1m", "A"), ("mark", "A")]
