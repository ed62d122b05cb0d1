"""REST answers of all venues: past trades, best prices, trading states and error messages, each checked in one way. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.messages import Odd, TradeSnapshot, page
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import side_of, trade_numbers
from crosstape_connector.venues.spec import NOT_LISTED
from crosstape_schemas import Quote, Side, Trade

R = TypeVar("R")
T = TypeVar("T")
EMPTY: Final = (None, None)


def rest_trade(
    venue: str, instrument: str, received_ts: int, *, trade_id: int, price: str, size: str, taker: Side | None, venue_ts: int | None
) -> Trade:
    """Return one past trade. Raises `FrameError` for an impossible price or size, and for an unknown side (`taker` None)."""
    numbers = trade_numbers(price, size, f"trade {trade_id}")
    if taker is None:
        raise FrameError(f"trade {trade_id}: a side that is not known")
    return Trade(venue, instrument, venue_ts, received_ts, *numbers, taker, str(trade_id), True)


def read_rows(
    rows: Callable[[], Iterable[R]],
    raw_rows: Callable[[], Iterable[msgspec.Raw]],
    decode: Callable[[msgspec.Raw], R],
    read: Callable[[R], T],
    what: str,
) -> tuple[list[T], list[Odd]]:
    """What `read` returns for each row: of all at once (`rows`), or, if one fails, of each apart (`raw_rows`, `decode`).

    Rows that cannot be read become `Odd`, whose reason begins with `what`. Raises one of `FRAME_ERRORS` if none can be read.
    """
    try:
        return [read(row) for row in rows()], []
    except FRAME_ERRORS:
        odd: list[Odd] = []
        good = readable(raw_rows(), lambda raw: read(decode(raw)), what, odd)
        if not good:
            raise
        return good, odd


def list_reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """`read_rows` of an answer that is a JSON list: (body, `read`, `what`) → what is read, and the odd rows."""
    all_rows = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]
    raw_rows = rows_decoder(list[msgspec.Raw], 1)
    one_row = msgspec.json.Decoder(row).decode

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: all_rows(body), lambda: raw_rows(body), one_row, read, what)

    return reader


def trade_page(instrument: str, received_ts: int, found: tuple[list[Trade], list[Odd]]) -> TradeSnapshot:
    """Return the page of the trades that `read_rows` found in an answer."""
    trades, odd = found
    return page(instrument, trades, received_ts, len(odd), odd)


class RestLevel(msgspec.Struct, frozen=True, array_like=True):
    """A level of a book as most venues write it: `["price", "size", …]`."""

    price: str
    size: str


def best_quote(
    venue: str, instrument: str, bids: Sequence[RestLevel], asks: Sequence[RestLevel], *, venue_ts: int | None, received_ts: int
) -> list[Quote]:
    """The best level of each side, best first; a side without levels is null.

    No quote if a best level has no size (a venue that cuts decimals writes zero): a null side would say that there is no order.
    """
    bid, ask = _best(bids), _best(asks)
    if (bids and bid == EMPTY) or (asks and ask == EMPTY):
        return []
    return [Quote(venue, instrument, venue_ts, received_ts, *bid, *ask)]


def _best(levels: Sequence[RestLevel]) -> tuple[Decimal, Decimal] | tuple[None, None]:
    return side_of(levels[0].price, levels[0].size) if levels else EMPTY


def trading_states(rows: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], tuple[str, str]], names: Mapping[str, str]) -> dict[str, str]:
    """See `TradingSource.parse`. `read`: a row → (its name, why it does not trade); `names`: their symbol → its name in the rows.

    If a row cannot be read, symbols that no other row names are left out: the row may be theirs.
    """
    found: dict[str, str] = {}
    is_complete = True
    for raw in rows:
        try:
            name, reason = read(raw)
        except FRAME_ERRORS:
            is_complete = False
        else:
            found[name] = reason
    return {symbol: found.get(name, NOT_LISTED) for symbol, name in names.items() if name in found or is_complete}


def fault_message(decode: Callable[[bytes], R], message: Callable[[R], str]) -> Callable[[bytes], str | None]:
    """A `Venue.rest_error`: `message` of an answer that `decode` can read; None for any other answer, and for an empty message."""

    def read(body: bytes) -> str | None:
        try:
            return message(decode(body)) or None
        except FRAME_ERRORS:
            return None

    return read
