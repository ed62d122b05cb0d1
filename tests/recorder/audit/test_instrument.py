"""An audit of what the aggregator's engine publishes: all follows from the inputs, and whatever is changed is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_recorder.audit.findings import Audit
from crosstape_recorder.audit.instrument import InstrumentAudit
from crosstape_recorder.audit.rules import Rules
from crosstape_schemas import Bar, Book, Cbbo, Depth, Edge, EdgeChange, Event, Exclusion, FeedState, Gap, GapCause, Leg, Quote, Trade
from tests.recorder.audit.market import NAME, SETTINGS, Row, tape

COMPUTED = (Cbbo, Depth, Edge, Bar)
ONE = Decimal(1)


@cache
def known(seed: int = 1) -> Sequence[Row]:
    """Return one tape that all tests share."""
    return tape(seed)


def audited(rows: Sequence[Row]) -> Audit:
    """Audit a tape."""
    audit = Audit()
    one = InstrumentAudit(NAME, Rules.of(SETTINGS), audit)
    for ms, n, event in sorted(rows, key=lambda row: (row.ms, isinstance(row.event, COMPUTED), row.n)):
        one.take(ms, n, event)
    one.done()
    return audit


def changed(kind: type[Any], change: Callable[[Any], Event | None], *, skip: int = 0) -> Sequence[Row]:
    """Return the shared tape with another event in the place of one, the first behind `skip` that `change` changes."""
    rows = list(known())
    for index, row in enumerate(rows[skip:], skip):
        if isinstance(row.event, kind) and (other := change(row.event)) is not None:
            rows[index] = row._replace(event=other)
            return rows
    raise AssertionError(f"no {kind.__name__} to change")


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_all_that_is_published_follows_from_the_inputs(seed: int) -> None:
    """Quotes, windows, bars, books and edges are those that the texts of the methods give, digit by digit."""
    found = audited(tape(seed, 700))

    assert found.differences == []
    assert found.events.keys() >= {"cbbo", "window", "bar", "depth"}
    assert found.exact.total() > 20_000


def test_the_tape_has_what_is_audited() -> None:
    """The shared tape has every exclusion that one instrument can have, edges of every kind, and late trades."""
    events = [row.event for row in known()]
    excluded = {leg.excluded for event in events if isinstance(event, Cbbo) for leg in event.legs}

    assert excluded >= {None, *Exclusion} - {Exclusion.DEPEG, Exclusion.RATE, Exclusion.OTHER}
    assert {event.change for event in events if isinstance(event, Edge)} == set(EdgeChange)
    assert any(isinstance(event, Bar) and event.revision > 0 for event in events)
    assert any(isinstance(event, Cbbo) and any(window.complete for window in event.vwap.values()) for event in events)
    assert audited(known()).differences == []


def leg_with(event: Cbbo, change: Callable[[Leg], Leg | None]) -> Cbbo | None:
    """Return the quote with one leg changed."""
    for index, leg in enumerate(event.legs):
        if (other := change(leg)) is not None:
            return msgspec.structs.replace(event, legs=(*event.legs[:index], other, *event.legs[index + 1 :]))
    return None


INPUTS: dict[str, tuple[type[Any], Callable[[Any], Event | None]]] = {
    "a quote's price": (Quote, lambda one: msgspec.structs.replace(one, bid_price=one.bid_price - ONE) if one.bid_price else None),
    "a quote's size": (Quote, lambda one: msgspec.structs.replace(one, bid_size=one.bid_size + ONE) if one.bid_size else None),
    "a digit of a quote": (
        Quote,
        lambda one: msgspec.structs.replace(one, bid_size=one.bid_size * Decimal("1.0")) if one.bid_size else None,
    ),
    "a trade's size": (Trade, lambda one: msgspec.structs.replace(one, size=one.size + ONE)),
    "a trade's price": (Trade, lambda one: msgspec.structs.replace(one, price=one.price + ONE)),
    "a trade's time": (Trade, lambda one: msgspec.structs.replace(one, venue_ts=one.received_ts - 30_000_000_000)),
    "a level of a book": (
        Book,
        lambda one: msgspec.structs.replace(one, bids=((one.bids[0][0], one.bids[0][1] + ONE), *one.bids[1:])) if one.bids else None,
    ),
}


@pytest.mark.parametrize("what", INPUTS)
def test_a_changed_input_is_found(what: str) -> None:
    """One recorded input that is another one makes something differ, and the difference shows it."""
    kind, change = INPUTS[what]
    for skip in (800, 1_000, 1_200):  # an input that was replaced before anything was computed matters nowhere
        found = audited(changed(kind, change, skip=skip))
        if found.differences:
            break

    assert found.differences
    assert any(one.inputs for one in found.differences)


OUTPUTS: dict[str, tuple[type[Any], Callable[[Any], Event | None]]] = {
    "best price": (Cbbo, lambda one: msgspec.structs.replace(one, bid_price=one.bid_price - ONE) if one.bid_price else None),
    "spread": (Cbbo, lambda one: msgspec.structs.replace(one, spread_bps=one.spread_bps + ONE) if one.spread_bps is not None else None),
    "a leg left out": (
        Cbbo,
        lambda one: msgspec.structs.replace(one, legs=one.legs[1:]) if one.legs and not one.legs[0].excluded else None,
    ),
    "an exclusion": (
        Cbbo,
        lambda one: leg_with(one, lambda leg: msgspec.structs.replace(leg, excluded=Exclusion.OUTLIER) if leg.excluded is None else None),
    ),
    "a state": (
        Cbbo,
        lambda one: leg_with(
            one, lambda leg: msgspec.structs.replace(leg, state=FeedState.CONNECTING) if leg.state is FeedState.STALE else None
        ),
    ),
    "a stale leg that counts": (
        Cbbo,
        lambda one: leg_with(one, lambda leg: msgspec.structs.replace(leg, excluded=None) if leg.excluded is Exclusion.STALE else None),
    ),
    "an outlier that counts": (
        Cbbo,
        lambda one: leg_with(one, lambda leg: msgspec.structs.replace(leg, excluded=None) if leg.excluded is Exclusion.OUTLIER else None),
    ),
    "a settling leg that counts": (
        Cbbo,
        lambda one: leg_with(one, lambda leg: msgspec.structs.replace(leg, excluded=None) if leg.excluded is Exclusion.SETTLING else None),
    ),
    "an older event": (
        Cbbo,
        lambda one: leg_with(one, lambda leg: msgspec.structs.replace(leg, seq=leg.seq - 1) if leg.seq > 1 else None),
    ),
    "a window": (
        Cbbo,
        lambda one: msgspec.structs.replace(
            one, vwap={name: msgspec.structs.replace(window, trades=window.trades + 1) for name, window in one.vwap.items()}
        ),
    ),
    "high": (Bar, lambda one: msgspec.structs.replace(one, high=one.high + ONE) if one.high else None),
    "quote volume": (Bar, lambda one: msgspec.structs.replace(one, quote_volume=one.quote_volume + ONE)),
    "a bar without trades": (Bar, lambda one: msgspec.structs.replace(one, close=ONE) if not one.trades and one.close else None),
    "a revision": (Bar, lambda one: msgspec.structs.replace(one, revision=one.revision + 1) if one.revision else None),
    "a level": (Depth, lambda one: msgspec.structs.replace(one, asks=one.asks[1:]) if one.asks else None),
    "a sweep": (
        Depth,
        lambda one: msgspec.structs.replace(one, sweeps=(msgspec.structs.replace(one.sweeps[0], buy_worst=ONE), *one.sweeps[1:])),
    ),
    "a book that counts": (
        Depth,
        lambda one: (
            msgspec.structs.replace(
                one, legs=tuple(msgspec.structs.replace(leg, excluded=None) if leg.excluded else leg for leg in one.legs)
            )
            if any(leg.excluded for leg in one.legs)
            else None
        ),
    ),
    "size of an edge": (Edge, lambda one: msgspec.structs.replace(one, size=one.size + ONE) if one.size is not None else None),
    "rate of an edge": (Edge, lambda one: msgspec.structs.replace(one, net_bps=one.net_bps + ONE) if one.net_bps is not None else None),
}


@pytest.mark.parametrize("what", OUTPUTS)
def test_a_changed_value_is_found(what: str) -> None:
    """One published value that is another one differs."""
    kind, change = OUTPUTS[what]

    assert audited(changed(kind, change, skip=900)).differences


@pytest.mark.parametrize("kind", [Edge, Trade])
def test_a_missing_event_is_found(kind: type[Event]) -> None:
    """An edge that is not reported when quotes cross, and a trade that is not in the recording while its number is, differ."""
    rows = list(known())
    index = next(index for index, row in enumerate(rows[900:], 900) if isinstance(row.event, kind) and _opens(row.event))
    gone = rows.pop(index).event
    if isinstance(gone, Trade):  # the next ones get its number, else the audit knows that one was not recorded
        for at, row in enumerate(rows):
            event = row.event
            if isinstance(event, Trade) and event.venue == gone.venue and event.epoch == gone.epoch and event.seq > gone.seq:
                rows[at] = row._replace(event=msgspec.structs.replace(event, seq=event.seq - 1))

    assert audited(rows).differences


def _opens(event: Event) -> bool:
    return not isinstance(event, Edge) or event.change is EdgeChange.OPEN


def test_a_trade_that_was_not_recorded_is_not_called_a_difference() -> None:
    """Where numbers show that the recording lacks a trade, windows and bars that may have it are counted as not checked."""
    rows = list(known())
    del rows[next(index for index, row in enumerate(rows[600:], 600) if isinstance(row.event, Trade))]

    found = audited(rows)

    assert found.differences == []
    assert any(kind == "window" for kind, _ in found.unchecked)


def test_a_window_that_hides_a_gap_is_found() -> None:
    """A window must not say that it is complete while a recorded gap in it is not repaired."""
    rows = list(known())
    index = next(
        index for index, row in enumerate(rows) if isinstance(row.event, Cbbo) and row.event.vwap["1m"].complete and row.event.legs
    )
    quote = rows[index].event
    assert isinstance(quote, Cbbo)
    ts = quote.ts - 10_000_000_000
    gap = Gap(quote.legs[0].venue, NAME, None, ts, "trade", ts - 1_000_000_000, ts, 1, GapCause.SEQUENCE, epoch=1, seq=1)
    before = next(at for at, row in enumerate(rows) if row.ms * 1_000_000 > ts)
    rows.insert(before, Row(ts // 1_000_000, rows[before].n, gap))

    found = audited(rows)

    assert {one.field for one in found.differences} >= {"vwap.1m.complete"}


def test_a_window_that_differs_is_shown_beside_the_nearest_one() -> None:
    """Of a trade whose size was changed by one, the count is right and the volume is wrong by one."""
    rows = changed(Trade, lambda one: msgspec.structs.replace(one, size=one.size + ONE), skip=1_000)

    texts = [one.computed for one in audited(rows).differences if one.field == "vwap.1d"]

    assert texts
    for text in texts:
        assert ", the nearest of " in text
        assert " volume -1 trades 0" in text.partition("published minus computed:")[2]


def test_wrong_settings_show_as_differences() -> None:
    """The settings are those of an audit: with another limit, exclusions are not what the inputs give."""
    audit = Audit()
    one = InstrumentAudit(NAME, msgspec.structs.replace(Rules.of(SETTINGS), outlier_bps=Decimal(1)), audit)
    for ms, n, event in known():
        one.take(ms, n, event)
    one.done()

    assert any(found.field == "legs.excluded: outlier" for found in audit.differences)
