"""Order books: their levels, and the checks that keep them correct."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.feeds.books import order_book, probe, snapshot_need, update_buffer
from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.ladder import ImpossibleLevelError, Ladder
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.venues.binance import stream
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.spec import BookRule
from crosstape_schemas import GapCause, Instrument, Level


def levels(text: str) -> tuple[Level, ...]:
    """`price:size price:size`."""
    return tuple((Decimal(price), Decimal(size)) for price, size in (pair.split(":") for pair in text.split()))


def snapshot(bids: str, asks: str, sequence: int | None = None, *, checksum: int | None = None, limit: int | None = None) -> BookSnapshot:
    """A snapshot of instrument X, received at 1."""
    return BookSnapshot("X", None, 1, levels(bids), levels(asks), sequence, checksum, limit=limit)


def update(bids: str = "", asks: str = "", first: int | None = None, last: int | None = None, *, checksum: int | None = None) -> BookUpdate:
    """An update of instrument X, received at its last number (or at 2)."""
    return BookUpdate("X", None, last or 2, levels(bids), levels(asks), first, last, checksum=checksum)


BY_REST = BookRule(snapshot="rest", bridges=stream.chain, follows=stream.chain)
IN_STREAM = BookRule(snapshot="stream")


def sum_of_sizes(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """A checksum that is easy to compute by hand."""
    return int(sum(size for _, size in (*bids, *asks)))


CHECKED = BookRule(snapshot="stream", checksum=sum_of_sizes, truncates=True)


def synced(rule: BookRule = BY_REST, *, at: int = 100) -> OrderBook:
    """A live book with this number: bids 10 and 9, asks 11 and 12, all of size 1."""
    sync = OrderBook(rule, 2)
    assert sync.apply_snapshot(snapshot("10:1 9:1", "11:1 12:1", at)) is Outcome.SYNCED
    return sync


# ---- one side


@given(
    changes=st.lists(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=6), max_size=12),
    best_last=st.booleans(),
    depth=st.integers(1, 6),
)
def test_a_ladder_is_what_a_plain_dict_would_be(changes: list[list[tuple[int, int]]], *, best_last: bool, depth: int) -> None:
    """After any changes it has the same levels, best first, and the same cut."""
    ladder, plain = Ladder(best_last=best_last), dict[Decimal, Decimal]()
    for change in changes:
        rows = [(Decimal(price), Decimal(size)) for price, size in change]
        ladder.apply(rows)
        for price, size in rows:
            if size:
                plain[price] = size
            else:
                plain.pop(price, None)
        expected = sorted(plain.items(), reverse=best_last)
        assert ladder.top(20) == expected
        assert ladder.top(depth) == expected[:depth]
        assert ladder.best() == (expected[0] if expected else None)
        assert sorted(ladder.cut(depth)) == sorted(price for price, _ in expected[depth:])
        plain = dict(expected[:depth])
        assert ladder.top(20) == expected[:depth]
        assert ladder.prices == sorted(ladder.sizes)


def test_one_price_is_one_level_however_it_is_written() -> None:
    """Some venues add trailing zeros."""
    ladder = Ladder(levels("1.10:2"), best_last=True)

    ladder.apply(levels("1.1:0.0"))

    assert ladder.best() is None


def test_a_snapshot_may_hold_levels_without_size() -> None:
    """They are left out."""
    assert Ladder(levels("2:0 1:1"), best_last=True).best() == (Decimal(1), Decimal(1))


@pytest.mark.parametrize("row", ["-1:1", "0:1", "0:0", "1:-1", "NaN:1", "1:NaN", "sNaN:0", "1:Infinity", "Infinity:1"])
def test_an_impossible_level_is_an_error(row: str) -> None:
    """In a snapshot and in an update."""
    with pytest.raises((ImpossibleLevelError, ArithmeticError)):
        Ladder(best_last=True).apply(levels(row))
    with pytest.raises((ImpossibleLevelError, ArithmeticError)):
        Ladder(levels(row), best_last=True)


# ---- a snapshot by REST


def test_updates_wait_for_the_snapshot_and_the_right_ones_follow_it() -> None:
    """Updates that are in the snapshot are dropped; the first one after it must span its number."""
    sync = OrderBook(BY_REST, 10)
    assert sync.apply_update(update("10:5", first=98, last=99)) is Outcome.NOTHING
    assert sync.need.wanted == "start"
    sync.mark_requested()
    assert sync.apply_update(update("10:7", first=100, last=101)) is Outcome.NOTHING
    assert sync.need.wanted is None

    assert sync.apply_snapshot(snapshot("10:6", "11:1", 100)) is Outcome.SYNCED

    assert (sync.levels.bids.best(), sync.sequence) == ((Decimal(10), Decimal(7)), 101)
    assert (sync.checks.links, sync.checks.bridged, sync.checks.snapshots) == (1, 1, 1)
    assert sync.apply_update(update("10:8", first=102, last=102)) is Outcome.APPLIED


def test_a_snapshot_may_come_before_any_update() -> None:
    """In a thin market the snapshot is the book, and the first update must span its number."""
    sync = OrderBook(BY_REST, 10)
    sync.start()
    assert sync.need.wanted == "start"
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:1", "11:1", 100)) is Outcome.SYNCED
    sync.start()
    assert sync.need.wanted is None

    assert sync.apply_update(update("10:9", first=99, last=100)) is Outcome.NOTHING
    assert sync.apply_update(update("10:2", first=101, last=103)) is Outcome.APPLIED
    assert (sync.checks.bridged, sync.checks.skipped) == (1, 1)


def test_a_stream_that_begins_after_the_snapshot_is_a_break() -> None:
    """The changes between them are missing."""
    sync = synced()

    assert sync.apply_update(update("10:2", first=102, last=103)) is Outcome.BROKEN

    assert sync.fault.cause is GapCause.SEQUENCE
    assert not sync.live
    assert sync.apply_snapshot(snapshot("10:3", "11:1", 102)) is Outcome.SYNCED, "the update that broke it is the first of the new run"
    assert sync.levels.bids.best() == (Decimal(10), Decimal(2))


def test_a_snapshot_older_than_the_stream_is_requested_again() -> None:
    """The snapshot may come from a cache."""
    sync = OrderBook(BY_REST, 10)
    sync.apply_update(update("10:5", first=200, last=201))
    sync.mark_requested()

    assert sync.apply_snapshot(snapshot("10:1", "11:1", 100)) is Outcome.NOTHING

    assert sync.need.wanted == "the snapshot is older than the stream"
    sync.mark_requested()
    assert sync.need.attempt == 2
    assert sync.apply_snapshot(snapshot("10:1", "11:1", 199)) is Outcome.SYNCED


def test_a_snapshot_after_a_lost_connection_does_not_go_back_in_time() -> None:
    """It was requested before, or comes from a cache: the published book is newer. A snapshot that is as new is used."""
    sync = synced()
    sync.apply_update(update("10:2", first=101, last=105))
    sync.reset()
    sync.start()
    sync.mark_requested()

    assert sync.apply_snapshot(snapshot("10:1", "11:1", 104)) is Outcome.NOTHING
    assert sync.need.wanted == "the snapshot is older than the stream"
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:2", "11:1", 105)) is Outcome.SYNCED


def test_numbers_that_have_begun_again_on_another_connection_are_shown_by_its_stream() -> None:
    """If an update of the new connection links to a snapshot with a lower number, that snapshot is the venue's book."""
    sync = synced()
    sync.reset()
    sync.start()
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:1", "11:1", 4)) is Outcome.NOTHING
    sync.apply_update(update("10:5", first=5, last=5))
    sync.mark_requested()

    assert sync.apply_snapshot(snapshot("10:1", "11:1", 4)) is Outcome.SYNCED
    assert sync.levels.bids.best() == (Decimal(10), Decimal(5))


def test_buffered_updates_may_break_the_book() -> None:
    """Then the snapshot cannot be used either."""
    sync = OrderBook(BY_REST, 10)
    sync.apply_update(update("12:5", first=101, last=101))
    sync.mark_requested()

    assert sync.apply_snapshot(snapshot("10:1", "11:1", 100)) is Outcome.BROKEN
    assert sync.fault.reason == "crossed"


def test_without_numbers_all_buffered_updates_follow_the_snapshot() -> None:
    """Nothing is proven then, and nothing is lost."""
    sync = OrderBook(BookRule(snapshot="rest"), 10)
    sync.apply_update(update("10:5"))
    sync.mark_requested()

    assert sync.apply_snapshot(snapshot("10:1", "11:1")) is Outcome.SYNCED
    assert sync.levels.bids.best() == (Decimal(10), Decimal(5))


def test_a_gap_in_the_numbers_is_a_break_with_its_count() -> None:
    """The book is wrong from here on; updates are buffered for the next snapshot."""
    sync = synced()
    sync.apply_update(update("10:2", first=101, last=101))

    assert sync.apply_update(update("10:3", first=105, last=106)) is Outcome.BROKEN

    assert (sync.fault.cause, sync.fault.missed, sync.need.wanted) == (GapCause.SEQUENCE, 3, "sequence")
    assert sync.apply_update(update("10:4", first=107, last=107)) is Outcome.NOTHING
    assert sync.apply_snapshot(snapshot("10:9", "11:1", 106)) is Outcome.SYNCED
    assert sync.levels.bids.best() == (Decimal(10), Decimal(4))


def test_a_second_gap_after_a_break_is_seen_too() -> None:
    """The numbers of the stream continue while there is no book."""
    sync = synced()
    sync.apply_update(update("10:2", first=101, last=101))
    sync.apply_update(update("10:3", first=105, last=106))
    sync.apply_update(update("10:4", first=110, last=111))

    assert sync.apply_snapshot(snapshot("10:9", "11:1", 105)) is Outcome.NOTHING
    assert sync.apply_snapshot(snapshot("10:9", "11:1", 109)) is Outcome.SYNCED


def test_a_gap_while_waiting_drops_the_updates_before_it() -> None:
    """A snapshot from before the gap is older than the stream then."""
    sync = OrderBook(BY_REST, 10)
    sync.apply_update(update("10:1", first=100, last=101))
    sync.mark_requested()
    assert sync.apply_update(update("10:2", first=110, last=111)) is Outcome.NOTHING

    assert sync.apply_snapshot(snapshot("10:9", "11:1", 99)) is Outcome.NOTHING, "what lies before the gap would follow it"
    assert sync.apply_snapshot(snapshot("10:9", "11:1", 101)) is Outcome.NOTHING
    assert sync.apply_snapshot(snapshot("10:9", "11:1", 110)) is Outcome.SYNCED
    assert (sync.checks.holes, sync.checks.refused) == (1, 2)


def test_an_update_that_the_book_holds_already_is_skipped() -> None:
    """A second connection would send it again."""
    sync = synced()
    sync.apply_update(update("10:2", first=101, last=105))

    assert sync.apply_update(update("10:7", first=103, last=104)) is Outcome.NOTHING
    assert sync.apply_update(update("10:3", first=106, last=106)) is Outcome.APPLIED
    assert sync.checks.skipped == 1


SECOND = 1_000_000_000


def at(seconds: float, number: int, *, clock: bool = True, size: int = 1) -> BookUpdate:
    """A change of the bid at 10, sent and received at this time; without a venue time if the venue has none."""
    ts = int((1_000 + seconds) * SECOND)
    return BookUpdate("X", ts if clock else None, ts, ((Decimal(10), Decimal(size)),), (), number, number)


def test_numbers_that_begin_again_are_a_break() -> None:
    """An update cannot be older by its number and newer by the venue's clock. From then on the new numbers count, by REST too."""
    sync = synced()
    sync.apply_update(at(0, 101))

    assert sync.apply_update(at(2, 1)) is Outcome.BROKEN

    assert (sync.fault.cause, sync.fault.missed, sync.fault.reason) == (GapCause.SEQUENCE, None, "the venue's numbers began again")
    assert sync.apply_update(at(2.1, 2, size=7)) is Outcome.NOTHING
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:1", "11:1", 1)) is Outcome.SYNCED
    assert (sync.levels.bids.best(), sync.sequence) == ((Decimal(10), Decimal(7)), 2)
    assert sync.apply_update(at(2.2, 3)) is Outcome.APPLIED


def test_numbers_that_begin_again_while_a_snapshot_is_awaited_count_from_there() -> None:
    """The updates buffered before them are dropped."""
    sync = OrderBook(BY_REST, 10)
    sync.apply_update(at(0, 101))
    sync.mark_requested()

    assert sync.apply_update(at(2, 1)) is Outcome.NOTHING
    assert sync.apply_update(at(2.1, 2)) is Outcome.NOTHING

    assert sync.apply_snapshot(snapshot("10:5", "11:1", 1)) is Outcome.SYNCED
    assert sync.sequence == 2


@pytest.mark.parametrize(("restarts", "made_ts", "number"), [(True, 60, 2), (True, 40, 100), (False, 60, 100)])
def test_a_later_snapshot_with_a_lower_number_replaces_the_book_where_numbers_begin_again(
    *, restarts: bool, made_ts: int, number: int
) -> None:
    """By the venue's time. Elsewhere, and without a later time, it is a repetition, of a book that has gone on."""
    sync = OrderBook(BookRule(snapshot="stream", follows=stream.chain, restarts=restarts), 10)
    sync.apply_snapshot(msgspec.structs.replace(snapshot("9:1", "11:1", 99), venue_ts=40))
    sync.apply_update(msgspec.structs.replace(update("9:2", "", 100, 100), venue_ts=50))
    sync.apply_snapshot(msgspec.structs.replace(snapshot("8:1", "12:1", 1), venue_ts=made_ts))
    if number == 2:
        sync.apply_update(update("8:2", "", 2, 2))

    assert sync.live
    assert sync.sequence == number


def test_old_updates_are_skipped_however_many() -> None:
    """A connection that takes over, or a new subscription, may begin with known updates: those of half a minute at once."""
    sync = synced()
    for number in range(101, 401):
        sync.apply_update(at(number / 10, number))

    for number in range(101, 401):
        assert sync.apply_update(at(number / 10, number)) is Outcome.NOTHING

    assert sync.apply_update(at(41, 401)) is Outcome.APPLIED
    assert sync.checks.skipped == 300


@pytest.mark.parametrize("clock", [True, False], ids=["a clock that goes back too", "no clock"])
def test_nothing_but_old_numbers_for_a_minute_is_a_break(*, clock: bool) -> None:
    """With or without a venue time: a book must not stand still and stay live."""
    sync = synced()
    sync.apply_update(at(0, 101, clock=clock))

    late = [msgspec.structs.replace(at(number, number, clock=clock), venue_ts=number if clock else None) for number in range(1, 63)]
    outcomes = [sync.apply_update(one) for one in late]

    assert outcomes == [Outcome.NOTHING] * 61 + [Outcome.BROKEN]


def test_an_old_update_between_good_ones_does_no_harm_however_long_it_goes_on() -> None:
    """Two parallel connections would send such updates."""
    sync = synced()
    for number in range(101, 301):
        assert sync.apply_update(at(number, number, clock=False)) is Outcome.APPLIED
        assert sync.apply_update(at(number, number, clock=False)) is Outcome.NOTHING


def test_a_stream_that_does_not_reach_its_snapshot_is_a_break() -> None:
    """A snapshot may be ahead for a moment only: its number was of another numbering."""
    sync = synced(at=1_000_000)

    outcomes = [sync.apply_update(at(second, 101 + second)) for second in range(12)]

    assert outcomes == [Outcome.NOTHING] * 11 + [Outcome.BROKEN]
    assert sync.need.wanted == sync.fault.reason == "the stream does not reach the snapshot"


def test_a_silent_book_that_rest_confirms_is_quiet() -> None:
    """The book stays, and the probe is not counted as an attempt."""
    sync = synced()
    before = sync.need.attempt
    sync.start_probe()
    assert sync.need.wanted == snapshot_need.PROBE
    sync.mark_requested()

    assert sync.apply_snapshot(snapshot("10:1 9:1", "11:1 12:1", 100)) is Outcome.QUIET

    assert (sync.need.attempt, sync.checks.quiet, sync.checks.snapshots) == (before, 1, 1)
    sync.start_probe()
    assert sync.need.wanted == snapshot_need.PROBE, "it can be asked again"


def probed(answer: BookSnapshot, sync: OrderBook | None = None) -> tuple[OrderBook, Outcome]:
    """A book with this answer to a probe."""
    sync = sync or synced()
    sync.start_probe()
    assert sync.need.wanted == snapshot_need.PROBE
    sync.mark_requested()
    return sync, sync.apply_snapshot(answer)


def test_a_newer_book_by_rest_proves_nothing_of_the_stream() -> None:
    """The stream has a second to bring the change. Then it is refuted: REST's book is published, and no answer of REST makes it live."""
    sync, outcome = probed(snapshot("10:4", "11:1", 105))
    assert outcome is Outcome.NOTHING
    assert sync.overdue(probe.GRACE_NS) is None
    newer = sync.overdue(1 + probe.GRACE_NS)
    assert newer is not None

    assert sync.refute(newer) is Outcome.SYNCED

    assert sync.probe.refuted
    assert sync.levels.bids.best() == (Decimal(10), Decimal(4))
    sync.start_probe()
    assert sync.need.wanted is None, "nothing that REST says would be a proof"
    assert sync.apply_update(at(0, 106)) is Outcome.APPLIED


def test_a_stream_that_brings_the_change_in_time_is_not_refuted() -> None:
    """REST may be ahead by the stream's delay."""
    sync, _ = probed(snapshot("10:4", "11:1", 105))
    sync.apply_update(update("10:4", first=101, last=105))

    assert sync.overdue(10 * probe.GRACE_NS) is None
    _, outcome = probed(snapshot("10:4 9:1", "11:1 12:1", 105), sync)
    assert outcome is Outcome.QUIET


def test_a_snapshot_is_compared_with_the_stream_not_with_the_snapshot_before() -> None:
    """A fetched book may be newer than its stream: an equal second one proves nothing of the stream."""
    sync = synced()
    sync.apply_update(update("10:2", first=101, last=101))
    sync.need.wanted = "the market has left the range of the snapshot"
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:3", "11:1", 110)) is Outcome.SYNCED

    sync, outcome = probed(snapshot("10:3", "11:1", 110), sync)

    assert outcome is Outcome.NOTHING
    assert sync.overdue(1 + probe.GRACE_NS) is not None
    assert sync.checks.quiet == 0


@pytest.mark.parametrize(("bids", "asks"), [("", ""), ("10:1 9:1", ""), ("10:1 9:2", "11:1 12:1"), ("10:1", "11:1 12:1")])
def test_a_book_of_the_same_number_with_other_levels_refutes_the_stream_at_once(bids: str, asks: str) -> None:
    """An empty answer does not prove a quiet market."""
    sync, outcome = probed(snapshot(bids, asks, 100))

    assert outcome is Outcome.NOTHING
    assert sync.overdue(2) is not None


def test_an_older_book_by_rest_is_requested_again() -> None:
    """It comes from a cache, and proves nothing."""
    sync = synced()
    sync.apply_update(update("10:2", first=101, last=101))

    sync, outcome = probed(snapshot("10:1 9:1", "11:1 12:1", 100), sync)

    assert outcome is Outcome.NOTHING
    assert sync.need.wanted == "the snapshot is older than the stream"
    assert sync.checks.quiet == 0
    assert sync.overdue(10 * probe.GRACE_NS) is None


def test_a_stream_stays_refuted_on_another_connection_until_it_has_data() -> None:
    """The new connection proves nothing of the stream either."""
    sync, _ = probed(snapshot("10:4", "11:1", 105))
    newer = sync.overdue(1 + probe.GRACE_NS)
    assert newer is not None
    sync.refute(newer)
    sync.reset()
    sync.start()
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:5", "11:1", 106)) is Outcome.SYNCED
    assert sync.probe.refuted

    sync.reset()
    sync.apply_update(update("10:6", first=107, last=107))
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:5", "11:1", 106)) is Outcome.SYNCED
    assert not sync.probe.refuted


def test_a_book_never_steps_back_to_a_snapshot_that_is_newer_than_its_stream_only() -> None:
    """The stream is at 101, and the book by REST at 163: an answer with 160 is older than the book."""
    sync = synced()
    sync.apply_update(at(0, 101))
    sync.need.wanted = "the market has left the range of the snapshot"
    sync.mark_requested()
    sync.apply_snapshot(snapshot("10:3", "11:1", 163))
    for lost in (False, True):
        if lost:
            sync.reset()
            sync.apply_update(at(0, 158))
        else:
            sync.need.wanted = "once more"
        sync.mark_requested()

        assert sync.apply_snapshot(snapshot("10:9", "11:1", 160)) is Outcome.NOTHING
        assert sync.need.wanted == "the snapshot is older than the stream"
        sync.need.wanted = None


def test_a_checksum_may_be_of_the_venues_own_sizes() -> None:
    """Of contracts: the rule is made for the instrument."""
    instrument = Instrument("X-Y-PERP", "v", "XY", "X", "Y", contract_size=Decimal("0.1"))
    rule = BookRule(snapshot="stream", checksum_of=lambda one: lambda bids, asks: int(sum_of_sizes(bids, asks) / one.contract_size))
    sync = OrderBook(rule.of(instrument), 100)

    assert sync.apply_snapshot(snapshot("10:3", "11:4", checksum=70)) is Outcome.SYNCED
    assert sync.apply_update(update("10:5", checksum=70)) is Outcome.BROKEN
    assert CHECKED.of(instrument) is CHECKED


@pytest.mark.parametrize("checked", [1, 10, 25])
def test_a_checksum_is_of_as_many_levels_as_the_venue_says(checked: int) -> None:
    """Of a side with more levels than that, the others do not count."""
    sync = OrderBook(BookRule(snapshot="stream", checksum=sum_of_sizes, checksum_levels=checked), 100)
    bids, asks = (" ".join(f"{price}:1" for price in prices) for prices in (range(1, 31), range(31, 61)))

    assert sync.apply_snapshot(snapshot(bids, asks, checksum=2 * checked)) is Outcome.SYNCED
    assert sync.apply_update(update("30:5", checksum=2 * checked + 4)) is Outcome.APPLIED
    assert sync.apply_update(update("29.5:1", checksum=61)) is Outcome.BROKEN


def test_a_snapshot_without_the_checksum_of_the_rule_starts_the_book_unproven() -> None:
    """It is counted, and the next update with a checksum proves the book or breaks it."""
    sync = OrderBook(CHECKED, 2)
    assert sync.apply_snapshot(snapshot("10:1", "11:1")) is Outcome.SYNCED
    assert (sync.checks.unchecked, sync.checks.checksums_ok) == (1, 0)

    assert sync.apply_update(update("10:2", checksum=3)) is Outcome.APPLIED
    assert sync.checks.checksums_ok == 1
    assert sync.apply_update(update("10:2", checksum=9)) is Outcome.BROKEN


def test_only_a_live_book_by_rest_can_be_probed() -> None:
    """Any other book waits for a snapshot already, or gets it from its stream."""
    for sync in (OrderBook(BY_REST, 10), synced(IN_STREAM)):
        sync.start_probe()
        assert sync.need.wanted is None


def test_updates_without_numbers_cannot_be_linked() -> None:
    """They break a book whose rule needs numbers."""
    sync = synced()
    sync.apply_update(update(first=101, last=101))

    assert sync.apply_update(update("10:7")) is Outcome.BROKEN
    assert sync.fault.missed is None


def test_the_buffer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, all updates are dropped and the snapshot is requested again."""
    monkeypatch.setattr(update_buffer, "CAPACITY", 10)
    sync = OrderBook(BY_REST, 10)
    sync.apply_update(update("10:1 9:1 8:1", first=1, last=1))
    sync.mark_requested()
    sync.apply_update(update("10:1 9:1 8:1", first=2, last=2))

    assert sync.apply_update(update("10:1 9:1 8:1", first=3, last=3)) is Outcome.BROKEN

    assert sync.fault.cause is GapCause.OVERFLOW
    assert sync.need.wanted is not None
    sync.mark_requested()
    sync.apply_update(update("10:4", first=4, last=4))
    assert sync.apply_snapshot(snapshot("10:1", "11:1", 3)) is Outcome.SYNCED


def test_a_snapshot_that_was_not_requested_changes_nothing() -> None:
    """A recording may have more snapshots than were needed."""
    sync = synced()

    assert sync.apply_snapshot(snapshot("10:5", "11:5", 100)) is Outcome.NOTHING
    assert sync.checks.unused == 1


# ---- a snapshot that does not tell all


def renewing() -> OrderBook:
    """A live book whose market has left the range of its snapshot; a new one is requested."""
    sync = OrderBook(BY_REST, 10)
    sync.apply_snapshot(snapshot("10:1 9:1", "11:1 12:1", 100, limit=2))
    assert sync.check_range() is Outcome.APPLIED
    assert sync.need.wanted is None
    sync.apply_update(update("8:1", first=101, last=101))
    assert sync.check_range() is Outcome.APPLIED
    assert sync.need.wanted is not None
    sync.mark_requested()
    return sync


def test_beyond_the_range_of_a_snapshot_it_is_renewed_while_the_book_is_live() -> None:
    """Levels beyond the range are unknown until they change. The renewed book has all levels."""
    sync = renewing()
    sync.check_range()
    assert sync.need.wanted is None, "asked once"
    assert sync.apply_update(update("10:3", first=102, last=102)) is Outcome.APPLIED

    assert sync.apply_snapshot(snapshot("10:1 9:1 8:1 7:4", "11:1 12:1", 101)) is Outcome.SYNCED

    assert sync.live
    assert sync.levels.bids.top(9) == list(levels("10:3 9:1 8:1 7:4"))
    assert sync.apply_update(update("10:4", first=103, last=103)) is Outcome.APPLIED


def test_a_renewal_that_is_too_old_leaves_the_book_as_it_is() -> None:
    """The snapshot is requested again."""
    sync = renewing()
    sync.apply_update(update("10:3", first=102, last=102))

    assert sync.apply_snapshot(snapshot("10:1", "11:1", 90)) is Outcome.NOTHING

    assert sync.live
    assert sync.need.wanted == "the snapshot is older than the stream"
    assert sync.apply_update(update("10:4", first=103, last=103)) is Outcome.APPLIED


def test_a_renewal_does_not_take_a_quiet_book_back_in_time() -> None:
    """A cache may answer with an older book while no update comes: ours is newer."""
    sync = renewing()
    before = sync.sequence, sync.levels.bids.top(5), sync.levels.asks.top(5)
    assert sync.sequence is not None

    assert sync.apply_snapshot(snapshot("1:1", "99:1", sync.sequence - 1)) is Outcome.NOTHING
    assert sync.live
    assert (sync.sequence, sync.levels.bids.top(5), sync.levels.asks.top(5)) == before
    assert sync.need.wanted == "the snapshot is older than the stream"


def test_a_renewal_that_takes_too_long_is_requested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer ends the renewal, but not the book."""
    sync = renewing()
    monkeypatch.setattr(update_buffer, "CAPACITY", 3)
    sync.apply_update(update("10:3", first=102, last=102))

    assert sync.apply_update(update("10:4", first=103, last=103)) is Outcome.APPLIED

    assert sync.live
    sync.check_range()
    assert sync.need.wanted is not None


def test_an_empty_published_side_is_out_of_range_too() -> None:
    """The levels where the market is now are unknown."""
    sync = OrderBook(BY_REST, 10)
    sync.apply_snapshot(snapshot("10:1", "11:1", 100, limit=1))
    sync.apply_update(update("10:0", first=101, last=101))

    sync.check_range()

    assert sync.need.wanted is not None


# ---- a snapshot in the stream


def test_updates_without_a_snapshot_are_dropped() -> None:
    """There is no book to apply them to."""
    sync = OrderBook(IN_STREAM, 10)
    sync.start()

    assert sync.apply_update(update("10:1")) is Outcome.NOTHING
    assert (sync.checks.unproven, sync.need.wanted) == (1, None)


def test_a_lost_snapshot_is_requested_again() -> None:
    """Its frame may be one that could not be used; updates alone never make a book."""
    sync = OrderBook(IN_STREAM, 10)
    later = order_book.PATIENCE_NS + 1

    sync.apply_update(update("10:1", last=1))
    sync.apply_update(update("10:1", last=later))
    assert sync.need.wanted is None

    sync.apply_update(update("10:1", last=later + 1))
    assert sync.need.wanted == "no snapshot came"
    sync.mark_requested()
    sync.apply_update(update("10:1", last=later + 2))
    assert sync.need.wanted is None
    assert sync.apply_snapshot(snapshot("10:1", "11:1")) is Outcome.SYNCED


def test_a_second_snapshot_replaces_the_first() -> None:
    """A snapshot in the stream may come at any time."""
    sync = synced(IN_STREAM)

    assert sync.apply_snapshot(snapshot("5:1", "6:1")) is Outcome.SYNCED
    assert sync.levels.bids.top(9) == list(levels("5:1"))


def test_a_crossed_book_is_broken() -> None:
    """A best bid at or above the best ask shows that a change was missed, even if the numbers are right."""
    sync = synced(IN_STREAM)

    assert sync.apply_update(update("11:1")) is Outcome.BROKEN

    assert (sync.fault.reason, sync.need.wanted, sync.checks.crossed) == ("crossed", "crossed", 1)
    assert sync.apply_snapshot(snapshot("7:1", "6:1")) is Outcome.BROKEN
    assert not sync.live


def test_an_impossible_level_breaks_the_book() -> None:
    """A part of the frame may be applied, so no level can be trusted."""
    sync = synced(IN_STREAM)

    assert sync.apply_update(update("9:5", "12:NaN")) is Outcome.BROKEN
    assert sync.apply_snapshot(snapshot("9:-1", "12:1")) is Outcome.BROKEN
    assert sync.checks.impossible == 2


def test_a_checksum_proves_each_frame_after_the_cut() -> None:
    """Levels beyond the depth are reported as removed."""
    sync = OrderBook(CHECKED, 2)
    assert sync.apply_snapshot(snapshot("10:1 9:2 8:50", "11:1", checksum=4)) is Outcome.SYNCED

    assert sync.apply_update(update("9.5:5", checksum=7)) is Outcome.APPLIED

    assert sync.levels.bids.top(9) == list(levels("10:1 9.5:5"))
    assert sync.levels.removed == (levels("9:0"), ())
    assert sync.checks.checksums_ok == 2
    assert sync.apply_update(update("9.5:6", checksum=7)) is Outcome.BROKEN
    assert (sync.fault.cause, sync.checks.checksums_bad) == (GapCause.CHECKSUM, 1)


def test_a_snapshot_that_fails_its_checksum_is_not_used() -> None:
    """It is requested again, as the second attempt."""
    sync = OrderBook(CHECKED, 2)
    assert sync.apply_snapshot(snapshot("10:1", "11:1", checksum=3)) is Outcome.BROKEN
    sync.mark_requested()
    assert sync.apply_snapshot(snapshot("10:1", "11:1", checksum=3)) is Outcome.BROKEN
    sync.mark_requested()
    assert sync.need.attempt == 2


def test_the_acknowledged_depth_is_the_one_that_is_cut_at() -> None:
    """A recording may have another depth than ours."""
    sync = OrderBook(CHECKED, 2)

    sync.apply_snapshot(BookSnapshot("X", None, 1, levels("10:1 9:1 8:1 7:1"), (), depth=3))

    assert len(sync.levels.bids.prices) == 3


def test_a_book_that_was_live_for_a_while_counts_its_attempts_from_1() -> None:
    """A book that breaks at once again does not: the pauses must grow."""
    sync = synced(IN_STREAM)
    for attempt in (1, 2, 3):
        assert sync.invalidate(GapCause.SEQUENCE, "elsewhere")
        sync.mark_requested()
        assert sync.need.attempt == attempt
        sync.apply_snapshot(snapshot("10:1", "11:1"))
    for _ in range(snapshot_need.SETTLED):
        sync.apply_update(update("10:2"))
    sync.invalidate(GapCause.SEQUENCE, "elsewhere")
    sync.mark_requested()

    assert sync.need.attempt == 1
    assert not sync.invalidate(GapCause.SEQUENCE, "broken already")


def test_counts_have_names() -> None:
    """As the summary and the metrics show them."""
    counts = synced().checks.counts()

    assert counts["snapshots"] == 1
    assert set(counts) >= {"links", "bridged", "checksums_ok", "checksums_bad", "crossed"}


def timed(ts: int, bids: str, checksum: int) -> BookUpdate:
    """A book of a venue with times and checksums, but without numbers."""
    return BookUpdate("X", ts, ts, levels(bids), (), checksum=checksum)


IN_ORDER = msgspec.structs.replace(CHECKED, ordered=True)


def test_an_update_that_was_overtaken_is_a_break() -> None:
    """The later update may have hidden its change, and then even the checksum of the earlier one is right:

    the book would go back in time.
    """
    sync = synced(IN_ORDER)
    assert sync.apply_update(timed(5, "10:3", 6)) is Outcome.APPLIED
    assert sync.apply_update(timed(7, "10:7", 10)) is Outcome.APPLIED
    assert sync.apply_update(timed(7, "10:7", 10)) is Outcome.APPLIED, "a repetition does no harm"

    assert sync.apply_update(timed(6, "10:4", 7)) is Outcome.BROKEN

    assert (sync.fault.cause, sync.checks.overtaken) == (GapCause.SEQUENCE, 1)


def test_an_overtaken_snapshot_is_requested_once_more() -> None:
    """Only once: the venue's clock may have been set back."""
    sync = synced(IN_ORDER)
    sync.apply_update(timed(7, "10:7", 10))
    old = msgspec.structs.replace(snapshot("10:1", "11:1"), venue_ts=6)

    assert sync.apply_snapshot(old) is Outcome.BROKEN
    assert sync.need.wanted == "a snapshot came after a later update"
    sync.mark_requested()
    assert sync.apply_snapshot(old) is Outcome.SYNCED


def test_a_connection_that_takes_over_may_begin_with_older_frames() -> None:
    """It has kept them while it waited."""
    sync = synced(IN_ORDER)
    sync.apply_update(timed(7, "10:7", 10))

    sync.connection_changed()

    assert sync.apply_snapshot(msgspec.structs.replace(snapshot("10:1", "11:1"), venue_ts=6)) is Outcome.SYNCED


# ---- whatever happens


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["update", "gap", "repeat", "snapshot", "old snapshot"]), st.integers(1, 9), st.integers(0, 3)),
        max_size=40,
    )
)
def test_a_live_book_is_always_the_true_one(steps: list[tuple[str, int, int]]) -> None:
    """Frames may be lost, repeated or late: while our book is live, it has the same levels as the venue's book."""
    truth: list[dict[Decimal, Decimal]] = [{}]  # the bids after each numbered change
    sync = OrderBook(BY_REST, 10)
    last: BookUpdate | None = None
    for what, price, size in steps:
        if what in ("update", "gap"):
            bids = dict(truth[-1])
            if size:
                bids[Decimal(price)] = Decimal(size)
            else:
                bids.pop(Decimal(price), None)
            truth.append(bids)
            number = len(truth) - 1
            last = BookUpdate("X", None, number, ((Decimal(price), Decimal(size)),), (), number, number)
            if what == "update":
                sync.apply_update(last)
        elif what == "repeat" and last is not None:
            sync.apply_update(last)
        elif what != "repeat":
            number = max(0, len(truth) - 1 - (5 if what == "old snapshot" else size))
            if sync.need.wanted is not None:
                sync.mark_requested()
            sync.apply_snapshot(BookSnapshot("X", None, number, tuple(truth[number].items()), (), number))
        if sync.live and sync.sequence is not None:
            assert dict(sync.levels.bids.sizes) == truth[sync.sequence]


@settings(max_examples=500)
@given(steps=st.lists(st.tuples(st.sampled_from(["move", "die", "heal", "ask", "wait", "lose"]), st.integers(0, 2)), max_size=60))
def test_rest_proves_a_silent_stream_only_by_what_the_stream_has_said(steps: list[tuple[str, int]]) -> None:
    """A stream that dies and heals, a market that moves all the same, REST that may be late, connections that are lost.

    Whenever a market is called quiet, the newest number that the stream itself has brought is the one that REST has. And a stream of which
    REST knew more stays refuted until an update of it was taken.
    """
    sync = OrderBook(BY_REST, 10)
    number, heard, alive, now = 100, 100, True, probe.GRACE_NS
    refuted = False

    def begin() -> None:
        nonlocal heard
        sync.reset()
        sync.start()
        while sync.need.wanted is not None:
            sync.mark_requested()
            sync.apply_snapshot(BookSnapshot("X", None, now, levels(f"10:{number}"), levels("99:1"), number))
        heard = number

    begin()
    for what, late in steps:
        now += probe.GRACE_NS // 4
        if what == "move":
            number += 1
            if alive:
                outcome = sync.apply_update(BookUpdate("X", None, now, levels(f"10:{number}"), (), number, number))
                heard = number
                refuted = refuted and outcome is Outcome.NOTHING
                sync.probe.refuted = (
                    sync.probe.refuted and outcome is Outcome.NOTHING
                )  # as `book_feeds` does, which sees what the stream says
        elif what in ("die", "heal"):
            alive = what == "heal"
        elif what == "wait":
            now += 2 * probe.GRACE_NS
        elif what == "lose":
            begin()
        elif sync.live:
            sync.start_probe()
            asked = sync.need.wanted in (snapshot_need.PROBE, snapshot_need.OLDER)  # the question, or once more after an answer of the past
            if sync.need.wanted is not None:
                sync.mark_requested()
            answered = max(100, number - late)
            outcome = sync.apply_snapshot(BookSnapshot("X", None, now, levels(f"10:{answered}"), levels("99:1"), answered))
            if outcome is Outcome.QUIET:
                assert asked
                assert answered == heard
                assert not refuted
        newer = sync.overdue(now)
        if newer is not None:
            assert newer.sequence is not None
            assert newer.sequence > heard
            sync.refute(newer)
            refuted = True
        assert sync.probe.refuted >= refuted
