"""Builds events and settings for the aggregator's tests: a test gives only the values that matter for it."""

from __future__ import annotations

from decimal import Decimal

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_schemas import Book, Cbbo, Event, Exclusion, FeedState, Gap, GapCause, Quote, Status, Trade

S = 1_000_000_000
MS = 1_000_000
T0 = 1_786_000_000 * S
"""The moment (ns) at which tests start; not a midnight."""
X = "BTC-USDT"


def d(text: str | None) -> Decimal | None:
    """Return the text as a decimal; None stays None."""
    return None if text is None else Decimal(text)


def quote(
    venue: str, bid: str | None, ask: str | None, ts: int = T0, *, sizes: tuple[str | None, str | None] = ("1", "1"), epoch: int = 1,
    seq: int = 1, state: FeedState = FeedState.LIVE, instrument: str = X,
) -> Quote:  # fmt: skip
    """Make a quote."""
    return Quote(venue, instrument, None, ts, d(bid), d(sizes[0]), d(ask), d(sizes[1]), state, epoch=epoch, seq=seq)


def book(
    venue: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]], ts: int = T0, *, epoch: int = 1, state: FeedState = FeedState.LIVE
) -> Book:
    """Make a book."""
    levels = [tuple((Decimal(price), Decimal(size)) for price, size in side) for side in (bids, asks)]
    return Book(venue, X, None, ts, levels[0], levels[1], 10, state, epoch=epoch)


def trade(
    venue: str, price: str, size: str, ts: int | None = T0, *, received_ts: int | None = None, instrument: str = X, trade_id: str = "1"
) -> Trade:
    """Make a trade at `ts` of venue time. It is received at the same moment, unless another one is given."""
    received_ts = received_ts if received_ts is not None else ts if ts is not None else T0
    return Trade(venue, instrument, ts, received_ts, Decimal(price), Decimal(size), None, trade_id, epoch=1)


def status(
    venue: str, state: FeedState, ts: int = T0, *, kind: str = "quote", instrument: str = X, epoch: int = 1, reason: str = ""
) -> Status:
    """Make a status of a feed."""
    return Status(venue, instrument, None, ts, kind, state, reason, epoch=epoch)


def alive(venue: str, ts: int = T0, *, epoch: int = 1, state: FeedState = FeedState.LIVE) -> Status:
    """Make a venue's sign of life."""
    return status(venue, state, ts, kind="*", instrument="*", epoch=epoch)


def gap(venue: str, from_ts: int, to_ts: int, *, kind: str = "trade", repaired: bool = False, instrument: str = X) -> Gap:
    """Make a gap."""
    return Gap(venue, instrument, None, to_ts, kind, from_ts, to_ts, None, GapCause.DISCONNECT, repaired, epoch=1)


def instrument(**changed: object) -> ConsolidatedInstrument:
    """Return an instrument with the default settings and these changes."""
    rules = Rules.of(AggregatorSettings(**changed))  # type: ignore[arg-type]
    return ConsolidatedInstrument(X, rules, Liveness(rules.stale_ns), Counts(), T0)


def consolidated(events: list[Event], now: int = T0, **changed: object) -> Cbbo:
    """Return the quote after these events, which are all applied at `now`."""
    one = instrument(**changed)
    for event in events:
        one.apply(event, now)
    found = one.consolidate(now)
    assert found is not None
    return found


def engine(**changed: object) -> Engine:
    """Return an engine with the default settings and these changes."""
    return Engine(AggregatorSettings(**changed))  # type: ignore[arg-type]


def reasons(found: Cbbo) -> dict[str, Exclusion | None]:
    """Return venue → why its leg does not count; None: it counts."""
    return {leg.venue: leg.excluded for leg in found.legs}
