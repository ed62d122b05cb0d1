"""The sequence of an instrument's trades: each once, and every gap reported."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosstape_connector.feeds.trades.open_gaps import OPEN_GAPS, RUNS
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.venues.messages import LastTrade, TradeSnapshot
from crosstape_schemas import Event, FeedState, Gap, GapCause, Instrument, Side, Status, Trade

BITCOIN = Instrument("BTC-USD", "v", "BTC/USD", "BTC", "USD")


def trade(number: int, *, at: int | None = None, backfilled: bool = False) -> Trade:
    """Executed at its number (or another time) and received a thousand later."""
    moment = number if at is None else at
    return Trade("v", "BTC-USD", moment, moment + 1_000, Decimal(1), Decimal(1), Side.BUY, str(number), backfilled)


def sequence(*numbers: int, contiguous: bool = True) -> TradeSequence:
    """A live sequence that has seen these."""
    found = TradeSequence(BITCOIN, contiguous=contiguous)
    for number in numbers:
        found.accept(trade(number), number)
    return found


def accept(found: TradeSequence, *numbers: int) -> list[Event]:
    """What these put on the tape."""
    return [event for number in numbers for event in found.accept(trade(number), number)]


def lose(found: TradeSequence) -> None:
    """Its connection is gone."""
    found.interrupt(found.received_ts)
    found.set_state(FeedState.DOWN, "lost", 0)


def ids(events: list[Event]) -> list[str]:
    """Of the trades among these."""
    return [event.trade_id for event in events if isinstance(event, Trade)]


def gaps(events: list[Event]) -> list[tuple[GapCause, int | None, int, int]]:
    """Cause, missed, from and to of the gaps among these that tell of something missing."""
    return [(event.cause, event.missed, event.from_ts, event.to_ts) for event in events if isinstance(event, Gap) and not event.repaired]


def repairs(events: list[Event]) -> list[tuple[GapCause, int | None, int, int]]:
    """The same of those that tell of something that came after all."""
    return [(event.cause, event.missed, event.from_ts, event.to_ts) for event in events if isinstance(event, Gap) and event.repaired]


def test_the_first_trade_makes_the_line_live() -> None:
    """There is nothing before it that the tape could miss."""
    status, first = accept(sequence(), 5)

    assert isinstance(status, Status)
    assert (status.state, status.kind, first) == (FeedState.LIVE, "trade", trade(5))


def test_a_hole_says_how_many_and_from_when_to_when() -> None:
    """The gap comes before the trade that showed it."""
    events = accept(sequence(1, 2), 6)

    assert gaps(events) == [(GapCause.SEQUENCE, 3, 1_002, 1_006)]
    assert events[-1] == trade(6)


def test_a_trade_that_was_there_is_dropped_and_counted() -> None:
    """Its number and its time are not newer."""
    found = sequence(1, 2, 3)

    assert accept(found, 2, 3) == []
    assert found.duplicates == 2


def test_a_trade_of_a_told_hole_may_still_come() -> None:
    """Once, in any order, marked as not seen live; when all of it is there, that is reported."""
    found = sequence(1, 5)

    events = accept(found, 2, 4, 4, 3)

    assert events[:3] == [trade(number, backfilled=True) for number in (2, 4, 3)]
    assert repairs(events) == [(GapCause.SEQUENCE, 3, 1_001, 1_005)]
    assert found.duplicates == 1, "four came again"
    assert accept(found, 2, 3, 4) == []


def test_a_venue_may_begin_its_numbering_anew() -> None:
    """An old number with a new time is no duplicate; how many were missed cannot be reported."""
    found = sequence(1000)

    events = found.accept(trade(7, at=2_000), 7)

    assert gaps(events) == [(GapCause.SEQUENCE, None, 2_000, 3_000)]
    assert ids(events) == ["7"]
    assert ids(found.accept(trade(8, at=2_001), 8)) == ["8"]


def test_after_a_lost_connection_the_numbers_prove_that_nothing_was_missed() -> None:
    """Then there is no gap."""
    found = sequence(1, 2)
    lose(found)

    events = accept(found, 3)

    assert gaps(events) == []
    assert [type(event) for event in events] == [Status, Trade]


def test_after_a_lost_connection_the_hole_is_exact() -> None:
    """From the last trade before to the first after."""
    found = sequence(1, 2)
    lose(found)

    assert gaps(accept(found, 10)) == [(GapCause.DISCONNECT, 7, 1_002, 1_010)]
    assert gaps(accept(found, 12)) == [(GapCause.SEQUENCE, 1, 1_010, 1_012)]


def test_numbers_that_only_grow_tell_of_no_hole() -> None:
    """After a lost connection it is not known how many were missed."""
    found = sequence(1, 5, contiguous=False)
    assert gaps(accept(found, 9)) == []
    lose(found)

    assert gaps(accept(found, 10)) == [(GapCause.DISCONNECT, None, 1_009, 1_010)]


def replay(*numbers: int) -> TradeSnapshot:
    """The venue's newest trades, received at 5,000."""
    return TradeSnapshot("BTC-USD", 5_000, tuple(trade(number, backfilled=True) for number in numbers))


def test_a_line_does_not_begin_with_what_is_older_than_the_tape() -> None:
    """The replayed trades tell where it begins: the next one, or a gap before it."""
    found = sequence()

    assert [type(event) for event in found.apply_snapshot(replay(8, 7, 9))] == [Status]
    assert ids(accept(found, 9, 10)) == ["10"]
    other = sequence()
    other.apply_snapshot(replay(7, 8))
    assert gaps(accept(other, 12)) == [(GapCause.SEQUENCE, 3, 1_012, 1_012)]


def test_a_replay_repairs_a_line() -> None:
    """What was seen already is dropped, what was missed is published as not seen live, and no gap is left."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_snapshot(replay(1, 2, 3, 4))

    assert ids(events) == ["3", "4"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert gaps(events + accept(found, 5)) == []


def test_a_replay_that_does_not_reach_back_far_enough_leaves_a_gap() -> None:
    """With the number of those that are missing."""
    found = sequence(1, 2)
    lose(found)

    assert gaps(found.apply_snapshot(replay(6, 7)))[0][:2] == (GapCause.DISCONNECT, 3)


def test_an_empty_replay_is_a_sign_of_life() -> None:
    """A product that never traded."""
    found = sequence()

    assert [type(event) for event in found.apply_snapshot(replay())] == [Status]
    assert found.next_id == -1


def test_a_line_goes_on_from_the_tape() -> None:
    """After a restart: older trades are dropped, a gap since then is a lost connection's."""
    found = sequence()
    found.seed(trade(5))
    found.seed(trade(4))

    events = accept(found, 5, 8)

    assert gaps(events) == [(GapCause.DISCONNECT, 2, 1_005, 1_008)]
    assert ids(events) == ["8"]


def test_a_connection_lost_before_it_spoke_does_not_forget_the_tape() -> None:
    """The gap still begins at the last trade that is on it."""
    found = sequence()
    found.seed(trade(5))
    lose(found)

    assert gaps(accept(found, 8)) == [(GapCause.DISCONNECT, 2, 1_005, 1_008)]


def named(number: int, at: int) -> LastTrade:
    """The venue's word of its newest trade."""
    return LastTrade("BTC-USD", at, at, number)


def test_a_trade_the_venue_speaks_of_twice_and_never_sends_is_missed() -> None:
    """Once may be an overtaking."""
    found = sequence(1, 2)

    assert found.apply_last_trade(named(4, 2_000)) == []
    assert ids(accept(found, 3)) == ["3"]
    assert gaps(found.apply_last_trade(named(4, 3_000))) == [(GapCause.SEQUENCE, 1, 1_003, 3_000)]
    assert found.apply_last_trade(named(4, 4_000)) == []
    assert ids(accept(found, 5)) == ["5"]


def test_a_hole_told_in_parts_may_still_be_filled() -> None:
    """A venue whose trades stall speaks of each newest one all the same: when they come after all, they are late, not a new numbering."""
    found = sequence(1)
    parts = [gap for number in (3, 5, 7) for at in (2_000, 3_000) for gap in gaps(found.apply_last_trade(named(number, at + number)))]

    assert [missed for _, missed, _, _ in parts] == [2, 2, 2]
    late = accept(found, *range(2, 9))
    assert gaps(late) == []
    assert [(event.trade_id, event.backfilled) for event in late if isinstance(event, Trade)] == [
        *((str(number), True) for number in range(2, 8)),
        ("8", False),
    ]


def test_a_lost_connection_is_the_cause_of_one_gap_only() -> None:
    """Told by the venue's word; what is missed after it has a cause of its own."""
    found = sequence(1, 2)
    lose(found)
    found.apply_last_trade(named(4, 2_000))

    assert gaps(found.apply_last_trade(named(4, 3_000))) == [(GapCause.DISCONNECT, 2, 1_002, 3_000)]
    assert gaps(accept(found, 7)) == [(GapCause.SEQUENCE, 2, 1_002, 1_007)]


def test_the_venues_word_proves_a_quiet_line() -> None:
    """Nothing is missing: that is as good as a trade for whoever looks for silence. Trades that never came prove nothing."""
    found = sequence(1, 2, 3)
    found.apply_last_trade(named(3, 2_000))
    assert found.proven_ts == 2_000

    for at in (3_000, 4_000, 5_000):
        found.apply_last_trade(named(4, at))
    assert found.proven_ts == 2_000

    accept(found, 5)
    found.apply_last_trade(named(5, 6_000))
    assert found.proven_ts == 6_000


def test_the_venues_word_is_no_beginning() -> None:
    """Nothing is known, so nothing is missed."""
    assert sequence().apply_last_trade(named(9, 1)) == []


def page(*numbers: int, at: int = 9_000) -> TradeSnapshot:
    """An answer of REST, received then."""
    return TradeSnapshot("BTC-USD", at, tuple(msgspec.structs.replace(trade(number), received_ts=at) for number in numbers))


def test_what_was_fetched_fills_the_hole_and_nothing_else() -> None:
    """A page reaches beyond both ends of it: what is there already, or will come by the stream, is not taken from it."""
    found = sequence(1, 2, 6)
    before = found.count

    events = found.fill_gaps(page(1, 2, 3, 4, 5, 6, 7).trades)

    assert ids(events) == ["3", "4", "5"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert repairs(events) == [(GapCause.SEQUENCE, 3, 1_002, 1_006)]
    assert ids(accept(found, 7)) == ["7"]
    assert (found.count, found.duplicates) == (before + 1, 0), "the pace of the stream is learned from the stream alone"


def test_a_hole_that_fills_from_both_sides_is_whole_once() -> None:
    """The stream brings late what REST brings too."""
    found = sequence(1, 6)

    events = [*found.fill_gaps(page(2, 3).trades), *accept(found, 3, 4), *found.fill_gaps(page(3, 4, 5).trades), *accept(found, 5)]

    assert ids(events) == ["2", "3", "4", "5"]
    assert repairs(events) == [(GapCause.SEQUENCE, 4, 1_001, 1_006)]


def test_a_hole_before_another_may_still_be_filled() -> None:
    """Each gap is repaired by itself."""
    found = sequence(1, 4, 6, 8)

    assert repairs(found.fill_gaps(page(5, 7).trades)) == [(GapCause.SEQUENCE, 1, 1_004, 1_006), (GapCause.SEQUENCE, 1, 1_006, 1_008)]
    assert repairs(found.fill_gaps(page(2, 3).trades)) == [(GapCause.SEQUENCE, 2, 1_001, 1_004)]


def test_the_part_that_came_is_told_within_narrower_times_and_the_rest_when_it_comes() -> None:
    """So whoever adds up is right, and whoever looks for the gap itself sees that it is not whole yet."""
    found = sequence(1_500, 1_506)
    (open_gap,) = found.open_gaps
    assert open_gap.report(0) == []
    found.fill_gaps(page(1_503, 1_504).trades)

    part = repairs(list(open_gap.report(9_000)))
    rest = found.fill_gaps(page(1_501, 1_502, 1_505).trades)

    gap = (GapCause.SEQUENCE, 5, 2_500, 2_506)
    assert [(missed, gap[2] <= from_ts <= to_ts < gap[3]) for _, missed, from_ts, to_ts in part] == [(2, True)]
    assert repairs(rest) == [(GapCause.SEQUENCE, 3, 2_500, 2_506)]


def test_the_part_of_a_gap_that_came_is_not_taken_for_another_gap() -> None:
    """Trades of one frame have the same time of receipt, so that a gap between two of them begins and ends at the same moment."""
    found = sequence(1)
    found.accept(trade(2, at=5), 2)
    within_a_frame = gaps(found.accept(trade(4, at=5), 4))
    later = gaps(accept(found, 8))
    assert (within_a_frame, later) == ([(GapCause.SEQUENCE, 1, 1_005, 1_005)], [(GapCause.SEQUENCE, 3, 1_005, 1_008)])

    accept(found, 5)

    assert [gap for open_gap in found.open_gaps for gap in repairs(list(open_gap.report(9_000)))] == [(GapCause.SEQUENCE, 1, 1_005, 1_006)]


def test_a_gap_that_follows_the_venues_word_after_a_restart_begins_early_enough() -> None:
    """A trade that came neither before the word nor since may have been made at any time after the last one that was received."""
    found = sequence()
    found.seed(trade(1))
    found.apply_last_trade(named(4, 2_000))
    found.apply_last_trade(named(4, 3_000))

    assert gaps(accept(found, 3_500)) == [(GapCause.SEQUENCE, 3_495, 1_001, 4_500)]


def test_what_was_fetched_may_come_by_the_stream_after_all() -> None:
    """Also where only the venue's word reported of it: it is there already, and no new numbering."""
    found = sequence(1, 2)
    found.apply_last_trade(named(5, 2_000))
    found.apply_last_trade(named(5, 3_000))

    assert ids(found.fill_gaps(page(3, 4, 5).trades)) == ["3", "4", "5"]
    assert accept(found, 4, 5) == []


def test_a_line_remembers_so_many_holes() -> None:
    """Of the oldest, what came is reported then; what comes later is as good as there already."""
    found = sequence(0)
    accept(found, *range(3, 3 * OPEN_GAPS + 1, 3))
    assert repairs(found.fill_gaps(page(1).trades)) == []

    events = accept(found, 3 * OPEN_GAPS + 3)

    assert [missed for _, missed, _, _ in repairs(events)] == [1]
    assert found.fill_gaps(page(2).trades) == []
    assert len(found.open_gaps) == OPEN_GAPS


def test_a_hole_falls_into_so_many_pieces() -> None:
    """A trade that would make one more is not published: it stays missing, as was reported."""
    found = sequence(0)
    end = 2 * RUNS + 10
    accept(found, end)

    late = ids(found.fill_gaps(page(*range(2, end, 2)).trades))

    assert len(late) == RUNS - 1
    assert len(ids(found.fill_gaps(page(*range(1, end)).trades))) == end - 1 - len(late)


def test_a_polled_line_goes_on_without_a_stream() -> None:
    """What was missed between is there, what is known is not repeated, and the feed does not pass for live."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_poll(page(1, 2, 3, 4), "polled", 2_000)

    assert ids(events) == ["3", "4"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert (found.state, found.reason, gaps(events)) == (FeedState.RECOVERING, "polled", [])
    assert found.apply_poll(page(4, at=9_500), "polled", 2_000) == []


def test_the_stream_goes_on_after_a_polled_line() -> None:
    """With nothing doubled; what was made between the last answer and its first trade is a gap, since that answer."""
    found = sequence(1, 2)
    lose(found)
    found.apply_poll(page(3, 4), "polled", 1_003)
    again = sequence(1, 2)
    lose(again)
    again.apply_poll(page(3, 4), "polled", 1_003)

    assert (ids(accept(found, 3, 4, 5)), found.state) == (["5"], FeedState.LIVE)
    assert gaps(accept(again, 7)) == [(GapCause.DISCONNECT, 2, 1_003, 1_007)]


def test_a_polled_line_that_had_no_beginning_begins_with_the_newest() -> None:
    """As with the trades that a venue repeats on subscribing: the next one is the first on the tape."""
    found = sequence()

    assert ids(found.apply_poll(page(7, 8), "polled", 2_000)) == []
    assert ids(found.apply_poll(page(8, 9), "polled", 2_000)) == ["9"]
    assert gaps(accept(found, 12))[0][:2] == (GapCause.DISCONNECT, 2)


def test_an_answer_that_does_not_reach_back_far_enough_tells_a_gap() -> None:
    """Its trades count, those before are missing."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_poll(page(6, 7), "polled", 2_000)

    assert gaps(events) == [(GapCause.DISCONNECT, 3, 1_002, 9_000)]
    assert ids(events) == ["6", "7"]


def test_an_answer_that_comes_after_the_stream_fills_holes_only() -> None:
    """The feed is live again, or subscribed: its own trades are on the way."""
    found = sequence(1, 2)
    lose(found)
    accept(found, 5)

    assert ids(found.apply_poll(page(2, 3, 4, 5, 6), "polled", 2_000)) == ["3", "4"]
    assert found.state is FeedState.LIVE


def test_polled_trades_whose_ids_only_grow_prove_themselves_by_reaching_back() -> None:
    """A page that has a known trade has all that followed it."""
    found = sequence(1, 5, contiguous=False)
    lose(found)

    assert gaps(found.apply_poll(page(5, 9), "polled", 2_000)) == []
    assert gaps(found.apply_poll(page(15, 17), "polled", 2_000))[0][:2] == (GapCause.DISCONNECT, None)


STEPS = st.one_of(
    st.integers(1, 12),
    st.sampled_from(["lose", "named", "restart", "give up"]),
    st.tuples(st.sampled_from(["repair", "poll", "replay"]), st.integers(1, 12), st.integers(1, 12)),
)
Step = int | str | tuple[str, int, int]


class Play:
    """A sequence to which things happen, and the tape that comes of it."""

    def __init__(self) -> None:
        self.sequence = sequence()
        self.newest = 0
        self.published: list[int] = []
        self.gaps: list[tuple[Gap, range]] = []
        self.repaired: list[Gap] = []
        self.unreported = 0
        """So many came back that nobody will tell: parts of a gap of one moment, when the sequence ended."""

    def step(self, step: Step) -> None:
        """One thing happens."""
        at = self.sequence.next_id
        for event in self._events(step):
            if isinstance(event, Trade):
                self.published.append(int(event.trade_id))
                at = max(at, int(event.trade_id) + 1)
            elif isinstance(event, Gap):
                assert event.missed is not None
                if event.repaired:
                    self.repaired.append(event)
                    self._check(event)
                else:
                    self.gaps.append((event, range(at, at + event.missed)))
                    at += event.missed

    def _check(self, repaired: Gap) -> None:
        """It is whole, or says of itself that it is only a part."""
        moments = repaired.from_ts, repaired.to_ts
        same = [missing for gap, missing in self.gaps if (gap.from_ts, gap.to_ts) == moments]
        assert not same or any(set(missing) <= set(self.published) for missing in same)

    def _events(self, step: Step) -> list[Event]:
        found = self.sequence
        match step:
            case "lose":
                lose(found)
                return []
            case "named":
                self.newest += 3  # trades that the stream does not bring yet
                return [*found.apply_last_trade(named(self.newest, 10_000)), *found.apply_last_trade(named(self.newest, 10_000))]
            case "give up":
                return [gap for open_gap in found.open_gaps for gap in open_gap.report(10_000)]
            case "restart":
                if not self.published or max(self.published) + 1 != found.next_id:
                    return []  # the venue's word moved it on: that is on the tape, but not read back from there
                told_back = self._events("give up")
                self.unreported += sum(open_gap.recovered for open_gap in found.open_gaps)
                self.sequence = sequence()
                self.sequence.seed(trade(max(self.published)))
                return told_back
            case int(number):
                self.newest = max(self.newest, number)
                return found.accept(trade(number), number)
            case (how, first, count):
                snapshot = replay(*range(first, min(first + count, self.newest + 1)))
                if how == "repair":
                    return found.fill_gaps(snapshot.trades)
                return found.apply_poll(snapshot, "polled", 0) if how == "poll" else found.apply_snapshot(snapshot)
        raise AssertionError(step)


@settings(max_examples=300)
@given(steps=st.lists(STEPS, max_size=50))
@example(steps=[1, "restart", "named", 7, 5, "restart"])
@example(steps=[1, "restart", "named", 6, "named", 7, "give up"])
def test_published_and_missed_add_up(steps: list[Step]) -> None:
    """Whatever comes in whatever order, from the stream, by pages of REST and across restarts: no trade twice; every number up to the
    newest is published, or missing as gaps tell; a gap is repaired only when all of it is there.
    """
    play = Play()
    for step in steps:
        play.step(step)

    assert len(play.published) == len(set(play.published))
    if play.published:
        unreported = play.unreported + sum(open_gap.recovered for open_gap in play.sequence.open_gaps)
        missed = sum(gap.missed or 0 for gap, _ in play.gaps) - sum(gap.missed or 0 for gap in play.repaired) - unreported
        first = min([play.published[0], *(missing.start for _, missing in play.gaps)])
        assert missed == max(play.sequence.next_id, max(play.published) + 1) - first - len(play.published)


# ---- a line that was silent


def silent() -> TradeSequence:
    """Called stale after its trade 5, on a venue that answers a subscription with the newest trades."""
    found = sequence(4, 5)
    found.answers_subscribe = True
    found.stalled_ts = 5_000
    found.set_state(FeedState.STALE, "silent", 5_000)
    return found


def test_new_trades_with_which_a_subscription_is_answered_do_not_make_a_silent_line_live() -> None:
    """The stream had not brought them. They are on the tape all the same; a trade that follows shows that it goes on."""
    found = silent()
    newest = tuple(trade(number, backfilled=True) for number in (4, 5, 6, 7))

    assert ids(found.apply_snapshot(TradeSnapshot("BTC-USD", 6_000, newest))) == ["6", "7"]
    assert found.state.value == "stale"
    found.accept(trade(8), 8)
    assert found.state.value == "live"

    found = silent()
    assert ids(found.accept(trade(6, backfilled=True), 6)) == ["6"]
    assert found.state is FeedState.STALE


def test_a_subscription_that_is_answered_with_what_is_known_shows_that_nobody_has_traded() -> None:
    """Nothing was missed."""
    found = silent()
    assert ids(found.apply_snapshot(TradeSnapshot("BTC-USD", 6_000, (trade(5, backfilled=True),)))) == []
    assert found.state is FeedState.LIVE
