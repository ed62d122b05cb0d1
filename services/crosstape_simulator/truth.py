"""What truly happened in the synthetic market, whatever faults did to the frames: to check a tape against it.

Kept only while it is wanted (`SimulatorSpec.control_port`), and of each instrument only the newest `PAST` trades and `HISTORY` best
prices and moves of the book.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Any, Final, NamedTuple

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.formats import fixed
from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.candles import Bar
from crosstape_simulator.market.derivatives import RATE_DECIMALS, Figures, is_liquidation
from crosstape_simulator.market.grid import grid
from crosstape_simulator.market.history import written
from crosstape_simulator.market.market import PAST, Change, Fill, Move, Pair
from crosstape_simulator.market_clock import SyntheticMarket

HISTORY: Final = 10_000
"""Best prices, and moves of the book, that are kept of each instrument of each venue."""


class Top(NamedTuple):
    """The best prices from `ts` (market time, ns) until the next."""

    ts: int
    number: int | None
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Step(NamedTuple):
    """The changes that one move made in the book."""

    ts: int
    number: int | None
    changes: list[Change]


class Unknown(SimulatorError):
    """The instrument does not exist on that venue, or the venue plays a recording."""


class _Memory:
    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.trades: deque[tuple[int, Fill]] = deque(pair.recent, maxlen=PAST)
        self.tops: deque[Top] = deque(maxlen=HISTORY)
        self.steps: deque[Step] = deque()
        self.before = 0
        """Moves that were dropped: `bids` and `asks` hold the book after them, `steps` go on from it."""
        self.start = Step(0, None, [])
        """The last move that was dropped."""
        self.bids, self.asks = BookSide(), BookSide()

    def step(self, step: Step) -> None:
        """Add a move; drop the oldest beyond `HISTORY`."""
        self.steps.append(step)
        if len(self.steps) > HISTORY:
            self.start = self.steps.popleft()
            self.before += 1
            for bid, price, size in self.start.changes:
                (self.bids if bid else self.asks).set(-price if bid else price, size)

    def price(self, ticks: int) -> str:
        return fixed(ticks, self.pair.listing.price_decimals)

    def size(self, lots: int) -> str:
        return fixed(lots, self.pair.listing.size_decimals)

    def base_size(self, lots: int, ticks: int) -> str:
        """A size in base units; of an inverse contract it depends on the price."""
        listing = self.pair.listing
        return f"{listing.base_size(lots, ticks):f}" if listing.is_contract else self.size(lots)


class Truth:
    """Records the market from now on."""

    def __init__(self, market: SyntheticMarket) -> None:
        self._market = market
        self._memories = {
            (listing.venue, listing.instrument): _Memory(pair) for pair in market.market.pairs.values() for listing in (pair.listing,)
        }
        self._by_pair = {memory.pair: memory for memory in self._memories.values()}
        for memory in self._memories.values():
            self._note(memory, market.now)
            memory.start = Step(market.now, self._number(memory.pair), [])
            for side, kept in ((memory.pair.bids, memory.bids), (memory.pair.asks, memory.asks)):
                for key in side.keys:
                    kept.set(key, side.sizes[key])
        market.watch = self._moved

    def trades(self, venue: str, instrument: str, after: int, limit: int) -> dict[str, Any]:
        """Trades with ids above `after`, oldest first, at most `limit`; `first` is the oldest id that is still kept. Raises `Unknown`."""
        memory = self._memory(venue, instrument)
        known = list(memory.trades)
        start = bisect_right(known, after, key=lambda traded: traded[1].trade_id)
        rows = [_trade(memory, ts, fill) for ts, fill in known[start : start + limit]]
        ids = {"first": known[0][1].trade_id, "last": known[-1][1].trade_id}
        return {"venue": venue, "instrument": instrument, **ids, "trades": rows}

    def book(self, venue: str, instrument: str, levels: int, after: int | None, limit: int) -> dict[str, Any]:
        """The book now, `levels` a side; with `after` also the best prices since that time (ns), oldest first, and the oldest time that
        is still kept. `number`: the venue's own number of the newest change, where it has one. Raises `Unknown`.
        """
        memory = self._memory(venue, instrument)
        pair = memory.pair
        sides = {name: _levels(memory, side.levels(levels)) for name, side in (("bids", pair.bids), ("asks", pair.asks))}
        found: dict[str, Any] = {"venue": venue, "instrument": instrument, "ts": self._market.now, "number": self._number(pair), **sides}
        if after is not None:
            known = list(memory.tops)
            start = bisect_right(known, after, key=lambda top: top.ts)
            found["first_ts"] = known[0].ts
            found["tops"] = [_row(memory, top) for top in known[start : start + limit]]
        return found

    def moves(self, venue: str, instrument: str, after: int | None, limit: int) -> dict[str, Any]:
        """The changes of the book, move by move, oldest first, at most `limit`: those after the first `after` of all moves.

        Without `after` all that are kept, and `start`, the complete book before them: so the book of any moment since can be rebuilt.
        `first`: how many moves were dropped. Raises `Unknown`.
        """
        memory = self._memory(venue, instrument)
        found: dict[str, Any] = {"venue": venue, "instrument": instrument, "first": memory.before}
        skipped = memory.before if after is None else max(after, memory.before)
        if after is None:
            sides = {"bids": _levels(memory, memory.bids.levels()), "asks": _levels(memory, memory.asks.levels())}
            found["start"] = {"ts": memory.start.ts, "number": memory.start.number, **sides}
        steps = list(memory.steps)[skipped - memory.before :][:limit]
        found["moves"] = [
            {
                "index": skipped + index,
                "ts": step.ts,
                "number": step.number,
                "bids": _levels(memory, [(price, size) for bid, price, size in step.changes if bid]),
                "asks": _levels(memory, [(price, size) for bid, price, size in step.changes if not bid]),
            }
            for index, step in enumerate(steps, 1)
        ]
        return found

    def candles(self, venue: str, instrument: str, timeframe: str, after: int, limit: int) -> dict[str, Any]:
        """Candles with a trade that begin after `after` (ns), oldest first, at most `limit`, volumes in base units. The last may still be
        open. A series is kept from the first time that it is asked for; `first`: where it begins. Raises `Unknown`.
        """
        memory = self._memory(venue, instrument)
        try:
            series = memory.pair.candles(grid(timeframe))
        except ValueError as exc:
            raise Unknown(str(exc)) from None
        known = series.traded()
        rows = [_candle(memory, bar) for bar in known if bar.open_ts > after][:limit]
        first = known[0].open_ts if known else None
        return {"venue": venue, "instrument": instrument, "timeframe": timeframe, "first": first, "candles": rows}

    def figures(self, venue: str, instrument: str, after: int, limit: int) -> dict[str, Any]:
        """Mark and index price, funding and open interest since `after` (ns), oldest first, at most `limit`. Raises `Unknown`, also for an
        instrument that has none.
        """
        memory = self._memory(venue, instrument)
        derivatives = memory.pair.derivatives
        if derivatives is None:
            raise Unknown(f"{venue}, {instrument}: it is no contract")
        rows = [_figures(memory, one) for one in derivatives.known if one.ts > after]
        known = {"first_ts": derivatives.known[0].ts, "inverse": memory.pair.listing.inverse}
        return {"venue": venue, "instrument": instrument, **known, "figures": rows[:limit]}

    def liquidations(self, venue: str, instrument: str, after: int, limit: int) -> dict[str, Any]:
        """Trades with ids above `after` that closed a position by force, oldest first, at most `limit`. Raises `Unknown`."""
        memory = self._memory(venue, instrument)
        listing = memory.pair.listing
        forced = [(ts, fill) for ts, fill in memory.trades if fill.trade_id > after and is_liquidation(listing, fill.trade_id)]
        rows = [_trade(memory, ts, fill) for ts, fill in forced[:limit]]
        return {"venue": venue, "instrument": instrument, "liquidations": rows}

    def _memory(self, venue: str, instrument: str) -> _Memory:
        try:
            return self._memories[venue, instrument]
        except KeyError:
            raise Unknown(f"{venue}, {instrument}: there is no such instrument in the synthetic market") from None

    def _moved(self, move: Move) -> None:
        memory = self._by_pair[move.pair]
        memory.trades.extend((move.ts, fill) for fill in move.fills)
        if move.changes:
            memory.step(Step(move.ts, self._number(move.pair), move.changes))
        self._note(memory, move.ts)

    def _note(self, memory: _Memory, ts: int) -> None:
        bids, asks = memory.pair.bids, memory.pair.asks
        bid, ask = bids.keys[0], asks.keys[0]
        prices = (-bid, bids.sizes[bid], ask, asks.sizes[ask])
        if not memory.tops or memory.tops[-1][2:] != prices:
            memory.tops.append(Top(ts, self._number(memory.pair), *prices))

    def _number(self, pair: Pair) -> int | None:
        return self._market.venues[pair.listing.venue].number(pair.listing.symbol)


def _levels(memory: _Memory, levels: list[tuple[int, int]]) -> list[list[str]]:
    return [[memory.price(price), memory.base_size(size, price)] for price, size in levels]


def _trade(memory: _Memory, ts: int, fill: Fill) -> dict[str, Any]:
    taker = "buy" if fill.buyer_takes else "sell"
    numbers = {"price": memory.price(fill.price), "size": memory.base_size(fill.size, fill.price)}
    return {"id": fill.trade_id, "ts": ts, **numbers, "taker": taker}


def _candle(memory: _Memory, bar: Bar) -> dict[str, Any]:
    one, listing = written(bar, memory), memory.pair.listing
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close}
    bought = None if listing.inverse else f"{listing.base_size(bar.bought, 1):f}"
    volumes = {"volume": one.base_volume, "quote_volume": one.quote_volume, "taker_buy_volume": bought}
    return {"open_ts": one.open_ts, "close_ts": one.close_ts, **prices, **volumes, "trades": one.trades}


def _figures(memory: _Memory, one: Figures) -> dict[str, Any]:
    funding = {"rate": fixed(one.rate, RATE_DECIMALS), "interval_s": memory.pair.listing.funding_s, "next_ts": one.next_ts}
    prices = {"mark_price": memory.price(one.mark_price), "index_price": memory.price(one.index_price)}
    size = memory.base_size(one.open_interest, one.mark_price)
    return {"ts": one.ts, **prices, **(funding if one.next_ts is not None else {}), "open_interest": size}


def _row(memory: _Memory, top: Top) -> dict[str, Any]:
    return {
        "ts": top.ts,
        "number": top.number,
        "bid_price": memory.price(top.bid),
        "bid_size": memory.base_size(top.bid_size, top.bid),
        "ask_price": memory.price(top.ask),
        "ask_size": memory.base_size(top.ask_size, top.ask),
    }
