"""Kraken spot v2, the data: what the synthetic market's moves look like on its channels and in its REST answers.

Docs    https://docs.kraken.com/api/docs/websocket-v2/book, …/guides/spot-ws-book-v2 (checksum)
Quirks  numbers are JSON numbers with all their zeros; a level pushed out of the window is not deleted but sent again when it comes back;
        the checksum is of the ten best levels whatever the depth
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from crosstape_simulator.formats import fixed, iso_us
from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.history import Top, TradeHistory, history_of, top_of
from crosstape_simulator.market.market import Fill, Move, Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.kraken.protocol import TRIGGERS, KrakenFeed
from crosstape_simulator.venues.kraken.rest import TRADES, names, pair_answer, symbol_of

CHECKED: Final = 10
"""Levels a side that the checksum covers."""

BURST: Final = 15.0
"""Seconds' worth of requests by REST that may come at once."""


def checksum(bids: BookSide, asks: BookSide) -> int:
    """CRC-32 of the ten best levels: asks, then bids; of each number the digits without leading zeros, which is the integer itself."""
    ask_digits = [f"{key}{asks.sizes[key]}" for key in asks.keys[:CHECKED]]
    bid_digits = [f"{-key}{bids.sizes[key]}" for key in bids.keys[:CHECKED]]
    return zlib.crc32("".join(ask_digits + bid_digits).encode())


class Window:
    """The best `depth` levels of one side as a client that truncates holds them, and how an update keeps it so."""

    def __init__(self, side: BookSide, depth: int) -> None:
        self._side = side
        self._depth = depth
        self._worst = self._edge()

    def changes(self, changed: Mapping[int, int]) -> list[tuple[int, int]]:
        """(key, size) to send now that levels `changed`; zero removes. One pushed out is not mentioned, one back in is sent again."""
        before, after = self._worst, self._edge()
        self._worst = after
        sent = [(key, size) for key, size in changed.items() if (edge := after if size else before) is None or key <= edge]
        if before is not None and (after is None or after > before):
            keys = self._side.keys
            back = keys[bisect_right(keys, before) : self._depth]
            sent += [(key, self._side.sizes[key]) for key in back if key not in changed]
        return sent

    def _edge(self) -> int | None:
        """Key of the worst level inside; None: there is room for more."""
        keys = self._side.keys
        return keys[self._depth - 1] if len(keys) >= self._depth else None


class _Symbol:
    """One symbol: its windows, and what was last said of its best prices."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.name = pair.listing.symbol
        self.windows: dict[int, tuple[Window, Window]] = {}
        self.top = (0, 0, 0, 0)

    def price(self, ticks: int) -> str:
        return fixed(ticks, self.pair.listing.price_decimals)

    def size(self, lots: int) -> str:
        return fixed(lots, self.pair.listing.size_decimals)

    def rows(self, levels: Sequence[tuple[int, int]]) -> str:
        return ",".join([f'{{"price":{self.price(abs(key))},"qty":{self.size(size)}}}' for key, size in levels])


class KrakenMarket:
    """The source of `KrakenFeed`'s data, and the REST side."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, *, messages_per_s: int, requests_per_s: float) -> None:
        """`requests_per_s`: by REST, `Trades` of each pair apart; 0: no limit."""
        self.feed = KrakenFeed(self, messages_per_s=messages_per_s)
        self.feed.now = start_ts
        self.due = 1 << 62
        self._symbols = {pair.listing.symbol: _Symbol(pair) for pair in pairs}
        self._buckets = {name: Bucket(requests_per_s, BURST * requests_per_s) for name in ("", *self._symbols)}

    def lists(self, symbol: str) -> bool:
        """Whether there is such a pair."""
        return symbol in self._symbols

    def depth(self, symbol: str) -> int | None:
        """Any that the venue offers."""
        return None

    def holds_acks(self) -> bool:
        """Never."""
        return False

    def greeting(self) -> bytes | None:
        """The feed's own."""
        return None

    def beats(self) -> bool:
        """Always."""
        return True

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """The snapshot, if the client wants one."""
        wanted = self.feed.wants_snapshot(connection, topic)
        if topic == ("instrument",):
            if wanted:
                connection.send(self._instruments().encode())
            return
        symbol = self._symbols[topic[1]]
        match topic[0]:
            case "book":
                depth = int(topic[2])
                if len(self.feed.subscribers[topic]) == 1:
                    symbol.windows[depth] = (Window(symbol.pair.bids, depth), Window(symbol.pair.asks, depth))
                if wanted:
                    connection.send(self._book_snapshot(symbol, depth).encode())
            case "ticker" if wanted:
                connection.send(_ticker(symbol, "snapshot", self.feed.now).encode())
            case "trade" if wanted:
                connection.send(_trades(symbol, "snapshot", symbol.pair.recent).encode())

    def apply(self, move: Move) -> None:
        """Everything goes out at once."""
        self.feed.now = move.ts
        symbol = self._symbols[move.pair.listing.symbol]
        if move.fills:
            if (topic := ("trade", symbol.name)) in self.feed.subscribers:
                self.feed.publish(topic, _trades(symbol, "update", [(move.ts, fill) for fill in move.fills]).encode())
            self._publish_ticker(symbol, TRIGGERS[0], move.ts)
        bids, asks = move.pair.bids, move.pair.asks
        bid, ask = bids.keys[0], asks.keys[0]
        top = (bid, bids.sizes[bid], ask, asks.sizes[ask])
        if top != symbol.top:
            symbol.top = top
            self._publish_ticker(symbol, TRIGGERS[1], move.ts)
        if symbol.windows:
            self._books(symbol, move)

    def flush(self, ts: int) -> None:
        """Nothing is gathered."""

    def number(self, symbol: str) -> int | None:
        """There is none: Kraken's books have a checksum."""
        return None

    def symbols(self) -> Sequence[str]:
        """See `MarketData`."""
        return tuple(self._symbols)

    def history(self, symbol: str) -> TradeHistory[tuple[int, Fill]] | None:
        """See `MarketData`."""
        return history_of(self._symbols[symbol]) if symbol in self._symbols else None

    def top(self, symbol: str) -> Top | None:
        """See `MarketData`."""
        return top_of(self._symbols[symbol]) if symbol in self._symbols else None

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: AssetPairs, SystemStatus, Time, Trades, Depth. Errors come with HTTP 200."""
        counted = symbol_of(self, query) if path == TRADES else None
        if not self._buckets[counted or ""].take(now):
            return answer({"error": ["EGeneral:Too many requests"]}, 429)
        if (found := pair_answer(self, path, query, self.feed.now)) is not None:
            return found
        match path:
            case "/0/public/AssetPairs":
                return self._asset_pairs(query.get("pair"))
            case "/0/public/SystemStatus":
                return answer({"error": [], "result": {"status": self.feed.system, "timestamp": iso_us(now)[:19] + "Z"}})
            case "/0/public/Time":
                return answer({"error": [], "result": {"unixtime": now // 1_000_000_000, "rfc1123": ""}})
            case _:
                return answer({"error": ["EGeneral:Unknown method"]})

    def _books(self, symbol: _Symbol, move: Move) -> None:
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for bid, price, size in move.changes:
            changed[0 if bid else 1][-price if bid else price] = size
        check: int | None = None
        for depth, (bids, asks) in tuple(symbol.windows.items()):
            if (topic := ("book", symbol.name, str(depth))) not in self.feed.subscribers:
                del symbol.windows[depth]
                continue
            sent_bids, sent_asks = bids.changes(changed[0]), asks.changes(changed[1])
            if not sent_bids and not sent_asks:
                continue
            check = checksum(move.pair.bids, move.pair.asks) if check is None else check
            data = f'"symbol":"{symbol.name}","bids":[{symbol.rows(sent_bids)}],"asks":[{symbol.rows(sent_asks)}]'
            tail = f'"checksum":{check},"timestamp":"{iso_us(move.ts)}"'
            self.feed.publish(topic, f'{{"channel":"book","type":"update","data":[{{{data},{tail}}}]}}'.encode())

    def _book_snapshot(self, symbol: _Symbol, depth: int) -> str:
        bids, asks = symbol.pair.bids, symbol.pair.asks
        levels = f'"bids":[{symbol.rows(bids.levels(depth))}],"asks":[{symbol.rows(asks.levels(depth))}]'
        tail = f'"checksum":{checksum(bids, asks)},"timestamp":"{iso_us(self.feed.now)}"'
        return f'{{"channel":"book","type":"snapshot","data":[{{"symbol":"{symbol.name}",{levels},{tail}}}]}}'

    def _publish_ticker(self, symbol: _Symbol, trigger: str, ts: int) -> None:
        if (topic := ("ticker", symbol.name, trigger)) in self.feed.subscribers:
            self.feed.publish(topic, _ticker(symbol, "update", ts).encode())

    def _instruments(self) -> str:
        names = sorted({name for symbol in self._symbols.values() for name in (symbol.pair.listing.base, symbol.pair.listing.quote)})
        assets = ",".join(
            [f'{{"id":"{name}","status":"enabled","precision":10,"precision_display":5,"borrowable":false}}' for name in names]
        )
        pairs = ",".join([_pair_row(symbol) for symbol in self._symbols.values()])
        return f'{{"channel":"instrument","type":"snapshot","data":{{"assets":[{assets}],"pairs":[{pairs}]}}}}'

    def _asset_pairs(self, wanted: str | None) -> Answer:
        rows = [_asset_pair(symbol) for symbol in self._symbols.values()]
        if wanted is not None:
            names = wanted.split(",")
            rows = [row for row in rows if row["altname"] in names or row["wsname"] in names or row["key"] in names]
            if len(rows) < len(names):
                return answer({"error": ["EQuery:Unknown asset pair"]})
        return answer({"error": [], "result": {row.pop("key"): row for row in rows}})


def _trades(symbol: _Symbol, kind: str, fills: Sequence[tuple[int, Fill]]) -> str:
    rows = ",".join([_trade(symbol, ts, fill) for ts, fill in fills])
    return f'{{"channel":"trade","type":"{kind}","data":[{rows}]}}'


def _trade(symbol: _Symbol, ts: int, fill: Fill) -> str:
    side = "buy" if fill.buyer_takes else "sell"
    what = f'"side":"{side}","price":{symbol.price(fill.price)},"qty":{symbol.size(fill.size)},"ord_type":"market"'
    return f'{{"symbol":"{symbol.name}",{what},"trade_id":{fill.trade_id},"timestamp":"{iso_us(ts)}"}}'


def _ticker(symbol: _Symbol, kind: str, ts: int) -> str:
    pair = symbol.pair
    bid, ask, last = pair.bids.keys[0], pair.asks.keys[0], pair.last.price
    best = (
        f'"bid":{symbol.price(-bid)},"bid_qty":{symbol.size(pair.bids.sizes[bid])},'
        f'"ask":{symbol.price(ask)},"ask_qty":{symbol.size(pair.asks.sizes[ask])}'
    )
    vwap, change = pair.turnover // pair.volume, last - pair.open
    day = (
        f'"last":{symbol.price(last)},"volume":{symbol.size(pair.volume)},"vwap":{symbol.price(vwap)},"low":{symbol.price(pair.low)},'
        f'"high":{symbol.price(pair.high)},"change":{symbol.price(change)},"change_pct":{fixed(change * 10_000 // pair.open, 2)}'
    )
    row = f'{{"symbol":"{symbol.name}",{best},{day},"timestamp":"{iso_us(ts)}"}}'
    return f'{{"channel":"ticker","type":"{kind}","data":[{row}]}}'


def _pair_row(symbol: _Symbol) -> str:
    listing = symbol.pair.listing
    tick, lot = symbol.price(1), symbol.size(1)
    head = f'"symbol":"{symbol.name}","base":"{listing.base}","quote":"{listing.quote}","status":"online"'
    digits = f'"qty_precision":{listing.size_decimals},"qty_increment":{lot},"price_precision":{listing.price_decimals},"cost_precision":5'
    flags = '"marginable":false,"has_index":true,"cost_min":0.50'
    return f'{{{head},{digits},{flags},"tick_size":{tick},"price_increment":{tick},"qty_min":{lot}}}'


def _asset_pair(symbol: _Symbol) -> dict[str, object]:
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
