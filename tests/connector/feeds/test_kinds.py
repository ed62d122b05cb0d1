"""Which feeds an instrument has, and what is published of candles, figures of derivatives and liquidations."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.feeds.handover import Handover
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.messages import CandleSnapshot, Unreadable
from crosstape_schemas import Candle, Event, FeedState, Funding, Gap, GapCause, Liquidation, Mark, OpenInterest, Side, Status, Ticker
from tests.connector.fake_venue import CHANNELS, ID, INTEREST, candle, endpoint, fake, instrument
from tests.connector.feeds.candles.test_sequence import told
from tests.connector.feeds.split import SplitFeeds

PERPETUAL, SPOT = instrument("AAAUSDP"), instrument("BBBUSD")
NAME = PERPETUAL.name
FIGURES = ("ticker", "mark", "funding", "open_interest", "liquidation")
ONE, TWO = Decimal(1), Decimal(2)
CANDLES_TOPIC, LIQUIDATIONS_TOPIC = Topic("main", "candles_1m", "AAAUSDP"), Topic("main", "liquidations", "AAAUSDP")
TOPICS = [Topic("main", channel, "AAAUSDP") for channel in ("marks", "interest", "tickers", "liquidations", "candles_1m")]


def feeds(*, subscribed: bool = True) -> SplitFeeds:
    """All kinds of a perpetual and of a spot pair."""
    known = {one.name: one for one in (PERPETUAL, SPOT)}
    made = SplitFeeds(fake(), known, (*FIGURES, "candle:1m"), book_depth=5, book_interval_ns=0)
    if subscribed:
        made.open_topics(TOPICS, 1)
        made.confirm_topics(TOPICS, 2)
    return made


def mark(price: Decimal, at: int) -> Mark:
    """A mark price."""
    return Mark(ID, NAME, None, at, price)


def liquidation(at: int) -> Liquidation:
    """A long position that was closed by force."""
    return Liquidation(ID, NAME, at, at, Side.SELL, ONE, TWO)


def one(number: int, volume: int, at: int) -> Candle:
    """A candle of the perpetual."""
    return candle(NAME, number, volume, at=at)


def values(at: int, figure: Decimal) -> list[Ticker | Mark | Funding | OpenInterest]:
    """One of each kind of which only the newest counts."""
    return [
        Ticker(ID, NAME, None, at, figure),
        mark(figure, at),
        Funding(ID, NAME, None, at, figure),
        OpenInterest(ID, NAME, None, at, figure),
    ]


def states(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return kind and state of each status."""
    return [(event.kind, event.state.value) for event in events if isinstance(event, Status)]


def test_a_feed_is_only_made_for_what_the_venue_has_of_an_instrument() -> None:
    """No mark price of spot, no funding of a dated future, no ticker where the venue has no channel for it; figures by REST count."""
    future = msgspec.structs.replace(PERPETUAL, name="AAA-USD-20261225", symbol="AAAUSDF", expiry=1)
    channels = {kind: channel for kind, channel in CHANNELS.items() if kind not in ("ticker", "open_interest", "candle:5m")}
    known = {found.name: found for found in (PERPETUAL, SPOT, future)}
    kinds = ("trade", "candle:1m", "candle:5m", "status", *FIGURES)
    made = SplitFeeds(fake(endpoint(channels=channels), polled=(INTEREST,)), known, kinds, book_depth=5, book_interval_ns=0)

    found = {name: {feed.kind for feed in made.records if feed.instrument == name} for name in known}

    both = {"trade", "candle:1m", "mark", "open_interest", "liquidation"}
    assert found == {NAME: both | {"funding"}, future.name: both, SPOT.name: {"trade", "candle:1m"}}


@pytest.mark.parametrize("place", range(4))
def test_a_figure_is_published_when_it_changes(place: int) -> None:
    """Many venues send all figures when one of them changes. A figure makes its feed live, whether it changes or not."""
    found = feeds()
    first, again, changed = values(5, ONE)[place], values(6, ONE)[place], values(7, TWO)[place]
    kind = FIGURES[place]

    assert states(found.apply(first)) == [(kind, "live")]
    assert found.apply(again) == ()
    assert found.apply(changed) == [changed]
    assert found.records[FeedKey(kind, NAME)].count == 3


@pytest.mark.parametrize("place", range(4))
def test_a_figure_that_cannot_be_read_is_a_gap(place: int) -> None:
    """Until the next that can be read."""
    found, kind = feeds(), FIGURES[place]
    found.apply(values(5, ONE)[place])

    assert states(found.apply(Unreadable(kind, NAME, 6))) == [(kind, "recovering")]
    events = found.apply(values(7, TWO)[place])
    assert states(events) == [(kind, "live")]
    assert [(gap.kind, gap.from_ts, gap.to_ts, gap.cause) for gap in events if isinstance(gap, Gap)] == [(kind, 5, 7, GapCause.UNKNOWN)]


def test_outputs_of_feeds_that_are_not_published_are_counted() -> None:
    """As those of other kinds are."""
    found = SplitFeeds(fake(), {NAME: PERPETUAL}, (), book_depth=5, book_interval_ns=0)

    for output in (*values(5, ONE), liquidation(5), one(7, 1, 5), CandleSnapshot(NAME, "1m", 5, (one(7, 1, 5),))):
        assert found.apply(output) == ()
    assert found.counts["unwanted"] == 7


def test_a_liquidation_feed_is_live_as_soon_as_it_is_subscribed() -> None:
    """Its silence means that there was none. Each is published, also two that are equal."""
    found = feeds(subscribed=False)
    found.open_topics([LIQUIDATIONS_TOPIC], 1)

    assert states(found.confirm_topics([LIQUIDATIONS_TOPIC], 2)) == [("liquidation", "live")]
    assert list(found.apply(liquidation(5))) == [liquidation(5)]
    assert list(found.apply(liquidation(5))) == [liquidation(5)]


def test_liquidations_that_a_lost_connection_hid_are_a_gap() -> None:
    """It ends when the venue confirms the next subscription. How many are missing is not known."""
    found = feeds()
    found.apply(liquidation(5))
    found.close_topics(TOPICS, 6, "lost")
    found.open_topics(TOPICS, 8)

    events = found.confirm_topics([LIQUIDATIONS_TOPIC], 9)
    assert states(events) == [("liquidation", "live")]
    assert [(gap.from_ts, gap.to_ts, gap.missed) for gap in events if isinstance(gap, Gap)] == [(5, 9, None)]


def test_a_candle_that_cannot_be_right_is_left_out() -> None:
    """Off our grid, or with a low that does not contain its prices, as when columns are swapped. The others of a snapshot are used."""
    found = feeds()
    good = one(7, 1, 5)
    shifted = msgspec.structs.replace(good, open_ts=good.open_ts + 1)
    swapped = msgspec.structs.replace(one(8, 1, 5), low=TWO)

    assert list(found.apply(shifted)) == []
    assert list(found.apply(swapped)) == []
    assert told(found.apply(CandleSnapshot(NAME, "1m", 6, (shifted, good, swapped, one(9, 1, 6))))) == ["7:1.", "9:1"]
    assert [odd.kind for odd in found.odd] == ["grid", "candle", "grid", "candle"]


def test_a_candle_that_cannot_be_read_may_have_been_the_last_of_its_interval() -> None:
    """So a later one leaves a gap, and the same one shows that nothing was missed."""
    later, same = feeds(), feeds()
    for found in (later, same):
        found.apply(one(7, 1, 5))
        assert states(found.apply(Unreadable("candle:1m", NAME, 6))) == [("candle:1m", "recovering")]

    assert told(later.apply(one(8, 1, 7))) == ["gap 5-7", "8:1"]
    assert told(same.apply(one(7, 2, 7))) == ["7:2"]
    assert told(same.apply(one(8, 1, 8))) == ["7:2.", "8:1"]


def test_a_stale_candle_feed_may_have_missed_candles() -> None:
    """The market may only have been quiet: the next candle after a closed one is none too many."""
    found = feeds()
    found.apply(one(7, 1, 5))
    found.mark_stale(FeedKey("candle:1m", NAME), 6, "silent")

    assert told(found.apply(one(9, 1, 7))) == ["gap 5-7", "9:1"]


def test_candles_of_two_connections_do_not_double() -> None:
    """A waiting connection has read the same; what it has and the other had not is published."""
    found = feeds()
    waiting = Handover(found)
    waiting.hold(CandleSnapshot(NAME, "1m", 4, (one(5, 9, 4), one(6, 8, 4), one(7, 1, 4))))
    found.apply(CandleSnapshot(NAME, "1m", 3, (one(5, 9, 3), one(6, 8, 3), one(7, 1, 3))))
    for each in (one(7, 2, 5), one(8, 1, 7), one(8, 2, 9)):
        waiting.hold(each)
    for each in (one(7, 2, 5), one(8, 1, 8)):
        found.apply(each)

    assert waiting.not_ready([]) == ""
    assert told(found.split(list(waiting.hand_over([], 10)))) == ["8:2"]


def test_of_a_waiting_connection_the_newest_figures_count() -> None:
    """If they are newer than those on the tape. Liquidations come from the other connection until the last moment."""
    found = feeds()
    waiting = Handover(found)
    for output in (*values(4, ONE), *values(6, TWO)[1:], liquidation(6), Unreadable("candle:1m", NAME, 6)):
        waiting.hold(output)
    for output in (*values(5, ONE), liquidation(6)):
        found.apply(output)

    assert list(found.split(list(waiting.hand_over([], 7)))) == values(6, TWO)[1:]


def test_after_a_restart_each_kind_goes_on_after_the_tape() -> None:
    """What was missed meanwhile is a gap; a candle that still runs leaves none."""
    found = feeds()
    seeds: list[Event] = [*values(3, ONE), liquidation(3), one(7, 1, 3)]
    fresh = SplitFeeds(fake(), {NAME: PERPETUAL}, (*FIGURES, "candle:1m"), book_depth=5, book_interval_ns=0)
    fresh.seed(seeds)
    fresh.open_topics(TOPICS, 5)

    events = [*fresh.confirm_topics(TOPICS, 6), *(event for output in values(8, ONE) for event in fresh.apply(output))]
    events += fresh.apply(one(7, 2, 9))

    gaps = {event.kind: (event.from_ts, event.to_ts) for event in events if isinstance(event, Gap)}
    assert gaps == {"liquidation": (3, 6), **dict.fromkeys(FIGURES[:4], (3, 8))}
    assert told([event for event in events if isinstance(event, Candle)]) == ["7:2"]
    assert found.records.keys() >= fresh.records.keys()


def test_a_new_active_replica_repeats_figures_but_nothing_of_which_each_counts() -> None:
    """Candles follow those on the tape (`CandleFeeds.continue_after`), liquidations are there."""
    found = feeds()
    for output in (*values(5, ONE), liquidation(5), one(7, 1, 5)):
        found.apply(output)

    events = list(found.restate(9))

    assert [event for event in events if not isinstance(event, Status)] == values(5, ONE)
    assert {(event.kind, event.state) for event in events if isinstance(event, Status) and event.instrument == NAME} == {
        (kind, FeedState.LIVE) for kind in (*FIGURES, "candle:1m")
    }


def test_an_instrument_is_removed_with_all_its_feeds() -> None:
    """What comes of it afterwards is counted."""
    found = feeds()
    found.remove_instrument(NAME, 5)

    for output in (*values(6, ONE), liquidation(6), one(7, 1, 6)):
        assert found.apply(output) == ()
    assert not [feed for feed in found.records if feed.instrument == NAME]
