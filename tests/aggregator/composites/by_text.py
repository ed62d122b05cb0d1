"""Computes a published composite again, by docs/explanation/composites.md alone: from the events that it names, in fractions.

It shares no code with the product, except the structs of events. What it cannot know is why a part does
not count: it takes that as published.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

from crosstape_schemas import Cbbo, Depth, Part, Rate, Sweep, Vwap

Find = Callable[[str, str, int, int], Any]
"""Finds the event of a kind and instrument with this epoch and `seq`."""


def check_quote(quote: Cbbo, find: Find) -> None:
    """Fail unless the quote equals what its parts and rates say, field by field."""
    assert quote.method == "composite/1"
    assert quote.venue == "consolidated"
    rates = _rates(quote.rates, quote.parts, find)
    parts = [(part, find("cbbo", part.instrument, part.epoch, part.seq) if part.seq else None) for part in quote.parts]
    legs: list[Any] = []
    for part, event in parts:
        for leg in event.legs if event is not None else ():
            prices = [_converted(price, rates[part.instrument]) for price in (leg.bid_price, leg.ask_price)]
            known = rates[part.instrument] is not None
            sizes = (leg.bid_size if known else None, leg.ask_size if known else None)
            legs.append(
                (leg.venue, prices[0], sizes[0], prices[1], sizes[1], leg.quote_ts, leg.state, leg.excluded or part.excluded, leg.epoch,
                 leg.seq, leg.kind, part.instrument)
            )  # fmt: skip
    assert [_fractions(leg) for leg in quote.legs] == legs
    counting = [leg for leg in legs if leg[7] is None]
    assert quote.venues == len(counting)
    bid = max((leg[1] for leg in counting if leg[1] is not None), default=None)
    ask = min((leg[3] for leg in counting if leg[3] is not None), default=None)
    assert (_fraction(quote.bid_price), _fraction(quote.ask_price)) == (bid, ask)
    at_bid = [leg for leg in counting if bid is not None and leg[1] == bid]
    at_ask = [leg for leg in counting if ask is not None and leg[3] == ask]
    assert quote.bid_size == (sum(leg[2] for leg in at_bid) if at_bid else None)
    assert quote.ask_size == (sum(leg[4] for leg in at_ask) if at_ask else None)
    assert quote.bid_venues == tuple(dict.fromkeys(leg[0] for leg in at_bid))
    assert quote.ask_venues == tuple(dict.fromkeys(leg[0] for leg in at_ask))
    if bid is None or ask is None:
        assert (quote.mid, quote.spread, quote.spread_bps) == (None, None, None)
        assert quote.market == ("empty" if bid is ask else "one_sided")
    else:
        assert (_fraction(quote.mid), _fraction(quote.spread)) == ((bid + ask) / 2, ask - bid)
        bps = (ask - bid) / ((bid + ask) / 2) * 10_000
        assert _fraction(quote.spread_bps) == Fraction(round(bps * 10_000), 10_000)
        assert quote.market == ("normal" if bid < ask else "locked" if bid == ask else "crossed")
    names = {name for _, event in parts if event is not None for name in event.vwap}
    assert quote.vwap == {name: _window(name, parts, rates) for name in names}


def check_depth(depth: Depth, find: Find) -> None:
    """Fail unless the book equals what its parts and rates say."""
    assert depth.method == "composite/1"
    rates = _rates(depth.rates, depth.parts, find)
    parts = [(part, find("depth", part.instrument, part.epoch, part.seq) if part.seq else None) for part in depth.parts]
    assert depth.levels == min(event.levels for _, event in parts if event is not None)
    for side, ours, sign in (("bids", depth.bids, -1), ("asks", depth.asks, 1)):
        merged: dict[Fraction, dict[str, Decimal]] = {}
        for part, event in parts:
            if event is not None and part.excluded is None:
                for price, _, venues in getattr(event, side):
                    converted = _converted(price, rates[part.instrument])
                    assert converted is not None
                    for venue, size in venues:
                        at = merged.setdefault(converted, {})
                        at[venue] = at.get(venue, Decimal(0)) + size
        best = sorted(merged.items(), key=lambda one: one[0] * sign)[: depth.levels]
        assert [(Fraction(price), size, dict(venues)) for price, size, venues in ours] == [(p, sum(v.values()), v) for p, v in best]
        assert all([venue for venue, _ in venues] == sorted(venue for venue, _ in venues) for _, _, venues in ours)
    legs = [
        (leg.venue, leg.book_ts, leg.state, leg.excluded or part.excluded, leg.epoch, leg.seq, part.instrument)
        for part, event in parts
        if event is not None
        for leg in event.legs
    ]
    assert [tuple(getattr(leg, name) for name in leg.__struct_fields__) for leg in depth.legs] == legs
    assert list(depth.sweeps) == [_sweep(one.size, depth) for one in depth.sweeps]


def _rates(rates: tuple[Rate, ...], parts: tuple[Part, ...], find: Find) -> dict[str, Fraction | None]:
    """Return part → by what its prices are multiplied."""
    found: dict[str, Fraction | None] = {part.instrument: Fraction(1) for part in parts}
    reasons = {part.instrument: part.excluded for part in parts}
    for rate in rates:
        assert rate.excluded == reasons[rate.part]
        assert rate.instrument == f"{rate.part.split('-')[1]}-USD"
        if not rate.seq:
            assert (rate.rate, rate.rate_ts) == (None, None)
            found[rate.part] = None
            continue
        event = find("cbbo", rate.instrument, rate.epoch, rate.seq)
        assert event.market in {"normal", "locked"}
        assert (rate.rate, rate.rate_ts) == (event.mid, event.ts)
        found[rate.part] = Fraction(event.mid)
    return found


def _window(name: str, parts: list[tuple[Part, Any]], rates: dict[str, Fraction | None]) -> Vwap:
    value = volume = Fraction(0)
    trades, complete = 0, True
    for part, event in parts:
        window = None if event is None or part.excluded is not None else event.vwap.get(name)
        rate = rates[part.instrument]
        if window is None or rate is None:
            complete = False
            continue
        complete = complete and window.complete
        trades += window.trades
        volume += Fraction(window.volume)
        if window.price is not None:
            value += Fraction(window.price) * Fraction(window.volume) * rate
    return Vwap(_rounded(value / volume) if volume else None, _decimal(volume), trades, complete)


def _sweep(size: Decimal, depth: Depth) -> Sweep:
    prices: list[Decimal | None] = []
    for side in (depth.asks, depth.bids):
        left, value = Fraction(size), Fraction(0)
        for price, there, _ in side:
            done = min(left, Fraction(there))
            value, left = value + Fraction(price) * done, left - done
            if not left:
                prices += [_rounded(value / Fraction(size)), price]
                break
        else:
            prices += [None, None]
    return Sweep(size, *prices)


def _converted(price: Decimal | None, rate: Fraction | None) -> Fraction | None:
    return None if price is None or rate is None else Fraction(price) * rate


def _fraction(number: Decimal | None) -> Fraction | None:
    return None if number is None else Fraction(number)


def _fractions(leg: Any) -> tuple[Any, ...]:
    values = [getattr(leg, name) for name in leg.__struct_fields__]
    return tuple(
        _fraction(value) if name in {"bid_price", "ask_price"} else value for name, value in zip(leg.__struct_fields__, values, strict=True)
    )


def _rounded(number: Fraction) -> Decimal:
    """Round half-even to 16 significant digits."""
    context = Context(prec=400, rounding=ROUND_HALF_EVEN)
    return Context(prec=16, rounding=ROUND_HALF_EVEN).plus(context.divide(Decimal(number.numerator), Decimal(number.denominator)))


def _decimal(number: Fraction) -> Decimal:
    return Context(prec=400).divide(Decimal(number.numerator), Decimal(number.denominator))
