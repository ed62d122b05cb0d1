"""Best bid and ask of all symbols of one of Binance's markets in one answer: `ticker/bookTicker` without a symbol.

Quirks  futures have a time, spot has none; sizes of futures may be contracts; a side without orders is zeros
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from crosstape_connector.venues.messages import Odd
from crosstape_connector.venues.parsing.answers import list_reader
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument, Quote

Side = tuple[Decimal, Decimal] | tuple[None, None]


class RestBookTicker(msgspec.Struct, frozen=True):
    symbol: str
    bid_price: str = msgspec.field(name="bidPrice")
    bid_qty: str = msgspec.field(name="bidQty")
    ask_price: str = msgspec.field(name="askPrice")
    ask_qty: str = msgspec.field(name="askQty")
    time: Stamp | None = None


_quotes = list_reader(RestBookTicker)


def parse_all(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """Parse the quotes of the symbols that were asked for; the answer has all others, too."""

    def read(raw: RestBookTicker) -> Quote | None:
        instrument = symbols.get(raw.symbol)
        if instrument is None:
            return None
        bid, ask = base_side(instrument, raw.bid_price, raw.bid_qty), base_side(instrument, raw.ask_price, raw.ask_qty)
        made_ts = None if raw.time is None else epoch_ns(raw.time)
        return Quote(instrument.venue, instrument.name, made_ts, received_ts, *bid, *ask)

    quotes, odd = _quotes(body, read, "quotes")
    return [*(quote for quote in quotes if quote is not None), *odd]


def base_side(instrument: Instrument, price: str, size: str) -> Side:
    """Return one side of a quote with its size in base units; nulls for an empty side. Raises `FrameError`."""
    side = side_of(price, size)
    return (side[0], base_size(instrument, side[1], side[0])) if side[0] is not None and side[1] is not None else side
