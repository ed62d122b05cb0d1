"""What REST answers are made of: the trades that a venue remembers of each symbol, and its best prices.

The venues' REST modules write them in their own format; the synthetic market or a recording supplies them. Of each symbol the newest
`market.PAST` trades are remembered, each new one drops the oldest: a page that would begin before begins there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.candles import Bar
from crosstape_simulator.market.grid import DAY_S, Grid, Interval
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Fill, Pair
from crosstape_simulator.market.past import Chained

PairRow = tuple[int, Fill]
"""When a trade of the synthetic market was (ns), and what."""
Times = tuple[int | None, int | None]
"""From … to, both included (ns); None: as far as there is anything."""
EVER: Final[Times] = (None, None)
R = TypeVar("R")
Best = tuple[str, str] | None
"""Price and size of one side's best level; None: the side is empty."""


class Traded(NamedTuple):
    """One execution, as the venue writes its numbers."""

    trade_id: int
    ts: int
    price: str
    size: str
    buyer_takes: bool


class Candle(NamedTuple):
    """The trades of one interval. Prices and volumes as the venue writes those of trades; of a contract, volumes are contracts."""

    open_ts: int
    close_ts: int
    """Up to, not including (ns)."""
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    """In the quote asset; of an inverse contract in quote units too: contracts × their size."""
    trades: int
    bought: str
    """The part of `volume` whose taker bought, …"""
    bought_quote: str
    """… and of `quote_volume`."""
    base_volume: str
    """In base units; of anything but an inverse contract exact."""
    last_ts: int
    """Time of the newest trade; without one, `open_ts` (ns)."""
    first_id: int
    last_id: int
    """Of its trades; 0: there are none."""

    @property
    def is_empty(self) -> bool:
        """Whether it holds no trade: its prices are the close before."""
        return not self.trades


def candles(trades: Iterable[Traded], grid: Grid) -> list[Candle]:
    """Candles made of written trades, oldest first; none where there was no trade. The first may lack trades that are forgotten."""
    made: dict[Interval, list[Traded]] = {}
    for one in trades:
        made.setdefault(grid.interval(one.ts), []).append(one)
    return [_of_trades(interval, rows) for interval, rows in made.items()]


def _of_trades(interval: Interval, trades: Sequence[Traded]) -> Candle:
    prices = [one.price for one in trades]
    bought = [one for one in trades if one.buyer_takes]
    volume, value, taken, taken_value = (f"{total:f}" for rows in (trades, bought) for total in _totals(rows))
    return Candle(
        *interval,
        open=prices[0],
        high=max(prices, key=Decimal),
        low=min(prices, key=Decimal),
        close=prices[-1],
        volume=volume,
        quote_volume=value,
        trades=len(trades),
        bought=taken,
        bought_quote=taken_value,
        base_volume=volume,
        last_ts=trades[-1].ts,
        first_id=trades[0].trade_id,
        last_id=trades[-1].trade_id,
    )


def carried(rows: Sequence[Candle]) -> list[Candle]:
    """The same candles, each opened at the close before it, which may be its highest or its lowest price; the first stays as it is."""
    made = list(rows[:1])
    for before, one in pairwise(rows):
        price = before.close
        made.append(one._replace(open=price, high=max(one.high, price, key=Decimal), low=min(one.low, price, key=Decimal)))
    return made


def _totals(trades: Iterable[Traded]) -> tuple[Decimal, Decimal]:
    rows = [(Decimal(one.price), Decimal(one.size)) for one in trades]
    return sum((size for _, size in rows), Decimal()), sum((price * size for price, size in rows), Decimal())


def written(bar: Bar, pair: PairFormat) -> Candle:
    """A candle of the synthetic market as its venue writes numbers."""
    listing = pair.pair.listing
    return Candle(
        bar.open_ts,
        bar.close_ts,
        open=pair.price(bar.open),
        high=pair.price(bar.high),
        low=pair.price(bar.low),
        close=pair.price(bar.close),
        volume=pair.size(bar.volume),
        quote_volume=_value(listing, bar.volume, bar.turnover),
        trades=bar.trades,
        bought=pair.size(bar.bought),
        bought_quote=_value(listing, bar.bought, bar.bought_turnover),
        base_volume=_inverse_base(listing, bar) if listing.inverse else f"{listing.base_size(bar.volume, 1):f}",
        last_ts=bar.last_ts,
        first_id=bar.first_id,
        last_id=bar.last_id,
    )


def _value(listing: Listing, lots: int, turnover: int) -> str:
    """The quote units of a number of lots: exact."""
    if listing.inverse:
        return f"{Decimal(lots).scaleb(-listing.size_decimals) * Decimal(listing.contract_size):f}"
    value = fixed(turnover, listing.price_decimals + listing.size_decimals)
    return f"{Decimal(value) * Decimal(listing.contract_size):f}" if listing.is_contract else value


def _inverse_base(listing: Listing, bar: Bar) -> str:
    """The base units of an inverse contract's lots: cut to 8 decimals, as venues write them."""
    total = sum((listing.base_size(lots, price) for price, lots in bar.per_price.items()), Decimal())
    return f"{total:.8f}"


class Top(NamedTuple):
    """The best prices as they are now."""

    bid: Best
    ask: Best
    number: int = 0
    """The venue's number of the last change, where its answer has one."""


class TradeHistory(Generic[R]):
    """The trades of one symbol that are remembered. All answers are oldest first; only what is asked for is written out."""

    def __init__(
        self, rows: Sequence[R], number: Callable[[R], int], moment: Callable[[R], int], write: Callable[[R], Traded], *, overlap: int = 0
    ) -> None:
        """`rows`: ascending by id (`number`) and time (`moment`). `overlap`: see `Oddities`."""
        self._overlap = overlap
        self._rows = rows
        self._number = number
        self._moment = moment
        self._write = write

    @property
    def last_ts(self) -> int | None:
        """When the newest trade was (ns); None: there is none."""
        return self._moment(self._rows[-1]) if self._rows else None

    def between(self, start_ts: int, end_ts: int, limit: int | None = None) -> list[Traded]:
        """The trades between two times (ns), both included: all, or the first `limit`."""
        begin = bisect_left(self._rows, start_ts, key=self._moment)
        end = bisect_right(self._rows, end_ts, key=self._moment)
        return self._written(begin, end if limit is None else min(end, begin + limit))

    def newest_between(self, start_ts: int, end_ts: int, limit: int) -> list[Traded]:
        """The last `limit` trades between two times (ns), both included."""
        begin = bisect_left(self._rows, start_ts, key=self._moment)
        end = bisect_right(self._rows, end_ts, key=self._moment)
        return self._written(max(begin, end - limit), end)

    def newest(self, limit: int) -> list[Traded]:
        """The last `limit` trades."""
        return self._written(max(0, len(self._rows) - limit), len(self._rows))

    def since(self, first: int, limit: int) -> list[Traded]:
        """The first `limit` trades with an id of `first` or above."""
        begin = max(0, bisect_left(self._rows, first, key=self._number) - self._overlap)
        return self._written(begin, begin + limit)

    def below(self, before: int, limit: int) -> list[Traded]:
        """The last `limit` trades with an id below `before`."""
        end = bisect_left(self._rows, before, key=self._number) + self._overlap
        return self._written(max(0, end - limit), end)

    def after(self, ts: int, limit: int) -> list[Traded]:
        """The first `limit` trades that were made later than `ts` (ns)."""
        begin = max(0, bisect_right(self._rows, ts, key=self._moment) - self._overlap)
        return self._written(begin, begin + limit)

    def _written(self, begin: int, end: int) -> list[Traded]:
        return [self._write(row) for row in self._rows[begin:end]]


class MarketData(Protocol):
    """Supplies trades and best prices."""

    def symbols(self) -> Sequence[str]:
        """All symbols."""
        ...

    def history(self, symbol: str) -> TradeHistory[PairRow] | TradeHistory[Traded] | None:
        """The trades of a symbol; None: the symbol is unknown."""
        ...

    def top(self, symbol: str) -> Top | None:
        """The best prices of a symbol; None: the symbol is unknown, or it has none yet."""
        ...

    def candles(self, symbol: str, grid: Grid, *, flat: bool = False, times: Times = EVER) -> list[Candle] | None:
        """The candles of a symbol, oldest first, the last is the running one; None: the symbol is unknown. `flat`: with one at the
        price before for each interval without trades. Those of a deep past that begin outside of `times` may be left out.
        """
        ...


class PairFormat(Protocol):
    """A pair and how its venue writes numbers."""

    @property
    def pair(self) -> Pair:
        """The pair of the synthetic market."""
        ...

    def price(self, ticks: int) -> str:
        """Write a price."""
        ...

    def size(self, lots: int) -> str:
        """Write a size."""
        ...


def history_of(written: PairFormat) -> TradeHistory[PairRow]:
    """The trades of a pair of the synthetic market."""

    def write(row: PairRow) -> Traded:
        ts, fill = row
        return Traded(fill.trade_id, ts, written.price(fill.price), written.size(fill.size), fill.buyer_takes)

    pair = written.pair
    rows = list(pair.past) if pair.before is None else Chained(pair.before, list(pair.past))
    return TradeHistory(rows, lambda row: row[1].trade_id, lambda row: row[0], write, overlap=pair.oddities.overlap)


def top_of(written: PairFormat) -> Top:
    """The best prices of its book now."""
    bids, asks = written.pair.bids.levels(1), written.pair.asks.levels(1)
    bid, ask = ([(written.price(price), written.size(size)) for price, size in levels] for levels in (bids, asks))
    return Top(bid[0] if bid else None, ask[0] if ask else None)


def level(price: str, size: str) -> Best:
    """A side's best level; None if its size is zero."""
    return (price, size) if size.strip("0.") else None


def asked_times(grid: Grid, limit: int, start_ts: int | None, end_ts: int | None) -> Times:
    """The two times of `MarketData.candles` for a request of `limit` candles, of which one bound or none may be given (ns)."""
    span = limit * (grid.length_s or 31 * DAY_S) * NS
    if start_ts is not None and (end_ts is None or end_ts > start_ts + span):
        end_ts = start_ts + span
    elif start_ts is None and end_ts is not None:
        start_ts = end_ts - span
    return start_ts, end_ts


def integer(text: str | None, usual: int) -> int | None:
    """A number in a query; `usual` where there is none, None for what is no integer of 1 to 20 digits."""
    if text is None:
        return usual
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 20 else None
