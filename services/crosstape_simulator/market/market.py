"""The synthetic market: one fair price an asset, one real book a pair, and orders that change it.

Pure: random numbers come from the seed, time comes in as a value. The same seed, start and listings give the same moves at the same times,
however often and in whatever steps it is asked to go on. A book never crosses, because an order that would is matched first.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_simulator.formats import NS
from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.candles import Deal, Series
from crosstape_simulator.market.derivatives import Derivatives
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.listings import PRICES, SCALE, STEADY, USD_PER_USDT_PPM, WEIGHTS, Listing
from crosstape_simulator.market.past import Fill as Fill  # noqa: PLC0414  (others take it from here)
from crosstape_simulator.market.past import Past

RECENT: Final = 50
"""Trades of a pair that a new subscriber gets."""

PAST: Final = 5_000
"""Trades of a pair that are remembered for REST; beyond, the oldest is dropped."""

_VOLATILITY: Final = 2_400_000_000  # the larger, the calmer: about half a basis point per square root of a second
_PULL_US: Final = 3_600_000_000  # the fair price is drawn back to where it began within about an hour
_SKEW_MAX: Final = 1_500  # of 10^8: a venue's price strays from the fair one by 0.15 basis points at most
_HALF_SPREAD: Final = 2_000  # of 10^8: 0.2 basis points
_REACH_PPM: Final = 4_000  # the book reaches 0.4 % from its best price
_LEVEL_NOTIONAL: Final = 400  # quote units in the unit that sizes are drawn in
_SWEEP: Final = 16  # levels that one order takes at most
_THIN: Final = 12  # levels that a side keeps: below, nothing is taken or cancelled


class Change(NamedTuple):
    """The new size of a level; zero: the level is gone."""

    bid: bool
    price: int
    size: int


class Move(NamedTuple):
    """What one order, or one shift, did to a pair's book, which already shows it. A pair that rests makes empty moves."""

    ts: int
    pair: Pair
    changes: list[Change]
    fills: list[Fill]


class Oddities:
    """What is odd in a venue's REST answers about the past of a pair. Set by faults."""

    def __init__(self) -> None:
        self.overlap = 0
        """Trades that a page repeats of the page before."""
        self.twice = 0
        """Every so many candles one has two rows, of which the first is wrong; 0: none."""
        self.moves = 0
        """In how many answers the newest closed candles have not yet all of their volume."""


class Pair:
    """One pair on one venue: its book, its trades, its day so far."""

    def __init__(self, listing: Listing, start_ts: int) -> None:
        self.listing = listing
        self.bids, self.asks = BookSide(), BookSide()
        self.tick = 10 ** (SCALE - listing.price_decimals)
        price = _quoted(PRICES[listing.base], listing.quote)
        self.gap = max(1, price // self.tick * _REACH_PPM // 1_000_000 // 254)
        self.lot = _usual_lots(listing, price)
        self.skew = 0
        self.rests = 0
        """How many faults make its market rest: no order is made while it is not 0."""
        self.trade_id = start_ts // 1_000_000  # grows over restarts too, if less than a thousand trades a second
        self.recent: deque[tuple[int, Fill]] = deque(maxlen=RECENT)
        """(ts, fill) of the newest trades, oldest first."""
        self.past: deque[tuple[int, Fill]] = deque(maxlen=PAST)
        """(ts, fill) of the trades that are remembered, oldest first."""
        self.open = self.high = self.low = price // self.tick
        self.first_id = self.trade_id + 1
        self.volume = self.lot * 40_000
        """Lots traded since the start, on top of a usual day's volume."""
        self.turnover = self.volume * self.open
        """The same in ticks × lots."""
        self.derivatives = Derivatives(listing, start_ts) if listing.is_contract else None
        """Mark price, funding and the like; None: it is no contract."""
        self.before: Past | None = None
        """The trades before the market began; None: there are none."""
        self.oddities = Oddities()
        """What is odd in REST answers about its past."""
        self._series: dict[Grid, Series] = {}

    def go_back(self, hours: int, per_hour: int, seed: int) -> None:
        """Give the pair a past, and let it forget no trade from now on."""
        first_ts, first = self.past[0]
        self.before = Past(
            self.listing,
            end_ts=first_ts,
            last_id=first.trade_id - 1,
            price=first.price,
            lot=self.lot,
            hours=hours,
            per_hour=per_hour,
            seed=seed,
        )
        self.past = deque(self.past)

    def candles(self, grid: Grid) -> Series:
        """The candles on a grid, from the oldest trade that is remembered; kept from now on."""
        if (series := self._series.get(grid)) is None:
            past = [Deal(ts, *fill) for ts, fill in self.past]
            is_complete = len(past) < PAST
            series = self._series[grid] = Series(grid, past, is_complete=is_complete, by_price=self.listing.inverse)
        return series

    @property
    def last(self) -> Fill:
        """The newest trade."""
        return self.recent[-1][1]

    def traded(self, ts: int, fill: Fill) -> None:
        """Add a trade."""
        self.recent.append((ts, fill))
        self.past.append(self.recent[-1])
        self.high, self.low = max(self.high, fill.price), min(self.low, fill.price)
        self.volume += fill.size
        self.turnover += fill.price * fill.size
        if self._series:
            deal = Deal(ts, *fill)
            for series in self._series.values():
                series.add(deal)


class _Asset:
    def __init__(self, name: str, start_ts: int) -> None:
        self.base = self.fair = PRICES[name]
        self.ts = start_ts


class Market:
    """All pairs of all venues."""

    def __init__(self, listings: Sequence[Listing], *, seed: int, start_ts: int, rate: float, levels: int) -> None:
        """`rate`: orders a second in all; `levels`: of each side, about."""
        self._random = random.Random(seed)  # noqa: S311 - a market, not a secret
        self._bits = self._random.getrandbits
        self._levels = levels
        self._usual = self._interval = max(1, int(NS / rate))
        self._next_ts = start_ts + self._interval
        self._assets = {name: _Asset(name, start_ts) for name in sorted({listing.base for listing in listings})}
        self.pairs = {(listing.venue, listing.symbol): Pair(listing, start_ts) for listing in listings}
        self._wheel = [pair for pair in self.pairs.values() for _ in range(WEIGHTS.get(pair.listing.base, 1))]
        for pair in self.pairs.values():
            self._furnish(pair, start_ts)

    def step(self) -> Move:
        """Make the next move, at `next_ts`."""
        due = self._next_ts
        self._next_ts = due + self._interval * (1 + self._bits(10)) // 512
        pair = self._wheel[self._bits(16) % len(self._wheel)]
        return Move(due, pair, [], []) if pair.rests else self._order(pair, due)

    def until(self, ts: int) -> Iterator[Move]:
        """The moves due up to and including `ts`, each made when it is iterated."""
        while self._next_ts <= ts:
            yield self.step()

    @property
    def next_ts(self) -> int:
        """When the next move is due."""
        return self._next_ts

    def hasten(self, factor: float) -> None:
        """From the move after the next on, make `factor` times as many orders a second as `rate`."""
        self._interval = max(1, int(self._usual / factor))

    def skip_to(self, ts: int) -> None:
        """Make no move before `ts`: for a machine that is too slow."""
        self._next_ts = max(self._next_ts, ts)

    def shift(self, pair: Pair, percent: float, ts: int) -> Move:
        """Move all levels of a pair's book by `percent` of its price, at least by a tick; nothing is traded."""
        move = Move(ts, pair, [], [])
        ticks = round(pair.asks.keys[0] * percent / 100) or (1 if percent > 0 else -1)
        for side, bid in ((pair.bids, True), (pair.asks, False)):
            before = {abs(key): side.sizes[key] for key in side.keys}
            after = {price + ticks: size for price, size in before.items() if price + ticks > 0}
            move.changes.extend(Change(bid, price, 0) for price in before if price not in after)
            move.changes.extend(Change(bid, price, size) for price, size in after.items() if before.get(price) != size)
        for change in move.changes:
            (pair.bids if change.bid else pair.asks).set(-change.price if change.bid else change.price, change.size)
        return move

    def _target(self, pair: Pair, ts: int) -> tuple[int, int]:
        """Where the pair's best bid and ask should be now, in ticks."""
        asset = self._assets[pair.listing.base]
        elapsed = min((ts - asset.ts) // 1000, 1_000_000)
        asset.ts = ts
        swing = self._bits(8) + self._bits(8) - 255
        if pair.listing.base not in STEADY:
            asset.fair += asset.fair * swing * math.isqrt(elapsed) // _VOLATILITY + (asset.base - asset.fair) * elapsed // _PULL_US
        pair.skew = max(-_SKEW_MAX, min(_SKEW_MAX, pair.skew + (self._bits(8) - 128) * math.isqrt(elapsed) // 500))
        fair = _quoted(asset.fair, pair.listing.quote)
        middle = fair + fair * pair.skew // 10**8
        half = max(pair.tick // 2, fair * _HALF_SPREAD // 10**8)
        bid = (middle - half) // pair.tick
        return bid, max(bid + 1, -(-(middle + half) // pair.tick))

    def _order(self, pair: Pair, ts: int) -> Move:
        """Make one order: marketable if the price has moved past the book, else now and then; most orders are placed or cancelled."""
        move = Move(ts, pair, [], [])
        bid, ask = self._target(pair, ts)
        draw = self._bits(8)
        if pair.asks.keys[0] <= bid and len(pair.asks.keys) > _THIN:
            self._take(move, buy=True, limit=bid, size=pair.lot << 12)
        elif -pair.bids.keys[0] >= ask and len(pair.bids.keys) > _THIN:
            self._take(move, buy=False, limit=-ask, size=pair.lot << 12)
        elif draw < 28:
            buy = bool(draw & 1)
            best = pair.asks.keys[0] if buy else pair.bids.keys[0]
            self._take(move, buy=buy, limit=best + 3 * pair.gap, size=1 + pair.lot * self._bits(7) // 16)
        elif draw < 100:
            self._cancel(move, bid=bool(draw & 1))
        else:
            self._place(move, bid=bool(draw & 1), near=bid if draw & 1 else ask)
        return move

    def _take(self, move: Move, *, buy: bool, limit: int, size: int) -> None:
        pair = move.pair
        side = pair.asks if buy else pair.bids
        while size and len(side.keys) > _THIN and side.keys[0] <= limit and len(move.fills) < _SWEEP:
            key = side.keys[0]
            resting = side.sizes[key]
            taken = min(size, resting)
            side.set(key, resting - taken)
            pair.trade_id += 1
            fill = Fill(pair.trade_id, abs(key), taken, buy)
            move.changes.append(Change(not buy, abs(key), resting - taken))
            move.fills.append(fill)
            pair.traded(move.ts, fill)
            size = 0 if pair.listing.one_level else size - taken

    def _cancel(self, move: Move, *, bid: bool) -> None:
        side = move.pair.bids if bid else move.pair.asks
        if len(side.keys) <= _THIN:
            return
        key = side.keys[self._bits(8) * len(side.keys) >> 8]
        left = 0 if self._bits(1) else side.sizes[key] >> 1
        side.set(key, left)
        move.changes.append(Change(bid, abs(key), left))

    def _place(self, move: Move, *, bid: bool, near: int) -> None:
        """Place a limit order near the best price, never through the other side. A full side loses its worst level for it."""
        pair = move.pair
        shape = self._bits(17)  # half of the orders join the best price or nearly, the others spread over the book
        distance = (shape >> 1 & 7) * pair.gap >> 3 if shape & 1 else (shape >> 1 & 255) * (shape >> 9) * pair.gap >> 8
        size = 1 + pair.lot * self._bits(7) // 16 + self._bits(20) % pair.lot
        side = pair.bids if bid else pair.asks
        price = max(1, min(near - distance, pair.asks.keys[0] - 1)) if bid else max(near + distance, 1 - pair.bids.keys[0])
        key = -price if bid else price
        if pair.listing.one_level and len(side.keys) >= self._levels and key not in side.sizes:
            key, size = side.keys[-1], 0  # the order waits until there is room for it
        side.set(key, size)
        move.changes.append(Change(bid, abs(key), size))
        if len(side.keys) > self._levels and side.keys[-1] != key:
            worst = side.keys[-1]
            side.set(worst, 0)
            move.changes.append(Change(bid, abs(worst), 0))

    def _furnish(self, pair: Pair, ts: int) -> None:
        """Make the book and the last trades that exist at the start."""
        bid, ask = self._target(pair, ts)
        for index in range(self._levels):
            for near, is_bid in ((bid, True), (ask, False)):
                away = index * pair.gap
                price = max(1, near - away) if is_bid else near + away
                size = 1 + pair.lot * self._bits(7) // 16 + self._bits(20) % pair.lot
                (pair.bids if is_bid else pair.asks).set(-price if is_bid else price, size)
        for index in range(RECENT):
            buy = bool(self._bits(1))
            pair.trade_id += 1
            fill = Fill(pair.trade_id, ask if buy else bid, 1 + self._bits(20) % pair.lot, buy)
            pair.traded(ts - (RECENT - index) * 100_000_000, fill)


def _usual_lots(listing: Listing, price: int) -> int:
    """Lots in the unit that sizes are drawn in."""
    notional: int = _LEVEL_NOTIONAL * 10**listing.size_decimals
    if not listing.is_contract:
        return max(1, notional * 10**SCALE // price)
    size = Decimal(listing.contract_size)
    return max(1, int(notional / size if listing.inverse else notional * 10**SCALE / (price * size)))


def _quoted(usdt: int, quote: str) -> int:
    return usdt * USD_PER_USDT_PPM // 1_000_000 if quote == "USD" else usdt
