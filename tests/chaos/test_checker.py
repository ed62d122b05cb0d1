"""The checker finds nothing wrong with a tape that is right, and names what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from crosstape_schemas import Book, Cbbo, Event, FeedState, Gap, GapCause, Quote, Status, Trade
from tests.chaos import sample
from tests.chaos.checker import Bounds, Checker
from tests.chaos.sample import BTC, LATE, START, STEP
from tests.chaos.tape import Entry

BOUNDS = Bounds(transit_s=1.0, fresh_s=2.0)
PATIENT = BOUNDS._replace(fresh_s=20.0)
END = START + (sample.MOVES + 5) * STEP


def found(entries: list[Entry], bounds: Bounds = BOUNDS) -> set[str]:
    """What the checker says of a tape of the sample's market."""
    checker = Checker(sample.market(), bounds)
    return {violation.what for violation in (*checker.take(entries), *checker.take([]), *checker.done(END))}


def of(events: list[Event], kind: type[Event], venue: str) -> list[int]:
    """Where events of one feed are."""
    return [index for index, event in enumerate(events) if type(event) is kind and event.venue == venue]


def changed(events: list[Event], index: int, **fields: object) -> list[Event]:
    """With other fields in one of them."""
    return [*events[:index], msgspec.structs.replace(events[index], **fields), *events[index + 1 :]]


def without(events: list[Event], gone: list[int]) -> list[Event]:
    """Without these."""
    return [event for index, event in enumerate(events) if index not in gone]


def test_a_whole_tape_is_right() -> None:
    """And something was looked at."""
    checker = Checker(sample.market(), BOUNDS)
    entries = sample.entries(sample.tape(sample.market()))

    assert [*checker.take(entries), *checker.take([]), *checker.done(END)] == []
    assert checker.checked == {"quote": 402, "book": 202, "cbbo": 402}


def test_it_may_come_in_pieces() -> None:
    """As a tape does that is followed."""
    checker = Checker(sample.market(), BOUNDS)
    entries = sample.entries(sample.tape(sample.market()))

    assert [violation for index in range(0, len(entries), 7) for violation in checker.take(entries[index : index + 7])] == []
    assert checker.done(END) == []


Corrupt = Callable[[list[Event]], list[Event]]


def _twice(events: list[Event]) -> list[Event]:
    index = of(events, Trade, "kraken")[3]
    return [*events[: index + 5], events[index], *events[index + 5 :]]


def _level(depth: int) -> Corrupt:
    def corrupt(events: list[Event]) -> list[Event]:
        index = of(events, Book, "binance")[20]
        one = events[index]
        assert isinstance(one, Book)
        bids = list(one.bids)
        bids[depth] = bids[depth][0], bids[depth][1] + Decimal("0.001")
        return changed(events, index, bids=tuple(bids))

    return corrupt


def _frozen(events: list[Event]) -> list[Event]:
    return without(events, of(events, Book, "binance")[50:])


def _missing(count: int, *said: Event) -> Corrupt:
    """So many trades less, in the middle, and what is said of it."""

    def corrupt(events: list[Event]) -> list[Event]:
        events = without(events, of(events, Trade, "binance")[5 : 5 + count])
        return sorted([*events, *said], key=lambda event: event.received_ts)

    return corrupt


BEFORE, AFTER = START + 50 * STEP + LATE, START + 90 * STEP + LATE
"""When the trades around three that are missing were received."""


@pytest.mark.parametrize(
    ("corrupt", "what"),
    [
        (lambda events: without(events, of(events, Trade, "kraken")[3:4]), "trades are missing"),
        (_twice, "a trade is there again"),
        (lambda events: changed(events, of(events, Trade, "kraken")[3], price=Decimal("102.01")), "a trade is not as it was"),
        (lambda events: changed(events, of(events, Trade, "kraken")[3], venue_ts=START), "a trade has another time"),
        (lambda events: changed(events, of(events, Trade, "kraken")[-1], trade_id="9999"), "a trade never was"),
        (_level(0), "a price never was"),
        (_level(9), "a price never was"),
        (lambda events: changed(events, of(events, Quote, "kraken")[30], ask_size=Decimal(77)), "a price never was"),
        (lambda events: changed(events, of(events, Quote, "binance")[30], bid_size=Decimal("0.5")), "a price never was"),
        (lambda events: list(sample.alternately(events, "binance", Quote)), "an older price came after a newer"),
        (lambda events: changed(events, of(events, Book, "binance")[30], sequence=1_004), "a price never was"),
        (_frozen, "a price stood too long"),
        (_missing(3), "trades are missing"),
        (_missing(3, sample.gap("binance", 2, BEFORE, AFTER)), "trades are missing"),
        (_missing(3, sample.gap("binance", 4, BEFORE, AFTER)), "a gap tells too much"),
        (_missing(3, sample.gap("binance", None, BEFORE, AFTER)), "a gap does not count"),
        (_missing(3, sample.gap("kraken", 3, BEFORE, AFTER)), "a gap tells too much"),
        (_missing(3, sample.gap("binance", 3, AFTER - STEP, AFTER)), "a missing trade lies outside its gap"),
        (_missing(3, sample.gap("binance", 3, BEFORE - STEP, BEFORE)), "a gap tells too much"),
        (_missing(0, sample.gap("binance", 3, BEFORE, AFTER)), "a gap tells too much"),
    ],
)
def test_what_is_wrong_is_named(corrupt: Corrupt, what: str) -> None:
    """And nothing else is, but what follows from it."""
    assert what in found(sample.entries(corrupt(sample.tape(sample.market()))))


@pytest.mark.parametrize(
    "said",
    [
        [sample.gap("binance", 3, BEFORE, AFTER)],
        [sample.gap("binance", 1, BEFORE, AFTER - 2 * STEP), sample.gap("binance", 2, BEFORE, AFTER)],
    ],
)
def test_what_a_gap_tells_exactly_is_right(said: list[Event]) -> None:
    """Also when two tell it together."""
    assert found(sample.entries(_missing(3, *said)(sample.tape(sample.market())))) == set()


def test_what_comes_late_must_say_so() -> None:
    """A trade of a hole that was told; it is marked, or named."""
    events = sample.tape(sample.market())
    places = of(events, Trade, "binance")
    first, second = events[places[5]], events[places[6]]
    swapped = [*events[: places[5]], second, *events[places[5] + 1 : places[6]], first, *events[places[6] + 1 :]]
    swapped.insert(places[5], sample.gap("binance", 1, BEFORE, second.received_ts))

    assert found(sample.entries(changed(swapped, swapped.index(first), backfilled=True))) == set()
    assert found(sample.entries(swapped)) == {"a gap tells too much"}


def test_a_frozen_book_that_says_so_is_right() -> None:
    """Stale is no lie."""
    events = _frozen(sample.tape(sample.market()))
    stale = Status("binance", BTC, None, START + 110 * STEP, "book", FeedState.STALE)

    assert found(sample.entries([*events, stale])) == set()
    assert found(sample.entries([*events, msgspec.structs.replace(stale, kind="trade")])) == {"a price stood too long"}
    assert found(sample.entries([*events, msgspec.structs.replace(stale, received_ts=END)])) == {"a price stood too long"}


def _received_later(event: Event, seconds: int) -> Event:
    return msgspec.structs.replace(event, received_ts=event.received_ts + seconds * 10**9)


def test_a_slow_machine_is_not_the_fault_of_the_tape() -> None:
    """Everything comes late then, and what has a time of the venue's says by how much."""
    holed = _missing(3, sample.gap("binance", 3, BEFORE, AFTER))(sample.tape(sample.market()))
    late = [_received_later(event, 8) for event in holed]
    told = late.index(next(event for event in late if isinstance(event, Gap)))

    assert found(sample.entries(changed(late, told, from_ts=BEFORE + 8 * 10**9, to_ts=AFTER + 8 * 10**9)), PATIENT) == set()


def test_a_quote_that_is_late_among_others_that_are_not_is_named() -> None:
    """It has no time of its own to say so."""
    events = sample.tape(sample.market())
    place = of(events, Quote, "binance")[50]
    late = [*events[:place], _received_later(events[place], 3), *events[place + 1 :]]

    assert found(sample.entries(late, consolidate=False), PATIENT) == {"a price never was"}


def test_a_clock_may_be_wrong_only_if_that_is_known() -> None:
    """By so much, and no more."""
    events = [
        msgspec.structs.replace(event, venue_ts=event.venue_ts - 5 * 10**9) if event.venue_ts and event.venue == "kraken" else event
        for event in sample.tape(sample.market())
    ]

    assert "a trade has another time" in found(sample.entries(events))
    assert found(sample.entries(events), BOUNDS._replace(skews_s=(-5.0,))) == set()
    assert "a price never was" in found(sample.entries(events), BOUNDS._replace(skews_s=(-6.0,)))


def _numbered(change: Callable[[list[Entry]], list[Entry]]) -> set[str]:
    return found(change(sample.entries(sample.tape(sample.market()))))


def test_a_hole_in_the_numbers_is_named_unless_a_gap_of_the_bus_tells_it() -> None:
    """Exactly."""
    events = sample.tape(sample.market())
    gone = [index for index, entry in enumerate(sample.entries(events, consolidate=False)) if isinstance(entry.event, Quote)][100:103]

    def holed(*said: Event) -> set[str]:
        whole = sample.entries([*events, *said], consolidate=False)
        return found([entry for index, entry in enumerate(whole) if index not in gone])

    lost = sum(events[index].venue == "binance" for index in gone)
    kraken = sample.gap("kraken", 3 - lost, START, END, kind="quote", cause=GapCause.BUS)
    assert holed() == {"numbers are missing"}
    assert holed(sample.gap("binance", lost, START, END, kind="quote", cause=GapCause.BUS), kraken) == set()
    assert holed(sample.gap("binance", lost + 1, START, END, kind="quote", cause=GapCause.BUS), kraken) == {"numbers are missing"}
    assert holed(sample.gap("binance", lost, START, END, kind="quote"), kraken) == {"numbers are missing"}


def test_numbers_that_come_again_are_named() -> None:
    """Of one epoch, and of one that is over."""

    def again(entries: list[Entry]) -> list[Entry]:
        return [*entries[:40], *entries[39:]]

    def older(entries: list[Entry]) -> list[Entry]:
        last = entries[-1]
        return [*entries, last._replace(event=msgspec.structs.replace(last.event, epoch=last.event.epoch - 1, seq=1))]

    assert "a number came again" in _numbered(again)
    assert "an epoch came back" in _numbered(older)


def test_a_beginning_that_the_server_has_given_up_is_no_hole() -> None:
    """If it is known to have."""
    entries = sample.entries(sample.tape(sample.market()))[300:]
    checker = Checker(sample.market(), BOUNDS)

    assert "numbers are missing" in found(entries)
    checker_found = [*checker.take(entries, {entry.stream for entry in entries}), *checker.done(END)]
    assert {violation.what for violation in checker_found} == {"a leg is not the event that it names"}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"bid_price": Decimal("99.99")}, "a consolidated quote is not its legs'"),
        ({"ask_size": Decimal("99.99")}, "a consolidated quote is not its legs'"),
        ({"venues": 1}, "a consolidated quote is not its legs'"),
    ],
)
def test_a_consolidated_quote_is_taken_apart(fields: dict[str, object], what: str) -> None:
    """Into the events that it names."""

    def altered(entries: list[Entry]) -> list[Entry]:
        index = next(index for index, entry in enumerate(entries) if index > 100 and isinstance(entry.event, Cbbo))
        event = msgspec.structs.replace(entries[index].event, **fields)
        return [*entries[:index], entries[index]._replace(event=event), *entries[index + 1 :]]

    def misnamed(entries: list[Entry]) -> list[Entry]:
        index = next(index for index, entry in enumerate(entries) if index > 100 and isinstance(entry.event, Cbbo))
        event = entries[index].event
        assert isinstance(event, Cbbo)
        legs = tuple(msgspec.structs.replace(leg, seq=leg.seq - 1) for leg in event.legs)
        return [*entries[:index], entries[index]._replace(event=msgspec.structs.replace(event, legs=legs)), *entries[index + 1 :]]

    def of_another_kind(entries: list[Entry]) -> list[Entry]:
        index = next(index for index, entry in enumerate(entries) if index > 100 and isinstance(entry.event, Cbbo))
        event = entries[index].event
        assert isinstance(event, Cbbo)
        legs = tuple(msgspec.structs.replace(leg, kind="book") for leg in event.legs)
        return [*entries[:index], entries[index]._replace(event=msgspec.structs.replace(event, legs=legs)), *entries[index + 1 :]]

    assert _numbered(altered) == {what}
    assert _numbered(of_another_kind) == {"a leg is not the event that it names"}
    assert _numbered(misnamed) == {"a leg is not the event that it names"}


def test_a_leg_that_is_not_live_must_not_count() -> None:
    """Whatever its prices are."""
    events = sample.tape(sample.market())
    stale = changed(events, of(events, Quote, "kraken")[100], state=FeedState.STALE)

    assert found(sample.entries(stale)) == {"a leg counts that is not live"}


def _fetched(*said: Event) -> list[Event]:
    """Three trades are missing, which a gap told; then two of them are there, marked, and more is said."""
    events = sample.tape(sample.market())
    late = [events[index] for index in of(events, Trade, "binance")[5:7]]
    events = _missing(3, sample.gap("binance", 3, BEFORE, AFTER))(events)
    fetched = [msgspec.structs.replace(one, backfilled=True, received_ts=AFTER + STEP) for one in late if isinstance(one, Trade)]
    return sorted([*events, *fetched, *said], key=lambda event: event.received_ts)


def _repaired(missed: int, to_ts: int) -> Event:
    """So many came, which were missed until then."""
    return msgspec.structs.replace(sample.gap("binance", missed, BEFORE, to_ts), repaired=True, received_ts=AFTER + STEP)


def test_what_is_told_as_repaired_must_be() -> None:
    """A part of a gap has narrower times; the whole of it has its own; what never was missing cannot come."""
    assert found(sample.entries(_fetched())) == set()
    assert found(sample.entries(_fetched(_repaired(2, AFTER - 1)))) == set()
    assert found(sample.entries(_fetched(_repaired(2, AFTER)))) == {"a gap is called repaired that is not"}
    assert found(sample.entries(_fetched(_repaired(3, AFTER - 1)))) == {"more is told as repaired than came"}
    assert found(sample.entries(_fetched(_repaired(2, AFTER + 1)))) == {"what was repaired was no gap"}
