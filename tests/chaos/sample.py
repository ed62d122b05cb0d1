"""A small market and a complete tape of it, made by hand, without any error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_schemas import CONSOLIDATED, Book, Cbbo, Event, FeedState, Gap, GapCause, Leg, Level, Market, Quote, Side, Status, Trade
from tests.chaos.tape import KEYS, Entry
from tests.chaos.true_market import Moment, TrueInstrument

BTC: Final = "BTC-USDT"
START: Final = 1_800_000_000_000_000_000
STEP: Final = 100_000_000
"""ns between two moves."""

MOVES: Final = 200
LATE: Final = 3_000_000
"""ns from sending to receipt."""

EPOCH: Final = START - 1_000_000_000


def market() -> dict[tuple[str, str], TrueInstrument]:
    """Two venues. With every move the best bid's size changes, with every tenth the best ask is gone and a trade has taken it."""
    return {(venue, BTC): _instrument(venue, base) for venue, base in (("binance", 100), ("kraken", 101))}


def _instrument(venue: str, base: int) -> TrueInstrument:
    one = TrueInstrument(venue, BTC)
    levels = {"bids": [[f"{base - n}.00", "1"] for n in range(12)], "asks": [[f"{base + 1 + n}.00", "1"] for n in range(12)]}
    moves: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    for index in range(1, MOVES + 1):
        ts = START + index * STEP
        asks = [[f"{base + 1}.00", "0" if index % 20 == 10 else f"{index}"]] if index % 10 == 0 else []
        moves.append({"index": index, "ts": ts, "number": 1_000 + 2 * index, "bids": [[f"{base}.00", f"{index}.5"]], "asks": asks})
        if index % 10 == 0:
            trades.append({"id": 500 + index // 10, "ts": ts, "price": f"{base + 1}.00", "size": "1", "taker": "buy"})
    one.learn_moves({"first": 0, "start": {"ts": START, "number": 1_000, **levels}, "moves": moves})
    one.learn_trades(trades)
    return one


def tape(true: dict[tuple[str, str], TrueInstrument]) -> list[Event]:
    """Returns all events that a connector and an aggregator would publish about it, in order, without numbers."""
    said: list[tuple[int, Event]] = []
    for (venue, name), one in true.items():
        said += [(START, Status(venue, name, None, START, kind, FeedState.LIVE)) for kind in ("quote", "book", "trade")]
        for index, moment in enumerate(one.moments):
            received = moment.ts + LATE
            said.append((received, quote(venue, moment)))
            if index % 2 == 0:
                said.append((received, book(venue, moment)))
        said += [
            (trade.ts + LATE, Trade(venue, name, trade.ts, trade.ts + LATE, trade.price, trade.size, Side.BUY, str(trade.id)))
            for trade in one.trades.values()
        ]
    said.sort(key=lambda pair: pair[0])
    return [event for _, event in said]


def quote(venue: str, moment: Moment) -> Quote:
    """Returns the quote that the venue would publish at this moment."""
    (bid, bid_size), (ask, ask_size) = moment.top
    return Quote(venue, BTC, None if venue == "binance" else moment.ts, moment.ts + LATE, bid, bid_size, ask, ask_size)


def book(venue: str, moment: Moment) -> Book:
    """The same."""
    number = moment.number if venue == "binance" else None
    return Book(venue, BTC, moment.ts, moment.ts + LATE, moment.bids, moment.asks, 10, FeedState.LIVE, number)


def gap(venue: str, missed: int | None, from_ts: int, to_ts: int, *, kind: str = "trade", cause: GapCause = GapCause.DISCONNECT) -> Gap:
    """Returns a gap, of a venue's trades by default."""
    return Gap(venue, BTC, None, to_ts, kind, from_ts, to_ts, missed, cause)


def entries(events: Iterable[Event], *, consolidate: bool = True) -> list[Entry]:
    """Numbered, each on its stream; with a consolidated quote behind every quote, if wanted."""
    seqs: Counter[tuple[str, str]] = Counter()
    found: list[Entry] = []
    newest: dict[str, Quote] = {}
    for event in events:
        found.append(_entry(event, seqs))
        numbered = found[-1].event
        if isinstance(numbered, Quote) and consolidate:
            newest[numbered.venue] = numbered
            found.append(_entry(cbbo(list(newest.values())), seqs))
    return found


def _entry(event: Event, seqs: Counter[tuple[str, str]]) -> Entry:
    kind = str(event.__struct_config__.tag)
    stream = KEYS.stream(kind, event.instrument)
    epoch = event.epoch or EPOCH
    seqs[stream, event.venue] += 1
    numbered = msgspec.structs.replace(event, epoch=epoch, seq=seqs[stream, event.venue])
    return Entry(stream, f"{event.received_ts // 1_000_000}-{len(seqs)}", numbered)


def cbbo(quotes: Sequence[Quote]) -> Cbbo:
    """Returns a consolidated quote of these legs, all of which count."""
    legs = tuple(
        Leg(one.venue, one.bid_price, one.bid_size, one.ask_price, one.ask_size, one.received_ts, FeedState.LIVE, None, one.epoch, one.seq)
        for one in quotes
    )
    bid, bid_size = _best([(one.bid_price, one.bid_size) for one in quotes], 1)
    ask, ask_size = _best([(one.ask_price, one.ask_size) for one in quotes], -1)
    now = max(one.received_ts for one in quotes)
    return Cbbo(
        CONSOLIDATED, BTC, None, now, now, bid, bid_size, (), ask, ask_size, (), None, None, None, Market.NORMAL, len(legs), {}, legs
    )


def _best(sides: Sequence[tuple[Decimal | None, Decimal | None]], sign: int) -> Level:
    whole = [(price, size) for price, size in sides if price is not None and size is not None]
    best = max(price * sign for price, _ in whole) * sign
    return best, sum([size for price, size in whole if price == best], Decimal(0))


def alternately(events: Iterable[Event], venue: str, kind: type[Event]) -> Iterator[Event]:
    """The same, with every two neighbours of one feed in each other's place."""
    rest = list(events)
    places = [index for index, event in enumerate(rest) if event.venue == venue and type(event) is kind]
    for first, second in zip(places[::2], places[1::2], strict=False):
        rest[first], rest[second] = rest[second], rest[first]
    yield from rest
