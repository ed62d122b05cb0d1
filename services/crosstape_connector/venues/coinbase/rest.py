"""Coinbase's REST, of Exchange: trades, best bid and ask. The products are in `products`.

Limits  ten requests a second for one address, fifteen in a burst
Quirks  trades come newest first, and a page is asked for by the id that it must stay below (`after`); `side` is the maker's. The answers do
        not name the product. In an auction the book is crossed or empty, and nothing can be had at its prices
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.coinbase.values import ID, TAKER
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_connector.venues.parsing.answers import RestLevel, best_quote, list_reader, rest_trade, trade_page
from crosstape_connector.venues.parsing.wire import Serial, known_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument, Quote, Trade

PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""


class RestTrade(msgspec.Struct, frozen=True):
    trade_id: Serial
    price: str
    size: str
    side: str
    time: str


class RestBook(msgspec.Struct, frozen=True):
    bids: list[RestLevel]
    asks: list[RestLevel]
    time: str | None = None
    auction_mode: bool = False


_trades = list_reader(RestTrade)
_book = msgspec.json.Decoder(RestBook).decode


def trades_path(product: str, first: int, since_ts: int) -> str:
    """The page that ends `PAGE` ids on, so that it begins with that id; earlier (and full too) where there are fewer."""
    return f"/products/{quoted(product)}/trades?limit={PAGE}&after={first + PAGE}"


def past_path(product: str, below: int) -> str:
    """The last `PAGE` trades with ids below this one."""
    return f"/products/{quoted(product)}/trades?limit={PAGE}&after={below}"


def newest_path(product: str) -> str:
    """The newest trades."""
    return f"/products/{quoted(product)}/trades?limit={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """Oldest first, as they were made, with the taker's side."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            ID, instrument.name, received_ts,
            trade_id=raw.trade_id, price=raw.price, size=raw.size, taker=TAKER.get(raw.side), venue_ts=known_ns(raw.time),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(products: Sequence[str]) -> str:
    """Level 1 of one product's book: `ticker` has the prices without their sizes."""
    (product,) = products
    return f"/products/{quoted(product)}/book?level=1"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Of the one product that was asked for; none in an auction."""
    instrument = next(iter(symbols.values())).name
    book = _book(body)
    if book.auction_mode:
        return []
    return best_quote(ID, instrument, book.bids, book.asks, venue_ts=known_ns(book.time), received_ts=received_ts)
