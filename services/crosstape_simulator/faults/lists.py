"""What faults do to a venue's list of instruments by REST: a pair is said not to be traded, or a row is odd. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from crosstape_simulator.faults.messages import named
from crosstape_simulator.faults.spec import Halt, OddList
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.kraken.rest import names as kraken_names

HALTED: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = {
    "binance": {
        "halt": {"status": "HALT"},
        "offline": {"status": "BREAK"},
        "cancel_only": {"status": "CANCEL_ONLY"},
        "delisted": {"status": "BREAK"},  # until its row is gone
    },
    "coinbase": {
        "halt": {"trading_disabled": True},
        "offline": {"status": "offline"},
        "cancel_only": {"cancel_only": True},
        "post_only": {"post_only": True},
        "delisted": {"status": "delisted", "trading_disabled": True},
    },
    "kraken": {
        "halt": {"status": "maintenance"},
        "offline": {"status": "work_in_progress"},
        "cancel_only": {"status": "cancel_only"},
        "post_only": {"status": "post_only"},
        "delisted": {"status": "delisted"},
    },
}
"""Venue → how a pair is halted → what its row says."""

UNKNOWN_STATUS: Final = "mystery"
NOBODYS: Final = "ODD"
"""How the base asset of a row that is added begins."""


class _List(NamedTuple):
    """Where rows are in an answer, and what their fields are called."""

    rows: tuple[str, ...]
    """Keys from the answer to the rows; none: they are the answer."""
    symbol: str
    base: str
    tick: str
    lot: str
    status: str = "status"


_FILTERS: Final = "filters"
_BINANCE: Final = _List(("symbols",), "symbol", "baseAsset", "tickSize", "stepSize")
_EXCHANGE: Final = _List((), "id", "base_currency", "quote_increment", "base_increment")
_ADVANCED: Final = _List(("products",), "product_id", "base_currency_id", "price_increment", "base_increment")
_KRAKEN: Final = _List(("result",), "wsname", "wsname", "tick_size", "lot_decimals")

_LISTS: Final[Mapping[str, _List]] = {
    "/api/v3/exchangeInfo": _BINANCE,
    "/products": _EXCHANGE,
    "/api/v3/brokerage/market/products": _ADVANCED,
    "/0/public/AssetPairs": _KRAKEN,
}
"""By path."""

_WITH_ROWS: Final = ("/products", "/api/v3/brokerage/market/products")
"""Paths under which each row can be asked for."""


def is_list(path: str) -> bool:
    """Whether the answer to this path is a venue's list of instruments, or a row of it."""
    return _where(path) is not None


def _where(path: str) -> _List | None:
    whole = path if path in _LISTS else path.rpartition("/")[0]
    return _LISTS.get(whole) if whole == path or whole in _WITH_ROWS else None


def changed(venue: str, path: str, made: Answer, fault: Halt | OddList, names: Mapping[str, str]) -> tuple[Answer, int]:
    """The list as the fault leaves it, and how many rows it changed. `names`: symbol → our name, of all that the venue lists."""
    where = _where(path)
    if made.status != 200 or where is None:
        return made, 0
    if path not in _LISTS:
        return _changed_row(venue, where, made, fault, names)
    body: Any = msgspec.json.decode(made.body)
    inner = body
    for key in where.rows:
        inner = inner.get(key)
    if not inner:
        return made, 0
    rows: list[tuple[str, Any]] = list(inner.items()) if isinstance(inner, dict) else [("", row) for row in inner]
    found = _halted(venue, fault, where, rows, names) if isinstance(fault, Halt) else _odd(venue, fault, where, rows, names)
    if found is None:
        return made, 0
    rows, count = found
    new: Any = dict(rows) if isinstance(inner, dict) else [row for _, row in rows]
    if where.rows:
        body[where.rows[-1]] = new
    else:
        body = new
    return Answer(msgspec.json.encode(body), made.status, made.headers), count


_Rows = list[tuple[str, Any]]


def _changed_row(venue: str, where: _List, made: Answer, fault: Halt | OddList, names: Mapping[str, str]) -> tuple[Answer, int]:
    """The one row that was asked for."""
    row: Any = msgspec.json.decode(made.body)
    if isinstance(fault, OddList) and not fault.instrument:
        return made, 0
    found = _halted(venue, fault, where, [("", row)], names) if isinstance(fault, Halt) else _odd(venue, fault, where, [("", row)], names)
    if found is None:
        return made, 0
    rows, count = found
    return (Answer(msgspec.json.encode(rows[0][1]), made.status, made.headers) if rows else answer({"message": "NotFound"}, 404)), count


def _halted(venue: str, fault: Halt, where: _List, rows: _Rows, names: Mapping[str, str]) -> tuple[_Rows, int] | None:
    meant = [_is_meant(venue, fault.instrument, row, where, names) for _, row in rows]
    if not any(meant):
        return None
    if fault.how == "gone":
        return [row for row, is_meant in zip(rows, meant, strict=True) if not is_meant], sum(meant)
    says = HALTED[venue][fault.how]
    return [(key, row | says if is_meant else row) for (key, row), is_meant in zip(rows, meant, strict=True)], sum(meant)


def _odd(venue: str, fault: OddList, where: _List, rows: _Rows, names: Mapping[str, str]) -> tuple[_Rows, int] | None:
    if not fault.instrument:
        like = next((row for _, row in reversed(rows) if isinstance(row, dict)), None)
        if like is None:
            return None
        place, (key, row) = 0, _nobodys(venue, like, NOBODYS + fault.how.upper())
        rows = [(key, row), *rows]
    else:
        found = [index for index, (_, row) in enumerate(rows) if _is_meant(venue, fault.instrument, row, where, names)]
        if not found:
            return None
        place = found[0]
        key, row = rows[place]
    odd = copy.deepcopy(row)
    _spoil(odd, where, fault.how)
    instead = [(key, row), (f"{key}.2", row)] if fault.how == "duplicate" else [(key, None if fault.how == "row" else odd)]
    return [*rows[:place], *instead, *rows[place + 1 :]], 1


def _spoil(row: dict[str, Any], where: _List, how: str) -> None:
    match how:
        case "null":
            row[where.base] = None
        case "empty":
            _set(row, where.tick, "")
        case "status":
            row[where.status] = UNKNOWN_STATUS
        case "missing":
            row.pop(where.status, None)
        case "type":
            _set(row, where.lot, ["a", "list"])


def _set(row: dict[str, Any], field: str, value: object) -> None:
    """Binance's ticks and lots are in filters."""
    places: Sequence[dict[str, Any]] = row.get(_FILTERS, [row])
    for place in places:
        if field in place or place is row:
            place[field] = value


def _nobodys(venue: str, like: Mapping[str, Any], base: str) -> tuple[str, dict[str, Any]]:
    """Key and row of a pair that is like another but for its names."""
    row: dict[str, Any] = copy.deepcopy(dict(like))
    match venue:
        case "binance":
            row |= {"symbol": f"{base}USDT", "baseAsset": base, "quoteAsset": "USDT"}
        case "kraken":
            row |= {"altname": f"{base}USDT", "wsname": f"{base}/USDT", "base": base, "quote": "USDT"}
        case _ if "product_id" in row:
            row |= {"product_id": f"{base}-USDT", "base_currency_id": base, "quote_currency_id": "USDT"}
        case _:
            row |= {"id": f"{base}-USDT", "base_currency": base, "quote_currency": "USDT"}
    return f"{base}USDT", row


def _is_meant(venue: str, instrument: str, row: Any, where: _List, names: Mapping[str, str]) -> bool:
    """Whether a fault of `instrument` is about this row."""
    symbol = row.get(where.symbol) if isinstance(row, dict) else None
    if not isinstance(symbol, str):
        return False
    if venue != "kraken":
        return named(instrument, symbol, names)
    listed = [one for one in names if kraken_names(one).wsname == symbol] or [symbol]
    return any(named(instrument, one, names) for one in listed)
