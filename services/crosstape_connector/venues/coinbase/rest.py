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

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.coinbase.values import ID, TAKER
from crosstape_connector.venues.messages import Odd, TradeSnapshot, page
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, known_ns, side_of, trade_numbers
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Quote, Trade

PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""


class RestTrade(msgspec.Struct, frozen=True):
    trade_id: Serial
    price: str
    size: str
    side: str
    time: str


class RestLevel(msgspec.Struct, frozen=True, array_like=True):
    price: str
    size: str


class RestBook(msgspec.Struct, frozen=True):
    bids: list[RestLevel]
    asks: list[RestLevel]
    time: str | None = None
    auction_mode: bool = False


_trades = msgspec.json.Decoder(list[RestTrade]).decode
_trade = msgspec.json.Decoder(RestTrade).decode
_rows = rows_decoder(list[msgspec.Raw], 1)
_book = msgspec.json.Decoder(RestBook).decode


def trades_path(product: str, first: int, since_ts: int) -> str:
    """The page that ends `PAGE` ids on, so that it begins with that id; earlier (and full too) where there are fewer."""
    return f"/products/{quoted(product)}/trades?limit={PAGE}&after={first + PAGE}"


def newest_path(product: str) -> str:
    """The newest trades."""
    return f"/products/{quoted(product)}/trades?limit={PAGE}"


def parse_trades(body: bytes, instrument: str, received_ts: int) -> TradeSnapshot:
    """Oldest first, as they were made, with the taker's side."""

    def trade(raw: RestTrade) -> Trade:
        price, size = trade_numbers(raw.price, raw.size, f"trade {raw.trade_id}")
        if raw.side not in TAKER:
            raise FrameError(f"trade {raw.trade_id}: side {raw.side!r}")
        return Trade(ID, instrument, known_ns(raw.time), received_ts, price, size, TAKER[raw.side], str(raw.trade_id), True)

    odd: list[Odd] = []
    try:
        trades = [trade(raw) for raw in _trades(body)]
    except FRAME_ERRORS:
        trades = readable(_rows(body), lambda raw: trade(_trade(raw)), f"trades of {instrument}", odd)
        if not trades:
            raise
    return page(instrument, trades, received_ts, len(odd), odd)


def quotes_path(products: Sequence[str]) -> str:
    """Level 1 of one product's book: `ticker` would tell the prices without their sizes."""
    (product,) = products
    return f"/products/{quoted(product)}/book?level=1"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Of the one product that was asked for; none in an auction."""
    (instrument,) = symbols.values()
    book = _book(body)
    if book.auction_mode:
        return []
    bid = side_of(book.bids[0].price, book.bids[0].size) if book.bids else (None, None)
    ask = side_of(book.asks[0].price, book.asks[0].size) if book.asks else (None, None)
    return [Quote(ID, instrument, known_ns(book.time), received_ts, *bid, *ask)]
