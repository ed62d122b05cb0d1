"""What faults do to a venue's list of instruments by REST: a pair is not traded, or a row is odd. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from crosstape_simulator.faults.messages import named
from crosstape_simulator.faults.spec import Halt, OddList
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues.spec import InstrumentList, SimulatedVenue

UNKNOWN_STATUS: Final = "mystery"
NOBODYS: Final = "ODD"
"""How the base asset of an added row begins."""


def is_list(venue: SimulatedVenue, path: str) -> bool:
    """Whether the answer to this path is a venue's list of instruments, or one row of it."""
    return _where(venue, path) is not None


def _where(venue: SimulatedVenue, path: str) -> InstrumentList | None:
    parent = path.rpartition("/")[0]
    return next((one for one in venue.rest.lists if one.path == path or (one.has_rows and one.path == parent)), None)


def changed(venue: SimulatedVenue, path: str, made: Answer, fault: Halt | OddList, names: Mapping[str, str]) -> tuple[Answer, int]:
    """The list as the fault leaves it, and how many rows it changed. `names`: symbol → our name, of all that the venue lists."""
    where = _where(venue, path)
    if made.status != 200 or where is None:
        return made, 0
    if path != where.path:
        return _changed_row(venue, where, made, fault, names)
    body: Any = msgspec.json.decode(made.body)
    if where.lists:
        return _changed_names(where, made, body, fault, names)
    inner = body
    for key in where.rows:
        inner = _part(inner, key)
    if not inner:
        return made, 0
    rows: list[tuple[str, Any]] = list(inner.items()) if isinstance(inner, dict) else [("", row) for row in inner]
    found = _halted(venue, fault, where, rows, names) if isinstance(fault, Halt) else _odd(fault, where, rows, names)
    if found is None:
        return made, 0
    rows, count = found
    new: Any = dict(rows) if isinstance(inner, dict) else [row for _, row in rows]
    if where.rows:
        around = body
        for key in where.rows[:-1]:
            around = _part(around, key)
        around[where.rows[-1]] = new
    else:
        body = new
    return Answer(msgspec.json.encode(body), made.status, made.headers), count


def _part(body: Any, key: str) -> Any:
    """What an answer has under a key, or at a place of a list."""
    return body[int(key)] if isinstance(body, list) else body.get(key)


_INSTEAD: Final[Mapping[str, object]] = {"row": None, "null": None, "empty": "", "type": ["a", "list"], "status": 5, "missing": {}}
"""How a row is odd → what stands in place of a symbol that has no fields."""


def _changed_names(where: InstrumentList, made: Answer, body: Any, fault: Halt | OddList, names: Mapping[str, str]) -> tuple[Answer, int]:
    """Lists of symbols as the fault leaves them. One that is halted is missing."""
    count = 0
    for at in range(min(where.lists, len(body))):
        rows: list[object] = []
        for row in body[at]:
            is_meant = bool(fault.instrument) and _is_meant(fault.instrument, {where.symbol: row}, where, names)
            count += is_meant
            if not is_meant:
                rows.append(row)
            elif isinstance(fault, OddList):
                rows += [row, row] if fault.how == "duplicate" else [_INSTEAD[fault.how]]
        body[at] = rows
    if isinstance(fault, OddList) and not fault.instrument:
        like = where.unlisted(NOBODYS + fault.how.upper())[where.symbol]
        body[0] = [*([like, like] if fault.how == "duplicate" else [_INSTEAD[fault.how]]), *body[0]]
        count = 1
    return (Answer(msgspec.json.encode(body), made.status, made.headers) if count else made), count


_Rows = list[tuple[str, Any]]


def _changed_row(
    venue: SimulatedVenue, where: InstrumentList, made: Answer, fault: Halt | OddList, names: Mapping[str, str]
) -> tuple[Answer, int]:
    """One row that was asked for, as the fault leaves it."""
    row: Any = msgspec.json.decode(made.body)
    if isinstance(fault, OddList) and not fault.instrument:
        return made, 0
    found = _halted(venue, fault, where, [("", row)], names) if isinstance(fault, Halt) else _odd(fault, where, [("", row)], names)
    if found is None:
        return made, 0
    rows, count = found
    return (Answer(msgspec.json.encode(rows[0][1]), made.status, made.headers) if rows else venue.rest.unknown), count


def _halted(venue: SimulatedVenue, fault: Halt, where: InstrumentList, rows: _Rows, names: Mapping[str, str]) -> tuple[_Rows, int] | None:
    meant = [_is_meant(fault.instrument, row, where, names) for _, row in rows]
    if not any(meant):
        return None
    if fault.how == "gone":
        return [row for row, is_meant in zip(rows, meant, strict=True) if not is_meant], sum(meant)
    says = venue.rest.halted[fault.how]
    return [(key, row | says if is_meant else row) for (key, row), is_meant in zip(rows, meant, strict=True)], sum(meant)


def _odd(fault: OddList, where: InstrumentList, rows: _Rows, names: Mapping[str, str]) -> tuple[_Rows, int] | None:
    if not fault.instrument:
        like = next((row for _, row in reversed(rows) if isinstance(row, dict)), None)
        if like is None:
            return None
        place, (key, row) = 0, _nobodys(where, like, NOBODYS + fault.how.upper())
        rows = [(key, row), *rows]
    else:
        found = [index for index, (_, row) in enumerate(rows) if _is_meant(fault.instrument, row, where, names)]
        if not found:
            return None
        place = found[0]
        key, row = rows[place]
    odd = copy.deepcopy(row)
    _spoil(odd, where, fault.how)
    instead = [(key, row), (f"{key}.2", row)] if fault.how == "duplicate" else [(key, None if fault.how == "row" else odd)]
    return [*rows[:place], *instead, *rows[place + 1 :]], 1


def _spoil(row: dict[str, Any], where: InstrumentList, how: str) -> None:
    match how:
        case "null":
            row[where.base] = None
        case "empty":
            _set(row, where, where.tick, "")
        case "status":
            row[where.status] = UNKNOWN_STATUS
        case "missing":
            row.pop(where.status, None)
        case "type":
            _set(row, where, where.lot, ["a", "list"])


def _set(row: dict[str, Any], where: InstrumentList, field: str, value: object) -> None:
    """Set a field, in the row or in the list that holds ticks and lots."""
    places: Sequence[dict[str, Any]] = row.get(where.nested, [row]) if where.nested else [row]
    for place in places:
        if field in place or place is row:
            place[field] = value


def _nobodys(where: InstrumentList, like: Mapping[str, Any], base: str) -> tuple[str, dict[str, Any]]:
    """Key and row of a pair that nobody lists: like another row, with other names."""
    return f"{base}USDT", {**copy.deepcopy(dict(like)), **where.unlisted(base)}


def _is_meant(instrument: str, row: Any, where: InstrumentList, names: Mapping[str, str]) -> bool:
    """Whether the row is the fault's instrument."""
    symbol = row.get(where.symbol) if isinstance(row, dict) else None
    if not isinstance(symbol, str):
        return False
    listed = [one for one in names if where.names(one) == symbol] or [symbol]
    return any(named(instrument, one, names) for one in listed)
