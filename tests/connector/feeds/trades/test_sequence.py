"""The sequence of an instrument's trades: each trade once, and every gap reported."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosstape_connector.feeds.trades.open_gaps import OPEN_GAPS, RUNS
from crosstape_connector.feeds.trades.sequence import SEEN, TradeSequence
from crosstape_connector.venues.messages import LastTrade, TradeSnapshot
from crosstape_schemas import Event, FeedState, Gap, GapCause, Instrument, Side, Status, Trade

BITCOIN = Instrument("BTC-USD", "v", "BTC/USD", "BTC", "USD")


def trade(number: int, *, at: int | None = None, backfilled: bool = False) -> Trade:
    """A trade made at its number (or at another time) and received 1,000 ns later."""
    moment = number if at is None else at
    return Trade("v", "BTC-USD", moment, moment + 1_000, Decimal(1), Decimal(1), Side.BUY, str(number), backfilled)


def sequence(*numbers: int, contiguous: bool = True) -> TradeSequence:
    """A live sequence that has accepted these trades."""
    found = TradeSequence(BITCOIN, contiguous=contiguous)
    for number in numbers:
        found.accept(trade(number), number)
    return found


def accept(found: TradeSequence, *numbers: int) -> list[Event]:
    """Return the events for the tape after these trades."""
    return [event for number in numbers for event in found.accept(trade(number), number)]


def lose(found: TradeSequence) -> None:
    """Lose the connection of the feed."""
    found.interrupt(found.received_ts)
    found.set_state(FeedState.DOWN, "lost", 0)


def ids(events: list[Event]) -> list[str]:
    """Return the ids of the trades among these events."""
    return [event.trade_id for event in events if isinstance(event, Trade)]


def gaps(events: list[Event]) -> list[tuple[GapCause, int | None, int, int]]:
    """Return cause, missed, from and to of each gap that is not repaired."""
    return [(event.cause, event.missed, event.from_ts, event.to_ts) for event in events if isinstance(event, Gap) and not event.repaired]


def repairs(events: list[Event]) -> list[tuple[GapCause, int | None, int, int]]:
    """Return cause, missed, from and to of each repaired gap."""
    return [(event.cause, event.missed, event.from_ts, event.to_ts) for event in events if isinstance(event, Gap) and event.repaired]


def test_the_first_trade_makes_the_feed_live() -> None:
    """No gap is reported: the tape begins with this trade."""
    status, first = accept(sequence(), 5)

    assert isinstance(status, Status)
    assert (status.state, status.kind, first) == (FeedState.LIVE, "trade", trade(5))


def test_a_gap_has_the_count_and_the_times() -> None:
    """The gap comes before the trade that showed it."""
    events = accept(sequence(1, 2), 6)

    assert gaps(events) == [(GapCause.SEQUENCE, 3, 1_002, 1_006)]
    assert events[-1] == trade(6)


def test_a_known_trade_is_dropped_and_counted() -> None:
    """Its number and its time are not newer than the newest trade."""
    found = sequence(1, 2, 3)

    assert accept(found, 2, 3) == []
    assert found.duplicates == 2


def test_a_missing_trade_may_still_come() -> None:
    """Each is published once, in any order, as backfilled. When none is missing any more, the gap is reported as repaired."""
    found = sequence(1, 5)

    events = accept(found, 2, 4, 4, 3)

    assert events[:3] == [trade(number, backfilled=True) for number in (2, 4, 3)]
    assert repairs(events) == [(GapCause.SEQUENCE, 3, 1_001, 1_005)]
    assert found.duplicates == 1, "four came again"
    assert accept(found, 2, 3, 4) == []


def test_a_venue_may_restart_its_numbering() -> None:
    """An old number with a new time is no duplicate. The gap has no count, because nothing shows how many trades were missed."""
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


def test_after_a_lost_connection_the_gap_is_exact() -> None:
    """It goes from the last trade before the loss to the first after it."""
    found = sequence(1, 2)
    lose(found)

    assert gaps(accept(found, 10)) == [(GapCause.DISCONNECT, 7, 1_002, 1_010)]
    assert gaps(accept(found, 12)) == [(GapCause.SEQUENCE, 1, 1_010, 1_012)]


def test_numbers_that_only_grow_show_no_gap() -> None:
    """After a lost connection the gap has no count."""
    found = sequence(1, 5, contiguous=False)
    assert gaps(accept(found, 9)) == []
    lose(found)

    assert gaps(accept(found, 10)) == [(GapCause.DISCONNECT, None, 1_009, 1_010)]


def replay(*numbers: int) -> TradeSnapshot:
    """The venue's newest trades, received at 5,000."""
    return TradeSnapshot("BTC-USD", 5_000, tuple(trade(number, backfilled=True) for number in numbers))


def test_a_replay_is_not_published_on_an_empty_tape() -> None:
    """The replayed trades only show the next id: then comes the next trade, or a gap before it."""
    found = sequence()

    assert [type(event) for event in found.apply_snapshot(replay(8, 7, 9))] == [Status]
    assert ids(accept(found, 9, 10)) == ["10"]
    other = sequence()
    other.apply_snapshot(replay(7, 8))
    assert gaps(accept(other, 12)) == [(GapCause.SEQUENCE, 3, 1_012, 1_012)]


def test_a_replay_fills_the_gap() -> None:
    """Known trades are dropped, missed trades are published as backfilled, and no gap remains."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_snapshot(replay(1, 2, 3, 4))

    assert ids(events) == ["3", "4"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert gaps(events + accept(found, 5)) == []


def test_a_replay_that_does_not_reach_back_far_enough_leaves_a_gap() -> None:
    """The gap has the number of trades that are still missing."""
    found = sequence(1, 2)
    lose(found)

    assert gaps(found.apply_snapshot(replay(6, 7)))[0][:2] == (GapCause.DISCONNECT, 3)


def test_an_empty_replay_is_a_sign_of_life() -> None:
    """A product that never traded has no trades to replay."""
    found = sequence()

    assert [type(event) for event in found.apply_snapshot(replay())] == [Status]
    assert found.next_id == -1


def test_a_sequence_continues_the_tape() -> None:
    """After a restart, trades that are on the tape are dropped, and missing ones are a gap with the cause of a lost connection."""
    found = sequence()
    found.seed(trade(5))
    found.seed(trade(4))

    events = accept(found, 5, 8)

    assert gaps(events) == [(GapCause.DISCONNECT, 2, 1_005, 1_008)]
    assert ids(events) == ["8"]


def test_a_connection_lost_before_its_first_trade_does_not_forget_the_tape() -> None:
    """The gap still begins at the last trade on the tape."""
    found = sequence()
    found.seed(trade(5))
    lose(found)

    assert gaps(accept(found, 8)) == [(GapCause.DISCONNECT, 2, 1_005, 1_008)]


def named(number: int, at: int) -> LastTrade:
    """The venue names the id of its newest trade."""
    return LastTrade("BTC-USD", at, at, number)


def test_a_trade_named_twice_and_never_sent_is_missed() -> None:
    """Named once, the id may only have overtaken the trade."""
    found = sequence(1, 2)

    assert found.apply_last_trade(named(4, 2_000)) == []
    assert ids(accept(found, 3)) == ["3"]
    assert gaps(found.apply_last_trade(named(4, 3_000))) == [(GapCause.SEQUENCE, 1, 1_003, 3_000)]
    assert found.apply_last_trade(named(4, 4_000)) == []
    assert ids(accept(found, 5)) == ["5"]


def test_a_gap_reported_in_parts_may_still_be_filled() -> None:
    """A venue whose trades stall still names each newest id. When the trades come later, they are late, and not a new numbering."""
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
    """The venue's named id shows that gap; trades missed after it are a gap with another cause."""
    found = sequence(1, 2)
    lose(found)
    found.apply_last_trade(named(4, 2_000))

    assert gaps(found.apply_last_trade(named(4, 3_000))) == [(GapCause.DISCONNECT, 2, 1_002, 3_000)]
    assert gaps(accept(found, 7)) == [(GapCause.SEQUENCE, 2, 1_002, 1_007)]


def test_a_named_id_confirms_a_quiet_feed() -> None:
    """No trade is missing: this confirms the feed as a trade would. It does not if trades are missing."""
    found = sequence(1, 2, 3)
    found.apply_last_trade(named(3, 2_000))
    assert found.proven_ts == 2_000

    for at in (3_000, 4_000, 5_000):
        found.apply_last_trade(named(4, at))
    assert found.proven_ts == 2_000

    accept(found, 5)
    found.apply_last_trade(named(5, 6_000))
    assert found.proven_ts == 6_000


def test_a_named_id_does_not_begin_a_sequence() -> None:
    """Without a known trade, none counts as missed."""
    assert sequence().apply_last_trade(named(9, 1)) == []


def page(*numbers: int, at: int = 9_000) -> TradeSnapshot:
    """A page of trades from REST, received at this time."""
    return TradeSnapshot("BTC-USD", at, tuple(msgspec.structs.replace(trade(number), received_ts=at) for number in numbers))


def test_fetched_trades_fill_the_gap_and_nothing_else() -> None:
    """A page reaches beyond both ends of the gap. Trades that are known, or will come by the stream, are not published from it."""
    found = sequence(1, 2, 6)
    before = found.count

    events = found.fill_gaps(page(1, 2, 3, 4, 5, 6, 7).trades)

    assert ids(events) == ["3", "4", "5"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert repairs(events) == [(GapCause.SEQUENCE, 3, 1_002, 1_006)]
    assert ids(accept(found, 7)) == ["7"]
    assert (found.count, found.duplicates) == (before + 1, 0), "the pace of the stream is learned from the stream alone"


def test_a_gap_filled_by_stream_and_rest_is_repaired_once() -> None:
    """The stream brings the same trade late that REST brings."""
    found = sequence(1, 6)

    events = [*found.fill_gaps(page(2, 3).trades), *accept(found, 3, 4), *found.fill_gaps(page(3, 4, 5).trades), *accept(found, 5)]

    assert ids(events) == ["2", "3", "4", "5"]
    assert repairs(events) == [(GapCause.SEQUENCE, 4, 1_001, 1_006)]


def test_a_gap_before_another_may_still_be_filled() -> None:
    """Each gap is repaired by itself."""
    found = sequence(1, 4, 6, 8)

    assert repairs(found.fill_gaps(page(5, 7).trades)) == [(GapCause.SEQUENCE, 1, 1_004, 1_006), (GapCause.SEQUENCE, 1, 1_006, 1_008)]
    assert repairs(found.fill_gaps(page(2, 3).trades)) == [(GapCause.SEQUENCE, 2, 1_001, 1_004)]


def test_a_recovered_part_is_reported_within_narrower_times() -> None:
    """The sum of all counts stays right, and a reader of the gap sees that it is not complete yet."""
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
    """Trades of one frame have the same receive time, so a gap between two of them begins and ends at the same moment."""
    found = sequence(1)
    found.accept(trade(2, at=5), 2)
    within_a_frame = gaps(found.accept(trade(4, at=5), 4))
    later = gaps(accept(found, 8))
    assert (within_a_frame, later) == ([(GapCause.SEQUENCE, 1, 1_005, 1_005)], [(GapCause.SEQUENCE, 3, 1_005, 1_008)])

    accept(found, 5)

    assert [gap for open_gap in found.open_gaps for gap in repairs(list(open_gap.report(9_000)))] == [(GapCause.SEQUENCE, 1, 1_005, 1_006)]


def test_gaps_within_one_frame_are_told_apart() -> None:
    """By their moments: a trade that comes late closes its own gap alone, whatever has come of the others."""
    found = sequence(1)
    reported = [gaps(found.accept(trade(number, at=5), number)) for number in (3, 5, 7)]
    moments = [(from_ts, to_ts) for ((_, _, from_ts, to_ts),) in reported]
    assert len({*moments}) == 3

    late = [repairs(accept(found, number)) for number in (4, 6, 2)]

    assert [(from_ts, to_ts) for ((_, _, from_ts, to_ts),) in late] == [moments[1], moments[2], moments[0]]


def test_a_gap_after_a_named_id_begins_early_enough() -> None:
    """After a restart, a trade that never came may have been made at any time after the last received one."""
    found = sequence()
    found.seed(trade(1))
    found.apply_last_trade(named(4, 2_000))
    found.apply_last_trade(named(4, 3_000))

    assert gaps(accept(found, 3_500)) == [(GapCause.SEQUENCE, 3_495, 1_001, 4_500)]


def test_a_fetched_trade_may_also_come_by_the_stream() -> None:
    """It is a duplicate and not a new numbering, even if only the venue's named id had shown that it was missing."""
    found = sequence(1, 2)
    found.apply_last_trade(named(5, 2_000))
    found.apply_last_trade(named(5, 3_000))

    assert ids(found.fill_gaps(page(3, 4, 5).trades)) == ["3", "4", "5"]
    assert accept(found, 4, 5) == []


def test_the_number_of_open_gaps_is_bounded() -> None:
    """When the oldest gap is dropped, its recovered part is reported. Later trades of it count as duplicates."""
    found = sequence(0)
    accept(found, *range(3, 3 * OPEN_GAPS + 1, 3))
    assert repairs(found.fill_gaps(page(1).trades)) == []

    events = accept(found, 3 * OPEN_GAPS + 3)

    assert [missed for _, missed, _, _ in repairs(events)] == [1]
    assert found.fill_gaps(page(2).trades) == []
    assert len(found.open_gaps) == OPEN_GAPS


def test_the_number_of_runs_in_a_gap_is_bounded() -> None:
    """A trade that would make one more run is not published: it stays missing, as reported."""
    found = sequence(0)
    end = 2 * RUNS + 10
    accept(found, end)

    late = ids(found.fill_gaps(page(*range(2, end, 2)).trades))

    assert len(late) == RUNS - 1
    assert len(ids(found.fill_gaps(page(*range(1, end)).trades))) == end - 1 - len(late)


def test_polling_continues_the_sequence_without_a_stream() -> None:
    """Missed trades are published, known ones are not repeated, and the feed is not live."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_poll(page(1, 2, 3, 4), "polled", 2_000)

    assert ids(events) == ["3", "4"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert (found.state, found.reason, gaps(events)) == (FeedState.RECOVERING, "polled", [])
    assert found.apply_poll(page(4, at=9_500), "polled", 2_000) == []


def test_the_stream_continues_after_polling() -> None:
    """No trade is published twice. Trades made between the last answer and the first of the stream are a gap since that answer."""
    found = sequence(1, 2)
    lose(found)
    found.apply_poll(page(3, 4), "polled", 1_003)
    again = sequence(1, 2)
    lose(again)
    again.apply_poll(page(3, 4), "polled", 1_003)

    assert (ids(accept(found, 3, 4, 5)), found.state) == (["5"], FeedState.LIVE)
    assert gaps(accept(again, 7)) == [(GapCause.DISCONNECT, 2, 1_003, 1_007)]


def test_polling_without_a_known_trade_begins_after_the_newest() -> None:
    """As with a replay on subscribing, the next trade is the first on the tape."""
    found = sequence()

    assert ids(found.apply_poll(page(7, 8), "polled", 2_000)) == []
    assert ids(found.apply_poll(page(8, 9), "polled", 2_000)) == ["9"]
    assert gaps(accept(found, 12))[0][:2] == (GapCause.DISCONNECT, 2)


def test_an_answer_that_does_not_reach_back_far_enough_is_a_gap() -> None:
    """Its trades are published; the trades before them are missing."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_poll(page(6, 7), "polled", 2_000)

    assert gaps(events) == [(GapCause.DISCONNECT, 3, 1_002, 9_000)]
    assert ids(events) == ["6", "7"]


def test_an_answer_after_the_stream_resumed_only_fills_gaps() -> None:
    """The feed is live or subscribed again: newer trades will come by the stream."""
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
    """A sequence, the things that happen to it, and the resulting tape."""

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
        """A repaired gap is complete, or has the narrower times of a part."""
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
    """A feed that became stale after its trade 5, on a venue that answers a subscription with the newest trades."""
    found = sequence(4, 5)
    found.answers_subscribe = True
    found.stalled_ts = 5_000
    found.set_state(FeedState.STALE, "silent", 5_000)
    return found


def test_new_trades_in_the_answer_to_a_subscription_do_not_make_a_silent_feed_live() -> None:
    """The stream had not brought them. They are published, but only a later trade shows that the stream works."""
    found = silent()
    newest = tuple(trade(number, backfilled=True) for number in (4, 5, 6, 7))

    assert ids(found.apply_snapshot(TradeSnapshot("BTC-USD", 6_000, newest))) == ["6", "7"]
    assert found.state.value == "stale"
    found.accept(trade(8), 8)
    assert found.state.value == "live"

    found = silent()
    assert ids(found.accept(trade(6, backfilled=True), 6)) == ["6"]
    assert found.state is FeedState.STALE


def test_known_trades_in_the_answer_to_a_subscription_show_a_quiet_market() -> None:
    """No trade was missed."""
    found = silent()
    assert ids(found.apply_snapshot(TradeSnapshot("BTC-USD", 6_000, (trade(5, backfilled=True),)))) == []
    assert found.state is FeedState.LIVE


def test_where_trades_overtake_each_other_each_is_published_once() -> None:
    """In whatever order, and after a lost connection, too. What was on the tape when we began is not published again."""
    found = TradeSequence(BITCOIN, contiguous=False, ordered=False)
    found.seed(trade(3))
    events = accept(found, 2, 3, 7, 5, 7, 5, 9, 6)

    assert ids(events) == ["7", "5", "9", "6"]
    assert found.duplicates == 4
    lose(found)
    assert ids(after := accept(found, 9, 8, 6, 10)) == ["8", "10"]
    assert [gap[:2] for gap in gaps(after)] == [(GapCause.DISCONNECT, None)]


def test_past_trades_that_answer_each_subscription_count_once_where_trades_overtake_each_other() -> None:
    """The first answer is of before the tape. A later one that reaches back to what is known leaves no gap, another one does."""
    found = TradeSequence(BITCOIN, contiguous=False, ordered=False)
    assert ids(found.apply_snapshot(TradeSnapshot("BTC-USD", 1_000, (trade(2), trade(4), trade(7))))) == []
    assert ids(accept(found, 6, 9)) == ["6", "9"]
    lose(found)
    answer = found.apply_snapshot(TradeSnapshot("BTC-USD", 2_000, (trade(1), trade(4), trade(6), trade(8), trade(9), trade(11))))
    assert ids(answer) == ["8", "11"]
    assert gaps(answer) == []

    lose(found)
    answer = found.apply_snapshot(TradeSnapshot("BTC-USD", 3_000, (trade(15), trade(17))))
    assert ids(answer) == ["15", "17"]
    assert [gap[:2] for gap in gaps(answer)] == [(GapCause.DISCONNECT, None)]


def test_an_id_that_is_forgotten_counts_as_published() -> None:
    """The newest are kept: an older one may be on the tape."""
    found = TradeSequence(BITCOIN, contiguous=False, ordered=False)
    accept(found, *range(10, 10 + 2 * (SEEN + 1), 2))

    assert ids(accept(found, 10, 11, 13)) == ["11", "13"]
    assert ids(accept(found, 9)) == []


def test_a_venue_that_begins_its_ids_again_is_noticed_where_trades_overtake_each_other() -> None:
    """By the time of a trade."""
    found = TradeSequence(BITCOIN, contiguous=False, ordered=False)
    accept(found, *range(1_000, 1_000 + 2 * SEEN, 2))
    events = [*found.accept(trade(5, at=10**6), 5), *found.accept(trade(4, at=10**6 + 1), 4), *found.accept(trade(5, at=10**6), 5)]

    assert ids(events) == ["5", "4"]
    assert [cause for cause, *_ in gaps(events)] == [GapCause.SEQUENCE]
