"""Derives the columns of a frame from the fields of a kind of event. Pure; knows nothing of a DataFrame library."""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec

from crosstape.settings.model import AggregatorSettings
from crosstape_schemas import Event, Vwap, field_types
from crosstape_schemas.event import Level


class Leaf(enum.Enum):
    """The type of one value."""

    TIME = "time"  # ns since the epoch
    INTEGER = "integer"
    TEXT = "text"
    FLAG = "flag"
    DECIMAL = "decimal"


class ListOf(msgspec.Struct, frozen=True):
    """A list of values of one type."""

    item: Node


class Record(msgspec.Struct, frozen=True):
    """Several values with names, and how each is read from the object that has them."""

    fields: tuple[tuple[str, Callable[[Any], Any], Node], ...]


Node: TypeAlias = Leaf | ListOf | Record
"""The type of a column, or of a part of one."""


class Column(msgspec.Struct, frozen=True):
    """One column of a frame."""

    name: str
    read: Callable[[Any], Any]
    """Returns the value of an event."""
    node: Node


DEFAULT_WINDOWS: Final = AggregatorSettings().windows
"""Windows of the columns of an empty frame of consolidated quotes."""

_VenueSize: TypeAlias = tuple[str, Decimal]
_TUPLES: Final[dict[Any, tuple[str, ...]]] = {
    Level: ("price", "size"),
    _VenueSize: ("venue", "size"),
    tuple[Decimal, Decimal, tuple[_VenueSize, ...]]: ("price", "size", "venues"),
}
"""Names of the parts of the tuples that stand in events."""
_LEAVES: Final[dict[Any, Leaf]] = {int: Leaf.INTEGER, str: Leaf.TEXT, bool: Leaf.FLAG, Decimal: Leaf.DECIMAL}


def columns_of(cls: type[Event], events: Iterable[Event]) -> list[Column]:
    """Returns the columns for these events, all of type `cls`: one for each field, in the order of the fields.

    The field `vwap` becomes four columns for each of its windows, `vwap_1m_price` and so on, since its keys are settings.
    """
    columns: list[Column] = []
    for name, hint in _hints(cls).items():
        if hint == dict[str, Vwap]:
            columns += _window_columns(_windows(events))
        else:
            columns.append(Column(name, attrgetter(name), _node(name, hint)))
    return columns


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = field_types(cls)
    return {name: hints[name] for name in cls.__struct_fields__}


def _node(name: str, hint: Any) -> Node:
    """Returns the type of a field or part of one. Only the name says that an integer is a time."""
    if get_origin(hint) in (Union, types.UnionType):  # with None: every column may hold nulls
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if hint is int and (name == "ts" or name.endswith("_ts")):
        return Leaf.TIME
    if hint in _LEAVES:
        return _LEAVES[hint]
    if hint in _TUPLES:
        parts = zip(_TUPLES[hint], get_args(hint), strict=True)
        return Record(tuple((part, itemgetter(place), _node(part, one)) for place, (part, one) in enumerate(parts)))
    if get_origin(hint) is tuple:
        return ListOf(_node(name, get_args(hint)[0]))
    if issubclass(hint, msgspec.Struct):
        return Record(tuple((part, attrgetter(part), _node(part, one)) for part, one in _hints(hint).items()))
    if issubclass(hint, str):  # a StrEnum
        return Leaf.TEXT
    raise TypeError(f"field {name}: no column is known for {hint}")


def _windows(events: Iterable[Any]) -> Iterable[str]:
    """Returns the windows that the events have, in the order of their first appearance."""
    found = {window: None for event in events for window in event.vwap}
    return found or DEFAULT_WINDOWS


def _window_columns(windows: Iterable[str]) -> Iterator[Column]:
    for window in windows:
        for name, hint in _hints(Vwap).items():
            yield Column(f"vwap_{window}_{name}", functools.partial(_of_window, window, name), _node(name, hint))


def _of_window(window: str, name: str, event: Any) -> Any:
    vwap = event.vwap.get(window)
    return None if vwap is None else getattr(vwap, name)
