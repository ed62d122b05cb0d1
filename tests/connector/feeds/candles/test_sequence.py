"""The candles of one instrument: what is published, once and in order, whatever is lost, repeated or late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.feeds.candles.sequence import CandleSequence
from crosstape_connector.venues.messages import CandleSnapshot
from crosstape_connector.venues.spec import CandleRules
from crosstape_schemas import Candle, Event, FeedState, Gap
from tests.connector.fake_venue import candle, instrument

NAME = "AAA-USD"


def sequence(*, pages: bool = False, begins_with_page: bool = False, flags: bool = False, every: bool = False) -> CandleSequence:
    """The candles of a minute, subscribed."""
    rules = CandleRules(
        timeframes={"1m": "1m"},
        open="first trade",
        empty="nothing",
        closed="flag" if flags else "next candle",
        every_interval=every,
        volume="base units",
        first="none" if begins_with_page else "snapshot",
    )
    made = CandleSequence(instrument("AAAUSD"), "1m", rules, pages=pages)
    made.confirmed = True
    return made


def one(number: int, volume: object = 1, *, at: int | None = None, closed: bool = False) -> Candle:
    """A candle, received at its number if not told otherwise."""
    return candle(NAME, number, volume, at=number if at is None else at, closed=closed)


def snapshot(*candles: Candle, at: int) -> CandleSnapshot:
    """Past candles."""
    return CandleSnapshot(NAME, "1m", at, candles)


def told(events: Sequence[Event]) -> list[str]:
    """Write events short: `7:2` a running candle and its volume, `7:2.` closed, `7:3.1` its first revision, `gap 3-9`."""
    lines: list[str] = []
    for event in events:
        if isinstance(event, Candle):
            mark = "" if not event.closed else f".{event.revision or ''}"
            lines.append(f"{event.open_ts // 60_000_000_000}:{event.volume}{mark}")
        elif isinstance(event, Gap):
            lines.append(f"gap {event.from_ts}-{event.to_ts}")
    return lines


def fed(into: CandleSequence, *candles: Candle) -> list[str]:
    """Apply candles of the stream."""
    return told([event for each in candles for event in into.accept(each)])


def test_a_later_candle_closes_the_one_before() -> None:
    """It is published once more, closed, with the content that it had, at the time at which we knew."""
    found = sequence()

    assert fed(found, one(7, 1), one(7, 2), one(7, 2)) == ["7:1", "7:2"]
    closing = found.accept(one(8, 1, at=99))

    assert told(closing) == ["7:2.", "8:1"]
    assert [event.received_ts for event in closing] == [99, 99]


def test_a_closed_candle_is_published_once() -> None:
    """The flag closes it; the later candle does not close it again; the same content is nothing new."""
    assert fed(sequence(), one(7, 1), one(7, 2, closed=True), one(7, 2, closed=True), one(8), one(8)) == ["7:1", "7:2.", "8:1"]


def test_an_interval_without_a_candle_is_no_gap_on_one_connection() -> None:
    """Many venues publish nothing for an interval without trades."""
    assert fed(sequence(), one(7), one(12)) == ["7:1", "7:1.", "12:1"]


@pytest.mark.parametrize(
    ("flags", "every", "candles", "unsure"),
    [
        pytest.param(True, False, (one(7), one(8)), True, id="not-closed-by-its-flag"),
        pytest.param(True, False, (one(7, closed=True), one(9)), False, id="an-interval-that-may-be-empty"),
        pytest.param(False, True, (one(7), one(8)), False, id="closed-by-the-next"),
        pytest.param(False, True, (one(7), one(9)), True, id="an-interval-is-absent"),
        pytest.param(True, True, (one(7, closed=True), one(8)), False, id="the-next"),
        pytest.param(True, True, (one(7, closed=True), one(9)), True, id="an-interval-is-absent-after-a-closed-one"),
    ],
)
def test_a_candle_can_show_that_frames_before_it_are_missing(flags: bool, every: bool, candles: tuple[Candle, ...], unsure: bool) -> None:
    """A venue that flags each last content, or sends each interval, has not done so: the sequence awaits a page, or tells a gap."""
    found, without = sequence(pages=True, flags=flags, every=every), sequence(flags=flags, every=every)

    assert (fed(found, *candles)[-1], found.awaits_page) == (f"{candles[1].open_ts // 60_000_000_000}:1", unsure)
    assert (f"gap 7-{candles[1].received_ts}" in fed(without, *candles)) is unsure


def test_a_change_of_a_closed_candle_is_a_revision() -> None:
    """Each further one counts up. The running candle goes on."""
    found = sequence()
    fed(found, one(7), one(8))

    assert fed(found, one(7, 2, at=9), one(7, 2, at=9), one(7, 3, at=9), one(8, 2, at=9)) == ["7:2.1", "7:3.2", "8:2"]


def test_a_candle_of_an_interval_that_counted_as_empty_is_a_revision() -> None:
    """So candles are in order as far as they have revision 0."""
    found = sequence()
    fed(found, one(7), one(9))

    assert fed(found, one(8, 5, at=9), one(8, 6, at=9)) == ["8:5.1", "8:6.2"]


def test_a_candle_older_than_what_is_kept_is_dropped() -> None:
    """We cannot see whether it is news."""
    found = sequence()
    fed(found, *(one(number) for number in range(7, 30)))

    assert fed(found, one(7, 9, at=30), one(20, 9, at=30), one(22, 9, at=30)) == ["22:9.1"]


def test_a_snapshot_begins_the_tape() -> None:
    """Closed candles once, then the running one; a second snapshot changes nothing."""
    found = sequence()
    rows = one(5), one(6), one(7)

    assert told(found.apply_snapshot(snapshot(*rows, at=7))) == ["5:1.", "6:1.", "7:1"]
    assert told(found.apply_snapshot(snapshot(*rows, at=8))) == []
    assert found.state is FeedState.LIVE


def test_the_same_candle_after_a_reconnect_shows_that_nothing_was_missed() -> None:
    """A candle is complete in itself."""
    found = sequence()
    fed(found, one(7))
    found.interrupt(7)

    assert fed(found, one(7, 2, at=8), one(8)) == ["7:2", "7:2.", "8:1"]


def test_a_later_candle_after_a_reconnect_leaves_a_gap() -> None:
    """The last content of the one before was never seen, so it is not closed. What came before the gap is not corrected any more."""
    found = sequence()
    fed(found, one(6), one(7))
    found.interrupt(7)

    assert fed(found, one(9), one(10), one(6, 3, at=11), one(9, 2, at=11)) == ["gap 7-9", "9:1", "9:1.", "10:1", "9:2.1"]


def test_the_next_candle_after_a_closed_one_leaves_no_gap() -> None:
    """Nothing can be between them."""
    found = sequence()
    fed(found, one(7, closed=True))
    found.interrupt(7)

    assert fed(found, one(8)) == ["8:1"]


def test_a_snapshot_that_reaches_back_fills_what_was_missed() -> None:
    """Also the last content of the candle that was running."""
    found = sequence()
    fed(found, one(6), one(7))
    found.interrupt(7)

    assert told(found.apply_snapshot(snapshot(one(7, 4), one(8), one(9), at=9))) == ["7:4.", "8:1.", "9:1"]
    assert found.gap_from == 0


def test_a_snapshot_that_does_not_reach_back_leaves_a_gap() -> None:
    """From the newest data to the snapshot."""
    found = sequence()
    fed(found, one(7))
    found.interrupt(7)

    assert told(found.apply_snapshot(snapshot(one(9), one(10), at=11))) == ["gap 7-11", "9:1.", "10:1"]


def test_what_is_on_the_tape_is_not_published_again() -> None:
    """After a restart the sequence continues after the last candle on the tape, which may have been running."""
    found = sequence()
    found.seed(one(7, 2))

    assert told(found.apply_snapshot(snapshot(one(5), one(6), one(7, 3), one(8), at=9))) == ["7:3.", "8:1"]

    again = sequence()
    again.seed(one(7, 2, closed=True))
    assert told(again.apply_snapshot(snapshot(one(5), one(6), one(7, 2), one(8), at=9))) == ["8:1"]


def test_candles_that_close_are_held_until_the_page_that_is_awaited() -> None:
    """So that they stay in order. The running candle is not held."""
    found = sequence(pages=True, begins_with_page=True)
    found.apply_page(snapshot(at=1), 0)
    fed(found, one(7))
    found.interrupt(7)
    found.confirmed = True

    assert fed(found, one(9), one(9, 2, at=9), one(10)) == ["9:1", "9:2", "10:1"]
    assert (found.wants_page, found.known_from) == (True, one(7).open_ts)
    page = snapshot(one(7, 4), one(8), one(9, 1), one(10, 1), at=11)
    assert told(found.apply_page(page, one(7).open_ts)) == ["7:4.", "8:1.", "9:2."]
    assert fed(found, one(11)) == ["10:1.", "11:1"]
    assert not found.wants_page


def test_a_page_before_the_first_candle_of_the_stream() -> None:
    """Its last row is running, and is published so."""
    found = sequence(pages=True, begins_with_page=True)
    assert found.wants_page

    assert told(found.apply_page(snapshot(one(5), one(6), at=7), one(5).open_ts)) == ["5:1.", "6:1"]
    assert not found.wants_page
    assert fed(found, one(6, 2), one(7)) == ["6:2", "6:2.", "7:1"]


def test_a_page_that_ends_before_the_stream_began_is_not_the_last_word() -> None:
    """Its last row may have changed before the candle ended. A second answer that agrees counts."""
    found = sequence(pages=True, begins_with_page=True)
    assert fed(found, one(9)) == ["9:1"]

    assert told(found.apply_page(snapshot(one(7), one(8, 1), at=9), one(7).open_ts)) == ["7:1."]
    assert (found.wants_page, found.known_from) == (True, one(8).open_ts)
    assert told(found.apply_page(snapshot(one(8, 2), at=9), one(8).open_ts)) == []
    assert told(found.apply_page(snapshot(one(8, 2), at=10), one(8).open_ts)) == ["8:2."]
    assert fed(found, one(10)) == ["9:1.", "10:1"]


def test_a_page_does_not_show_that_a_silent_stream_brings_what_follows_it() -> None:
    """The candle that was open in the page is closed with the content of the next page, and those after it come from there, too."""
    found = sequence(pages=True, begins_with_page=True)
    found.apply_page(snapshot(at=1), 0)
    fed(found, one(7))
    found.stalled_ts = 20
    found.doubt(20)

    assert found.wants_page
    assert told(found.apply_page(snapshot(one(7, 2), one(8, 1), at=21), one(7).open_ts)) == ["7:2.", "8:1"]
    assert not found.wants_page  # it would be the same
    assert fed(found, one(11, at=30)) == ["11:1"]
    assert found.wants_page
    rows = one(8, 4), one(9, 5), one(11, 1)
    assert told(found.apply_page(snapshot(*rows, at=31), one(8).open_ts)) == ["8:4.", "9:5."]


def test_a_page_that_does_not_reach_back_leaves_a_gap() -> None:
    """Then what it has, and what was held."""
    found = sequence(pages=True)
    fed(found, one(7))
    found.interrupt(7)
    found.confirmed = True
    fed(found, one(19), one(20))

    assert told(found.apply_page(snapshot(one(18), one(19), one(20), at=21), one(18).open_ts)) == ["gap 7-21", "18:1.", "19:1."]


def test_without_a_page_the_rest_goes_on_after_a_gap() -> None:
    """When too many candles are held, or the requests are given up."""
    given_up, full = sequence(pages=True), sequence(pages=True)
    for found in (given_up, full):
        fed(found, one(7))
        found.interrupt(7)
        found.confirmed = True

    fed(given_up, one(9), one(10))
    assert told(given_up.end_waiting(11)) == ["gap 7-11", "9:1."]
    assert fed(given_up, one(11), one(7, 5, at=12)) == ["10:1.", "11:1"]
    lines = fed(full, *(one(number) for number in range(9, 30)))
    assert [line for line in lines if line.startswith("gap")] == ["gap 7-18"]
    assert [line for line in lines if line.endswith(".")] == [f"{number}:1." for number in range(9, 29)]


def test_an_update_that_was_overtaken_is_dropped() -> None:
    """Two connections overlap, and one is behind. A closed candle is the venue's last word, whenever it comes."""
    found = sequence()
    fed(found, one(7, 1, at=10), one(7, 3, at=12))

    assert fed(found, one(7, 2, at=11), one(7, 4, at=11, closed=True), one(7, 3, at=12)) == ["7:4.", "7:3.1"]


@pytest.mark.parametrize(
    ("tape", "lines"),
    [
        (None, ["5:1.", "6:1.", "7:1.", "8:1"]),
        (one(6, 1), ["6:1.", "7:1.", "8:1"]),
        (one(7, 1, closed=True), ["8:1"]),
        (one(7, 9, closed=True), ["7:1.1", "8:1"]),
        (one(8, 1), []),
        (one(8, 7), ["8:1"]),
        (one(8, 7, closed=True), []),
        (one(2), ["gap 2-8", "5:1.", "6:1.", "7:1.", "8:1"]),
    ],
)
def test_a_replica_continues_after_the_last_candle_on_the_tape(tape: Candle | None, lines: list[str]) -> None:
    """What the other replica has published is not published again, what it has not is; revisions count on from its own."""
    found = sequence()
    fed(found, one(5), one(6), one(7), one(8))

    assert told(found.continue_after(tape, 9)) == lines


def test_what_was_held_is_published_once_by_a_replica_that_takes_over() -> None:
    """A standby fetches no pages, so it may hold candles; the tape of the other replica takes the place of the page."""
    found = sequence(pages=True, begins_with_page=True)
    assert fed(found, one(6), one(7)) == ["6:1", "7:1"]

    assert told(found.continue_after(one(6, 1), 8)) == ["6:1.", "7:1"]
    assert not found.wants_page
    assert fed(found, one(8)) == ["7:1.", "8:1"]


def test_at_the_start_of_a_tape_one_candle_is_held() -> None:
    """Nothing can be missing before it: past candles are only welcome."""
    found = sequence(pages=True, begins_with_page=True)

    assert fed(found, one(6), one(7), one(8)) == ["6:1", "7:1", "6:1.", "7:1.", "8:1"]
    assert not found.wants_page


def test_a_page_of_many_is_followed_by_the_next() -> None:
    """Until the last one the newest row is not the venue's last word. If none follows, what is missing from there on is a gap."""
    asked, alone = sequence(pages=True, begins_with_page=True), sequence(pages=True, begins_with_page=True)
    for found in (asked, alone):
        found.seed(one(3, at=3))
        assert told(found.apply_page(snapshot(one(3), one(4), one(5), at=20), one(3).open_ts, more=True)) == ["3:1.", "4:1."]
        assert (found.wants_page, found.known_from) == (True, one(5).open_ts)

    assert told(asked.apply_page(snapshot(one(5, 2), one(6), at=20), one(5).open_ts)) == ["5:2.", "6:1"]
    assert fed(asked, one(7, at=21)) == ["6:1.", "7:1"]
    assert fed(alone, one(9, at=21)) == ["9:1"]
    assert told(alone.end_waiting(22)) == ["gap 22-22"]


class Minute(NamedTuple):
    """What a venue says of one interval, in order; and a correction of it during the next, or none."""

    number: int
    volumes: tuple[int, ...]
    correction: int | None


@st.composite
def markets(draw: st.DrawFn) -> list[Minute]:
    """Intervals, some of them empty, with a volume for each of their frames."""
    numbers = sorted(draw(st.sets(st.integers(1, 40), min_size=1, max_size=12)))
    volumes = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)
    return [Minute(number, draw(volumes), draw(st.one_of(st.none(), st.integers(10, 12)))) for number in numbers]


@given(markets(), st.data(), st.booleans(), st.booleans())
def test_each_closed_candle_once_and_in_order(market: list[Minute], data: st.DataObject, flags: bool, rest: bool) -> None:
    """However the stream is split by reconnects, and whatever is sent twice: closed candles ascend and come once per revision.

    The last revision is what the venue said last. With pages or snapshots that reach back, none is missing.
    """
    found = sequence(pages=rest, begins_with_page=rest)
    tape: list[Event] = []
    past: dict[int, Candle] = {}
    now = 0

    def catch_up() -> None:
        rows = [past[number] for number in sorted(past)]
        if rest and found.wants_page:
            since = found.known_from or 0
            tape.extend(found.apply_page(snapshot(*(row for row in rows if row.open_ts >= since), at=now), since))
        elif not rest and rows:
            tape.extend(found.apply_snapshot(snapshot(*rows, at=now)))

    connected = data.draw(st.booleans())
    if connected:
        catch_up()
    for minute, following in zip(market, [*market[1:], None], strict=True):
        said = [(volume, False) for volume in minute.volumes] + ([(minute.volumes[-1], True)] if flags else [])
        for volume, closed in said:
            now += 1
            frame = past[minute.number] = one(minute.number, volume, at=now, closed=closed)
            if connected:
                tape.extend(found.accept(frame))
                if data.draw(st.booleans()):
                    tape.extend(found.accept(frame))
            match data.draw(st.sampled_from(["", "", "lost", "back", "page"])):
                case "lost" if connected:
                    found.interrupt(now)
                    connected = False
                case "back" if not connected:
                    connected = found.confirmed = True
                    catch_up()
                case "page" if connected and rest:
                    catch_up()
                case _:
                    pass
        if minute.correction is not None and following is not None and connected and flags:
            now += 1
            past[minute.number] = one(minute.number, minute.correction, at=now, closed=True)
            tape.extend(found.accept(past[minute.number]))
    end = past[50] = one(50, at=now + 1)
    if not connected:
        found.confirmed = True
        catch_up()
    tape.extend(found.accept(end))
    catch_up()

    check(tape, past)


def check(tape: Sequence[Event], past: dict[int, Candle]) -> None:
    """Closed candles ascend, come once per revision, and end as the venue says; there is no gap. Candle 50 is still running."""
    ended = [event for event in tape if isinstance(event, Candle) and event.closed]
    firsts = [event.open_ts for event in ended if event.revision == 0]
    assert firsts == sorted(set(firsts))
    assert len({(event.open_ts, event.revision) for event in ended}) == len(ended)
    newest = {event.open_ts: event.volume for event in ended}
    begun = min(newest, default=0)
    assert newest == {row.open_ts: row.volume for number, row in past.items() if number < 50 and row.open_ts >= begun}
    assert not [event for event in tape if isinstance(event, Gap)]
