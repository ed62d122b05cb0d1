"""The checker finds nothing wrong with a tape that is right, and names what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from crosstape_schemas import Book, Cbbo, Event, Exclusion, FeedState, Gap, GapCause, Level, Quote, Status, Trade, Vwap
from tests.chaos import sample
from tests.chaos.checker import Bounds, Checker
from tests.chaos.sample import BTC, LATE, START, STEP
from tests.chaos.tape import Entry
from tests.chaos.true_market import TrueInstrument

BOUNDS = Bounds(transit_s=1.0, fresh_s=2.0)
PATIENT = BOUNDS._replace(fresh_s=20.0)
END = START + (sample.MOVES + 5) * STEP


Market = dict[tuple[str, str], TrueInstrument]


def found(entries: list[Entry], bounds: Bounds = BOUNDS, *, market: Market | None = None, now: int = END, quoted: bool = True) -> set[str]:
    """Returns the rules that the checker finds broken on a tape, by default of the sample's market. `quoted`: an aggregator runs."""
    checker = Checker(sample.market() if market is None else market, bounds, consolidated=quoted)
    return {violation.what for violation in (*checker.take(entries), *checker.take([]), *checker.done(now))}


def of(events: list[Event], kind: type[Event], venue: str) -> list[int]:
    """Returns the indexes of one feed's events."""
    return [index for index, event in enumerate(events) if type(event) is kind and event.venue == venue]


def changed(events: list[Event], index: int, **fields: object) -> list[Event]:
    """Returns the events with some fields of one event changed."""
    return [*events[:index], msgspec.structs.replace(events[index], **fields), *events[index + 1 :]]


def without(events: list[Event], gone: list[int]) -> list[Event]:
    """Without these."""
    return [event for index, event in enumerate(events) if index not in gone]


def test_a_whole_tape_is_right() -> None:
    """And something was looked at."""
    checker = Checker(sample.market(), BOUNDS)
    entries = sample.entries(sample.tape(sample.market()))

    assert [*checker.take(entries), *checker.take([]), *checker.done(END)] == []
    kept = {"candle": 0, "figure": 0, "liquidation": 0}
    assert checker.checked == {"quote": 402, "book": 202, **kept, "cbbo": 402, "leg": 803, "window": 0, "bar": 0, "complete bar": 0}


def test_it_may_come_in_pieces() -> None:
    """The tape may be checked in pieces, as one that is followed is."""
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
    """Removes `count` trades in the middle, and adds the gap that reports them."""

    def corrupt(events: list[Event]) -> list[Event]:
        events = without(events, of(events, Trade, "binance")[5 : 5 + count])
        return sorted([*events, *said], key=lambda event: event.received_ts)

    return corrupt


BEFORE, AFTER = START + 50 * STEP + LATE, START + 90 * STEP + LATE
"""Times at which the trades before and after the three missing ones were received."""


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
    """Also if two gaps report it together."""
    assert found(sample.entries(_missing(3, *said)(sample.tape(sample.market())))) == set()


def test_what_comes_late_must_say_so() -> None:
    """A trade of a reported gap comes late: it must be marked as backfilled."""
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
    """The quote has no time of its own that could show this."""
    events = sample.tape(sample.market())
    place = of(events, Quote, "binance")[50]
    late = [*events[:place], _received_later(events[place], 3), *events[place + 1 :]]

    assert found(sample.entries(late, consolidate=False), PATIENT, quoted=False) == {"a price never was"}


def test_a_clock_may_be_wrong_only_if_that_is_known() -> None:
    """The clock may be wrong by the known error, and by no more."""
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
        return found([entry for index, entry in enumerate(whole) if index not in gone], quoted=False)

    lost = sum(events[index].venue == "binance" for index in gone)
    kraken = sample.gap("kraken", 3 - lost, START, END, kind="quote", cause=GapCause.BUS)
    assert holed() == {"numbers are missing"}
    assert holed(sample.gap("binance", lost, START, END, kind="quote", cause=GapCause.BUS), kraken) == set()
    assert holed(sample.gap("binance", lost + 1, START, END, kind="quote", cause=GapCause.BUS), kraken) == {"numbers are missing"}
    assert holed(sample.gap("binance", lost, START, END, kind="quote"), kraken) == {"numbers are missing"}


def test_numbers_that_come_again_are_named() -> None:
    """Numbers of the present epoch, and of an earlier one."""

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


@pytest.mark.parametrize(
    ("from_by", "to_by", "right"), [(0, 0, True), (-STEP, 0, True), (1, 0, False), (0, 1, False), (0, -1, False), (None, None, False)]
)
def test_a_time_without_an_aggregator_is_a_gap(from_by: int | None, to_by: int | None, *, right: bool) -> None:
    """The gap runs from the last quote of the first aggregator, or before, to the first quote of the next, under the next one's epoch."""
    entries = sample.entries(sample.tape(sample.market()))
    quotes = [index for index, entry in enumerate(entries) if isinstance(entry.event, Cbbo)]
    half, later = quotes[len(quotes) // 2], sample.EPOCH + 1
    before, first = (entries[index].event for index in (quotes[len(quotes) // 2 - 1], half))
    assert isinstance(before, Cbbo)
    assert isinstance(first, Cbbo)
    for seq, index in enumerate(quotes[len(quotes) // 2 :], 1):
        entries[index] = entries[index]._replace(event=msgspec.structs.replace(entries[index].event, epoch=later, seq=seq))
    if from_by is not None and to_by is not None:
        told = Gap("consolidated", BTC, None, first.ts, "cbbo", before.ts + from_by, first.ts + to_by, None, GapCause.DISCONNECT)
        entries.insert(half, Entry(f"tape:gap:{BTC}", "1-1", msgspec.structs.replace(told, epoch=later, seq=1)))

    assert found(entries) == (set() if right else {"a time without an aggregator is no gap"})


def test_a_leg_that_is_not_live_must_not_count() -> None:
    """Whatever its prices are."""
    events = sample.tape(sample.market())
    stale = changed(events, of(events, Quote, "kraken")[100], state=FeedState.STALE)

    assert found(sample.entries(stale)) == {"a leg counts that is not live"}


def _fetched(*said: Event) -> list[Event]:
    """Three trades are missing, as a gap reports; then two of them come, marked as backfilled, with a gap that is repaired."""
    events = sample.tape(sample.market())
    late = [events[index] for index in of(events, Trade, "binance")[5:7]]
    events = _missing(3, sample.gap("binance", 3, BEFORE, AFTER))(events)
    fetched = [msgspec.structs.replace(one, backfilled=True, received_ts=AFTER + STEP) for one in late if isinstance(one, Trade)]
    return sorted([*events, *fetched, *said], key=lambda event: event.received_ts)


def _repaired(missed: int, to_ts: int) -> Event:
    """Returns a repaired gap: `missed` trades have come that were missing until then."""
    return msgspec.structs.replace(sample.gap("binance", missed, BEFORE, to_ts), repaired=True, received_ts=AFTER + STEP)


def test_what_is_told_as_repaired_must_be() -> None:
    """A report of a partial repair has narrower times than the gap, a full one the same. Trades that were never missing cannot come."""
    assert found(sample.entries(_fetched())) == set()
    assert found(sample.entries(_fetched(_repaired(2, AFTER - 1)))) == set()
    assert found(sample.entries(_fetched(_repaired(2, AFTER)))) == {"a gap is called repaired that is not"}
    assert found(sample.entries(_fetched(_repaired(3, AFTER - 1)))) == {"more is told as repaired than came"}
    assert found(sample.entries(_fetched(_repaired(2, AFTER + 1)))) == {"what was repaired was no gap"}


def _skipping(ids: int) -> tuple[Market, list[Event]]:
    """Binance's trades from the sixth on have ids that are so much higher; and the tape of that."""
    market = sample.market()
    one = market["binance", BTC]
    known = list(one.trades.values())
    one.trades = {
        moved.id: moved for moved in (trade._replace(id=trade.id + (ids if index >= 5 else 0)) for index, trade in enumerate(known))
    }
    return market, sample.tape(market)


def _closed(missed: int, nonexistent: int) -> Event:
    return msgspec.structs.replace(
        sample.gap("binance", missed, BEFORE, AFTER - 3 * STEP), repaired=True, nonexistent=nonexistent, received_ts=AFTER + STEP
    )


def _told(events: list[Event], *said: Event) -> list[Entry]:
    return sample.entries(sorted([*events, *said], key=lambda event: event.received_ts))


def test_ids_that_never_were_may_be_told_as_missing_and_closed() -> None:
    """No trade is missing. A gap that counts these ids can be closed only with the number of ids that never existed."""
    market, events = _skipping(3)
    gap = sample.gap("binance", 3, BEFORE, AFTER - 3 * STEP)

    assert found(_told(events), market=market) == set()
    assert found(_told(events, gap), market=market) == set()
    assert found(_told(events, gap, _closed(3, 3)), market=market) == set()
    assert found(_told(events, gap, _closed(3, 2)), market=market) == {
        "a gap is called repaired that is not",
        "more is told as repaired than came",
    }
    assert "more is told as repaired than came" in found(_told(events, gap, _closed(3, 0)), market=market)


def test_trades_that_were_must_not_be_called_nonexistent() -> None:
    """However convenient that would be."""
    events = _missing(3, sample.gap("binance", 3, BEFORE, AFTER), _of_all(3))(sample.tape(sample.market()))

    assert found(sample.entries(events)) == {"a gap is called repaired that is not", "trades are called nonexistent that were"}


def _of_all(nonexistent: int) -> Event:
    return msgspec.structs.replace(
        sample.gap("binance", 3, BEFORE, AFTER), repaired=True, nonexistent=nonexistent, received_ts=AFTER + STEP
    )


def test_ids_that_were_skipped_hide_no_trade_that_was_not() -> None:
    """One trade that truly existed is missing beside them."""
    market, events = _skipping(3)

    assert found(_told(without(events, of(events, Trade, "binance")[5:6])), market=market) == {"trades are missing"}


QUICK = BOUNDS._replace(detect_s=3.0, fresh_s=100.0)


def _dead(market: Market, since: int) -> list[Event]:
    """Kraken's quotes end with that move, while its market goes on, and its last one stays what counts."""
    events = sample.tape(market)
    return without(events, of(events, Quote, "kraken")[since:] + of(events, Book, "kraken")[since // 2 :])


def _drifting(ticks: int, since: int) -> Market:
    """Returns a market in which Kraken's best prices move once, after `ticks` moves."""
    market = sample.market()
    one = market["kraken", BTC]
    one.moments = [
        moment if index < since else moment._replace(bids=_up(moment.bids, ticks), asks=_up(moment.asks, ticks))
        for index, moment in enumerate(one.moments)
    ]
    return market


def _up(levels: tuple[Level, ...], ticks: int) -> tuple[Level, ...]:
    return tuple((price + ticks, size) for price, size in levels)


def test_a_leg_of_a_dead_stream_may_count_until_it_is_found_out() -> None:
    """If its market has moved, the leg may count no longer than that; the other venue's quotes repeat it again and again."""
    what = "a leg counts that is far from its market"

    assert found(sample.entries(_dead(_drifting(0, 120), 100)), QUICK, market=_drifting(0, 120)) == set()
    assert found(sample.entries(_dead(_drifting(1, 120), 100)), QUICK, market=_drifting(1, 120)) == {what}
    assert found(sample.entries(_dead(_drifting(-1, 120), 100)), QUICK, market=_drifting(-1, 120)) == {what}
    assert found(sample.entries(_dead(_drifting(1, 170), 160)), QUICK, market=_drifting(1, 170)) == set()
    assert found(sample.entries(_dead(_drifting(1, 170), 160)), QUICK._replace(detect_s=1.0), market=_drifting(1, 170)) == {what}


def test_a_leg_that_does_not_count_may_be_as_far_as_it_likes() -> None:
    """It says so itself."""
    market = _drifting(1, 120)
    entries = sample.entries(_dead(market, 100))
    excluded = [
        entry._replace(event=_without_kraken(entry.event))
        if isinstance(entry.event, Cbbo) and entry.event.ts > START + 125 * STEP
        else entry
        for entry in entries
    ]

    assert found(excluded, QUICK, market=market) == set()


def _without_kraken(quote: Cbbo) -> Cbbo:
    legs = tuple(
        msgspec.structs.replace(leg, excluded=Exclusion.STALE if leg.venue == "kraken" else None, state=FeedState.STALE)
        for leg in quote.legs
    )
    (one,) = [leg for leg in legs if leg.excluded is None]
    prices = {"bid_price": one.bid_price, "bid_size": one.bid_size, "ask_price": one.ask_price, "ask_size": one.ask_size}
    return msgspec.structs.replace(quote, legs=legs, venues=1, **prices)


def test_a_leg_names_the_kind_of_its_input() -> None:
    """A quote and a book with the same numbers are two events."""

    def misnamed(entries: list[Entry]) -> list[Entry]:
        index = next(index for index, entry in enumerate(entries) if index > 100 and isinstance(entry.event, Cbbo))
        event = entries[index].event
        assert isinstance(event, Cbbo)
        legs = tuple(msgspec.structs.replace(leg, kind="book") for leg in event.legs)
        return [*entries[:index], entries[index]._replace(event=msgspec.structs.replace(event, legs=legs)), *entries[index + 1 :]]

    assert _numbered(misnamed) == {"a leg is not the event that it names"}


def test_a_checker_that_saw_nothing_has_proved_nothing() -> None:
    """Whatever it is that stands still: a market, a venue's part of the tape, one kind of prices, the consolidated quotes."""
    patient = BOUNDS._replace(still_s=5.0, fresh_s=100.0, detect_s=100.0)
    events = sample.tape(sample.market())
    entries = sample.entries(events)
    nothing = {"nothing was compared", "the tape stands still", "no quote is consolidated"}
    half = START + 100 * STEP
    stopped = [entry for entry in entries if entry.event.received_ts < half or not isinstance(entry.event, Cbbo)]
    silent = [event for event in events if event.venue != "kraken" or event.received_ts < half]
    no_books = without(events, [index for index, event in enumerate(events) if isinstance(event, Book)])

    assert found(entries, patient) == set()
    assert found([], patient) == nothing
    assert found(stopped, patient) == {"no quote is consolidated"}
    assert found(sample.entries(silent), patient) == {"the tape stands still"}
    assert found(sample.entries(no_books), patient) == {"nothing was compared"}
    assert found(entries, patient, now=END + 20 * 10**9) == {"the market stands still", "the tape stands still", "no quote is consolidated"}
    assert found([], patient, market={key: TrueInstrument(*key) for key in sample.market()}) == {*nothing, "the market stands still"}


def test_a_market_that_stood_still_for_a_while_is_named() -> None:
    """Though it moves again."""
    market = sample.market()
    for one in market.values():
        one.moments = [moment for moment in one.moments if not START + 50 * STEP < moment.ts < START + 130 * STEP]
    events = [
        event
        for event in sample.tape(sample.market())
        if not START + 50 * STEP < event.received_ts < START + 131 * STEP or isinstance(event, Trade)
    ]

    assert found(sample.entries(events), PATIENT._replace(still_s=9.0), market=market) == set()
    assert found(sample.entries(events), PATIENT._replace(still_s=5.0), market=market) == {"the market stands still"}


def _windowed(trades: int, *, complete: bool = True) -> set[str]:
    """What is said of consolidated quotes of the last seconds whose windows hold so many trades."""
    market = sample.market()
    checker = Checker(market, BOUNDS._replace(traded_s=0.5), consolidated=True, windows=True)
    vwap = {"10s": Vwap(Decimal(100), Decimal(1), trades, complete), "1d": Vwap(None, Decimal(0), 0)}
    entries = [
        entry._replace(event=msgspec.structs.replace(entry.event, vwap=vwap))
        if isinstance(entry.event, Cbbo) and START + 185 * STEP < entry.event.ts < START + 186 * STEP
        else entry
        for entry in sample.entries(sample.tape(market))
    ]
    found = {violation.what for violation in (*checker.take(entries), *checker.take([]), *checker.done(END))}
    assert checker.checked["window"] == complete
    return found


def test_a_window_that_calls_itself_complete_holds_its_trades() -> None:
    """One trade a second at each of two venues: twenty in ten seconds, or a few more or less. An incomplete window may hold any number."""
    wrong = {"a complete window holds not its trades"}

    assert _windowed(20) == set()
    assert [_windowed(trades) for trades in (0, 10, 40)] == [wrong] * 3
    assert _windowed(0, complete=False) == set()
