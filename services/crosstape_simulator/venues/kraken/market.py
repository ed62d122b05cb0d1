"""Kraken spot v2, the data: what the synthetic market's moves look like on its channels and in its REST answers.

Docs    https://docs.kraken.com/api/docs/websocket-v2/book, …/guides/spot-ws-book-v2 (checksum)
Quirks  numbers are JSON numbers with all their zeros; a level pushed out of the window is not deleted but sent again when it comes back;
        the checksum is of the ten best levels whatever the depth
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from crosstape_simulator.formats import fixed, iso_us
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes.channels import QuoteChannel, TickerChannel, TradeChannel, Trades
from crosstape_simulator.venues.archetypes.market import ChannelMarket, SymbolSource
from crosstape_simulator.venues.archetypes.symbols import Symbol
from crosstape_simulator.venues.archetypes.windows import Rows, WindowChannel
from crosstape_simulator.venues.kraken import candles
from crosstape_simulator.venues.kraken.protocol import DEPTHS, TRIGGERS, KrakenFeed
from crosstape_simulator.venues.kraken.rest import APART, names, pair_answer, symbol_of
from crosstape_simulator.venues.spec import Options

CHECKED: Final = 10
"""Levels a side that the checksum covers."""

BURST: Final = 15.0
"""Seconds' worth of requests by REST that may come at once."""


def checksum(symbol: Symbol) -> int:
    """CRC-32 of the ten best levels: asks, then bids; of each number the digits without leading zeros, which is the integer itself."""
    bids, asks = symbol.pair.bids, symbol.pair.asks
    ask_digits = [f"{key}{asks.sizes[key]}" for key in asks.keys[:CHECKED]]
    bid_digits = [f"{-key}{bids.sizes[key]}" for key in bids.keys[:CHECKED]]
    return zlib.crc32("".join(ask_digits + bid_digits).encode())


class _Source(SymbolSource):
    feed: KrakenFeed
    instruments: str
    """The frame with all pairs."""

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """Send the snapshot, if the client wants one."""
        wanted = self.feed.wants_snapshot(connection, topic)
        if topic == ("instrument",):
            if wanted:
                connection.send(self.instruments.encode())
            return
        channel = self.by_topic[topic]
        channel.joined(topic)
        if wanted:
            channel.first(connection, topic, self.feed.now)


class KrakenMarket(ChannelMarket):
    """Kraken's channels and REST side."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: Options) -> None:
        """`options`: `requests_per_s` by REST, `Trades` and `OHLC` of each pair apart (0: no limit), and those of the feed."""
        super().__init__([Symbol(pair) for pair in pairs], start_ts)
        source = _Source(self.listed, start_ts)
        feed = source.feed = self._feed = KrakenFeed(source, options)
        source.instruments = _instruments(self.listed.values())
        self.add_feed("", lambda _: feed, source)
        for symbol in self.listed.values():
            name = symbol.name
            for channel in (
                TradeChannel(feed, symbol, ("trade", name), _updates, first=_recent),
                TickerChannel(feed, symbol, ("ticker", name, TRIGGERS[0]), partial(_ticker, "update"), first=partial(_ticker, "snapshot")),
                QuoteChannel(feed, symbol, ("ticker", name, TRIGGERS[1]), partial(_ticker, "update"), first=partial(_ticker, "snapshot")),
                WindowChannel(
                    feed,
                    symbol,
                    {("book", name, str(depth)): depth for depth in DEPTHS},
                    checksum=checksum,
                    write=_book_update,
                    first=_book_snapshot,
                ),
                candles.channel(feed, symbol),
            ):
                self.add_channel(channel)
        rate = options["requests_per_s"]
        self._buckets = {name: Bucket(rate, BURST * rate) for name in ("", *self.listed)}

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: AssetPairs, SystemStatus, Time, Trades, OHLC, Depth. Errors come with HTTP 200."""
        counted = symbol_of(self, query) if path in APART else None
        if not self._buckets[counted or ""].allows(now):
            return answer({"error": ["EGeneral:Too many requests"]}, 429)
        if (found := pair_answer(self, path, query, self._feed.now)) is not None:
            return found
        match path:
            case "/0/public/AssetPairs":
                return self._asset_pairs(query.get("pair"))
            case "/0/public/SystemStatus":
                return answer({"error": [], "result": {"status": self._feed.system, "timestamp": iso_us(now)[:19] + "Z"}})
            case "/0/public/Time":
                return answer({"error": [], "result": {"unixtime": now // 1_000_000_000, "rfc1123": ""}})
            case _:
                return answer({"error": ["EGeneral:Unknown method"]})

    def _asset_pairs(self, wanted: str | None) -> Answer:
        rows = [_asset_pair(symbol) for symbol in self.listed.values()]
        if wanted is not None:
            names = wanted.split(",")
            rows = [row for row in rows if row["altname"] in names or row["wsname"] in names or row["key"] in names]
            if len(rows) < len(names):
                return answer({"error": ["EQuery:Unknown asset pair"]})
        return answer({"error": [], "result": {row.pop("key"): row for row in rows}})


def _rows(symbol: Symbol, levels: Rows) -> str:
    return ",".join([f'{{"price":{symbol.price(price)},"qty":{symbol.size(size)}}}' for price, size in levels])


def _book(symbol: Symbol, kind: str, sides: tuple[Rows, Rows], check: int, ts: int) -> str:
    bids, asks = sides
    data = f'"symbol":"{symbol.name}","bids":[{_rows(symbol, bids)}],"asks":[{_rows(symbol, asks)}]'
    tail = f'"checksum":{check},"timestamp":"{iso_us(ts)}"'
    return f'{{"channel":"book","type":"{kind}","data":[{{{data},{tail}}}]}}'


def _book_update(symbol: Symbol, bids: Rows, asks: Rows, check: int, ts: int) -> str:
    return _book(symbol, "update", (bids, asks), check, ts)


def _book_snapshot(symbol: Symbol, depth: int, ts: int) -> str:
    sides = symbol.pair.bids.levels(depth), symbol.pair.asks.levels(depth)
    return _book(symbol, "snapshot", sides, checksum(symbol), ts)


def _updates(symbol: Symbol, trades: Trades) -> Iterator[str]:
    yield _trades(symbol, "update", trades)


def _recent(symbol: Symbol, ts: int) -> str:
    return _trades(symbol, "snapshot", symbol.pair.recent)


def _trades(symbol: Symbol, kind: str, trades: Trades) -> str:
    rows = []
    for ts, fill in trades:
        side = "buy" if fill.buyer_takes else "sell"
        what = f'"side":"{side}","price":{symbol.price(fill.price)},"qty":{symbol.size(fill.size)},"ord_type":"market"'
        rows.append(f'{{"symbol":"{symbol.name}",{what},"trade_id":{fill.trade_id},"timestamp":"{iso_us(ts)}"}}')
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


def _ticker(kind: str, symbol: Symbol, ts: int) -> str:
    pair, best, last = symbol.pair, symbol.best, symbol.pair.last.price
    prices = (
        f'"bid":{symbol.price(best.bid)},"bid_qty":{symbol.size(best.bid_size)},'
        f'"ask":{symbol.price(best.ask)},"ask_qty":{symbol.size(best.ask_size)}'
    )
    vwap, change = pair.turnover // pair.volume, last - pair.open
    day = (
        f'"last":{symbol.price(last)},"volume":{symbol.size(pair.volume)},"vwap":{symbol.price(vwap)},"low":{symbol.price(pair.low)},'
        f'"high":{symbol.price(pair.high)},"change":{symbol.price(change)},"change_pct":{fixed(change * 10_000 // pair.open, 2)}'
    )
    row = f'{{"symbol":"{symbol.name}",{prices},{day},"timestamp":"{iso_us(ts)}"}}'
    return f'{{"channel":"ticker","type":"{kind}","data":[{row}]}}'


def _instruments(symbols: Iterable[Symbol]) -> str:
    listed = tuple(symbols)
    names = sorted({name for symbol in listed for name in (symbol.pair.listing.base, symbol.pair.listing.quote)})
    assets = ",".join([f'{{"id":"{name}","status":"enabled","precision":10,"precision_display":5,"borrowable":false}}' for name in names])
    pairs = ",".join([_pair_row(symbol) for symbol in listed])
    return f'{{"channel":"instrument","type":"snapshot","data":{{"assets":[{assets}],"pairs":[{pairs}]}}}}'


def _pair_row(symbol: Symbol) -> str:
    listing = symbol.pair.listing
    tick, lot = symbol.price(1), symbol.size(1)
    head = f'"symbol":"{symbol.name}","base":"{listing.base}","quote":"{listing.quote}","status":"online"'
    digits = f'"qty_precision":{listing.size_decimals},"qty_increment":{lot},"price_precision":{listing.price_decimals},"cost_precision":5'
    flags = '"marginable":false,"has_index":true,"cost_min":0.50'
    return f'{{{head},{digits},{flags},"tick_size":{tick},"price_increment":{tick},"qty_min":{lot}}}'


def _asset_pair(symbol: Symbol) -> dict[str, object]:
    listing = symbol.pair.listing
    rest = names(symbol.name)
    return {
        "key": rest.key,
        "altname": rest.altname,
        "wsname": rest.wsname,
        "aclass_base": "currency",
        "base": rest.base,
        "aclass_quote": "currency",
        "quote": rest.quote,
        "cost_decimals": 5,
        "pair_decimals": listing.price_decimals,
        "lot_decimals": listing.size_decimals,
        "lot_multiplier": 1,
        "fees": [],
        "fees_maker": [],
        "ordermin": symbol.size(1),
        "costmin": "0.5",
        "tick_size": symbol.price(1),
        "status": "online",
    }
