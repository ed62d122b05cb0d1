"""The market as it truly was, asked of the simulator by HTTP: its trades, and each book as it stood after each of its moves."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec

from crosstape_schemas import Level, Side

DEPTH: Final = 10
"""Levels a side that are remembered of each moment: as many as a `book` on the tape shows."""

KEPT: Final = 40_000
"""Moments, and trades, that are remembered of each instrument."""


class TrueTrade(NamedTuple):
    """One execution in the market. `ts`: its time, ns."""

    id: int
    ts: int
    price: Decimal
    size: Decimal
    taker: Side


class Moment(NamedTuple):
    """A book from `ts` (ns) on, until the next moment. `number`: the venue's own of its newest change, where it has one."""

    ts: int
    number: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def top(self) -> tuple[Level, Level]:
        """Best bid and ask."""
        return self.bids[0], self.asks[0]


class TrueCandle(NamedTuple):
    """The trades of one interval, volumes in base units. Of an inverse contract, which part was bought is not known."""

    open_ts: int
    close_ts: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal | None
    trades: int

    @property
    def inverse(self) -> bool:
        """Whether it is of an inverse contract."""
        return self.taker_buy_volume is None


class TrueFigures(NamedTuple):
    """The figures of a contract from `ts` (ns) on, until the next."""

    ts: int
    mark_price: Decimal
    index_price: Decimal
    open_interest: Decimal
    rate: Decimal | None = None
    interval_s: int | None = None
    next_ts: int | None = None


class TrueBook:
    """One side of a book, in the simplest form. `sign`: 1 asks, -1 bids."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[Decimal] = []
        self._levels: dict[Decimal, Level] = {}
        self._best: tuple[Level, ...] | None = None  # as last asked for, while it is right

    def apply(self, levels: Iterable[Iterable[str]]) -> None:
        """Set sizes; zero removes."""
        for text, size in levels:
            self._best = None
            price, lots = Decimal(text), Decimal(size)
            key = price * self._sign
            if not lots:
                if self._levels.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
                continue
            if key not in self._levels:
                insort(self._keys, key)
            self._levels[key] = price, lots

    def best(self) -> tuple[Level, ...]:
        """The best levels, best first."""
        if self._best is None:
            self._best = tuple(map(self._levels.__getitem__, self._keys[:DEPTH]))
        return self._best


class TrueInstrument:
    """The true market of one instrument of one venue, as far as it has been requested."""

    def __init__(self, venue: str, instrument: str) -> None:
        self.venue = venue
        self.instrument = instrument
        self.trades: dict[int, TrueTrade] = {}
        """Trade id → trade, ascending. Ids that the market skipped are not in it."""
        self.moments: list[Moment] = []
        """Ascending in time and number."""
        self.dropped = 0
        """Moments forgotten before the first of these."""
        self.candles: dict[str, dict[int, TrueCandle]] = defaultdict(dict)
        """Timeframe → `open_ts` → candle, ascending; the last may still be running."""
        self.figures: list[TrueFigures] = []
        """Ascending."""
        self.liquidations: dict[int, TrueTrade] = {}
        """Trade id → trade, ascending."""
        self.inverse = False
        self._moves = 0
        self._bids, self._asks = TrueBook(-1), TrueBook(1)

    def learn_trades(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add the trades of an answer of `/truth/trades`."""
        for row in rows:
            self.trades[row["id"]] = _trade(row)
        for number in list(self.trades)[: max(0, len(self.trades) - KEPT)]:
            del self.trades[number]

    def learn_candles(self, timeframe: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add the candles of an answer of `/truth/candles`, or replace those that were running."""
        for row in rows:
            self.candles[timeframe][row["open_ts"]] = TrueCandle(**_exact(row))

    def learn_figures(self, answer: dict[str, Any]) -> None:
        """Add the figures of an answer of `/truth/figures`."""
        self.inverse = answer["inverse"]
        self.figures += [TrueFigures(**_exact(row)) for row in answer["figures"]]

    def learn_liquidations(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add the liquidations of an answer of `/truth/liquidations`."""
        self.liquidations |= {row["id"]: _trade(row) for row in rows}

    def learn_moves(self, answer: dict[str, Any]) -> None:
        """Add the moves of an answer of `/truth/moves`."""
        if (start := answer.get("start")) is not None:
            self._moves = answer["first"]
            self._move(start)
        for move in answer["moves"]:
            assert move["index"] == self._moves + 1, "the simulator has forgotten moves that were not asked for in time"
            self._moves = move["index"]
            self._move(move)
        if len(self.moments) > 2 * KEPT:
            self.dropped += len(self.moments) - KEPT
            del self.moments[:-KEPT]

    def _move(self, row: dict[str, Any]) -> None:
        self._bids.apply(row["bids"])
        self._asks.apply(row["asks"])
        self.moments.append(Moment(row["ts"], row["number"] or 0, self._bids.best(), self._asks.best()))

    @property
    def moves(self) -> int | None:
        """The number after which to request moves; None: request all."""
        return self._moves if self.moments else None

    def at_number(self, number: int) -> int | None:
        """Index of the moment that shows exactly the changes up to this number; None: it is not of the numbers that are known."""
        if number < self.moments[0].number:
            return None
        return bisect_right(self.moments, number, key=lambda moment: moment.number) - 1

    def within(self, first_ts: int, last_ts: int) -> range:
        """Indexes of the moments that lasted at some time between these, both included."""
        first = bisect_right(self.moments, first_ts, key=lambda moment: moment.ts) - 1
        last = bisect_right(self.moments, last_ts, key=lambda moment: moment.ts)
        return range(max(0, first), last)

    def moved_since(self, ts: int) -> Iterator[int]:
        """Yields the times after `ts` at which it moved, as far as they are remembered, ascending."""
        for moment in self.moments[bisect_right(self.moments, ts, key=lambda moment: moment.ts) :]:
            yield moment.ts

    def never_was(self, number: int) -> bool:
        """Whether the market skipped this trade id: it has trades on both sides of it."""
        if number in self.trades or not self.trades:
            return False
        return next(iter(self.trades)) < number < next(reversed(self.trades))

    def next_top(self, index: int) -> int | None:
        """Returns the time (ns) at which the best prices next differed from those of this moment; None: they have not."""
        top = self.moments[index].top
        return next((self.moments[after].ts for after in range(index + 1, len(self.moments)) if self.moments[after].top != top), None)


class TrueMarket:
    """The true markets of all instruments that are to be checked. `more` brings them up to now."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        instruments: Iterable[tuple[str, str]],
        *,
        timeframes: Mapping[str, Sequence[str]] = MappingProxyType({}),
        contracts: Collection[tuple[str, str]] = (),
    ) -> None:
        """`http`: of the control endpoint. `instruments`: (venue, our name). `timeframes`: of candles, by venue; `contracts`: those of the
        instruments that are contracts.
        """
        self.of = {(venue, name): TrueInstrument(venue, name) for venue, name in instruments}
        self._http = http
        self._timeframes = timeframes
        self._contracts = contracts

    async def more(self) -> None:
        """Ask for what has happened since the last time."""
        for one in self.of.values():
            where = {"venue": one.venue, "instrument": one.instrument}
            after = next(reversed(one.trades), 0)
            one.learn_trades((await self._ask("/truth/trades", {**where, "after": str(after), "limit": str(KEPT)}))["trades"])
            moves = {} if one.moves is None else {"after": str(one.moves)}
            one.learn_moves(await self._ask("/truth/moves", {**where, **moves, "limit": str(KEPT)}))
            for timeframe in self._timeframes.get(one.venue, ()):
                last = str(max(0, next(reversed(one.candles[timeframe]), 0) - 1))  # it may have been running
                found = await self._ask("/truth/candles", {**where, "timeframe": timeframe, "after": last, "limit": str(KEPT)})
                one.learn_candles(timeframe, found["candles"])
            if (one.venue, one.instrument) in self._contracts:
                newest = str(one.figures[-1].ts if one.figures else 0)
                one.learn_figures(await self._ask("/truth/figures", {**where, "after": newest, "limit": str(KEPT)}))
                newest = str(next(reversed(one.liquidations), 0))
                found = await self._ask("/truth/liquidations", {**where, "after": newest, "limit": str(KEPT)})
                one.learn_liquidations(found["liquidations"])

    async def _ask(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        async with self._http.get(path, params=query, raise_for_status=True) as answer:
            found: dict[str, Any] = msgspec.json.decode(await answer.read())
            return found


def _trade(row: dict[str, Any]) -> TrueTrade:
    return TrueTrade(row["id"], row["ts"], Decimal(row["price"]), Decimal(row["size"]), Side(row["taker"]))


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose numbers that are texts are decimals."""
    return {name: Decimal(value) if isinstance(value, str) else value for name, value in row.items()}
