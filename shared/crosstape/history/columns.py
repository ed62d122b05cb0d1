"""Defines the columns of each kind of event, and collects events into them.

| column | value |
|---|---|
| `ts` | the event's own time, ns: of a trade the moment that it counts at (`counts_at`), of a candle or bar its `open_ts`, of a computed event its `ts`, of a gap its `from_ts`, of all others `received_ts` |
| `id_ms`, `id_n` | the entry's id on the stream |
| `source` | see `Source` |
| `venue` … `seq` | the fields of all events |
| then | the fields of the kind that are a number, a text, a word or a flag, by their names; without `type` |

Lists and structs within an event are no columns; such an event's JSON is always kept. Of a book, best bid and ask are columns: `bid_price`,
`bid_size`, `ask_price`, `ask_size`.
"""  # noqa: E501

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.text_events import TextEvent
from crosstape_schemas import KINDS
from crosstape_schemas.trade_time import counts_at


class ColumnType(StrEnum):
    """What the values of a column are."""

    INT = "int"  # 64 bits
    DECIMAL = "decimal"  # the tape's text in a batch; a store makes a number of it
    TEXT = "text"
    WORD = "word"  # text of few different values: of an enumeration, or a name
    BOOL = "bool"


class Column(msgspec.Struct, frozen=True):
    """One column of a kind."""

    name: str
    type: ColumnType
    nullable: bool = False
    """Whether an event may have null there."""


KEYS: Final = ("venue", "instrument", "venue_ts", "received_ts", "epoch", "seq")
"""The fields of all events, in the order of the columns."""
WORDS: Final = frozenset({"venue", "instrument", "timeframe", "kind", "method", "buy_venue", "sell_venue"})
"""Fields of type `str` that have few different values."""
BEST: Final = ("bid_price", "bid_size", "ask_price", "ask_size")
_WITH_LEVELS: Final = frozenset({"book", "depth"})
"""Kinds whose `bids` and `asks` are best first. (Those of a delta are in the venue's order, and changes.)"""


@cache
def columns_of(kind: str) -> tuple[Column, ...]:
    """Returns the columns of a kind (a tag of KINDS), in their order. Raises `KeyError` for another kind."""
    cls = KINDS[kind]
    hints = get_type_hints(cls)
    names = KEYS + tuple(name for name in cls.__struct_fields__ if name not in KEYS and name != "ts")
    found = (_column(name, hints[name]) for name in names)
    best = BEST if kind in _WITH_LEVELS else ()
    return (
        Column("ts", ColumnType.INT),
        Column("id_ms", ColumnType.INT),
        Column("id_n", ColumnType.INT),
        Column("source", ColumnType.WORD),
        *(column for column in found if column is not None),
        *(Column(name, ColumnType.DECIMAL, nullable=True) for name in best),
    )


@cache
def is_nested(kind: str) -> bool:
    """Whether events of this kind have fields that are no columns, so that their JSON is always kept."""
    names = {column.name for column in columns_of(kind)} | {"ts"}
    return any(name not in names for name in KINDS[kind].__struct_fields__)


def _column(name: str, hint: Any) -> Column | None:
    """Return the column of a field by its type; None for lists and structs."""
    args = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)
    nullable = type(None) in args
    match [arg for arg in args if arg is not type(None)]:
        case [type() as inner] if get_origin(inner) is None:
            pass
        case _:
            return None
    if inner is Decimal:
        # the sum of price × size has more digits than any engine's decimal holds
        return Column(name, ColumnType.TEXT if name == "quote_volume" else ColumnType.DECIMAL, nullable)
    if inner is bool:
        return Column(name, ColumnType.BOOL, nullable)
    if inner is int:
        return Column(name, ColumnType.INT, nullable)
    if issubclass(inner, Enum) or (inner is str and name in WORDS):
        return Column(name, ColumnType.WORD, nullable)
    return Column(name, ColumnType.TEXT, nullable) if inner is str else None


class Refused(msgspec.Struct, frozen=True):
    """An entry that is no event of ours, which only shows when its numbers are looked at."""

    id: str
    """The entry's id."""
    reason: str
    """What is wrong with it, as a sentence."""


_CANONICAL: Final = re.compile(r"(?!-0(\.0+)?$)-?(0|[1-9][0-9]*)(\.[0-9]+)?").fullmatch
"""A decimal that a store which keeps digits and scale gives back as it is."""
_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch
_ODD_START: Final = re.compile(r"\n0[0-9]").search
_TWO_POINTS: Final = re.compile(r"\.[0-9]*\.").search
LONGEST: Final = 10_000
"""Characters of a decimal in a column at most; PostgreSQL holds 16,383 behind the point."""

_encode = text_events.encode


class BatchBuilder:
    """Collects events of one kind, and makes a batch of them. Bounded by its caller, who builds when `len` is enough."""

    def __init__(self, kind: str, keep: Literal["columns", "events"] = "columns") -> None:
        """`keep`: as the setting `recorder.keep`. With `columns`, candles and bars are taken once they are closed."""
        self.kind = kind
        self.refused: list[Refused] = []
        """Entries that the last `build` left out."""
        self._only_closed = keep == "columns" and kind in {"candle", "bar"}
        self._rows: list[tuple[int, int, Any, bytes, str]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, id_ms: int, id_n: int, event: TextEvent, data: bytes, source: Source = Source.TAPE) -> bool:
        """Adds one event, from `text_events.decode(data)`. Returns False if it is not recorded: a candle that is not closed."""
        if self._only_closed and not event.closed:  # type: ignore[attr-defined]
            return False
        self._rows.append((id_ms, id_n, event, data, source.value))
        return True

    def build(self) -> Batch:
        """Returns what was added since the last call, in that order, without what `refused` then names."""
        rows, self._rows, self.refused = self._rows, [], []
        ids_ms, ids_n, events, data, sources = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
        exact = [False] * len(rows) if is_nested(self.kind) else [_encode(event) == one for event, one in zip(events, data, strict=True)]
        odd = _odd_rows(self.kind, events, data)
        odd.update(index for index, is_exact in enumerate(exact) if not is_exact and not data[index].isascii())
        for index in sorted(odd, reverse=True):
            exact[index] = False
            try:
                data[index].decode()
                events[index] = _storable(self.kind, text_events.respelled(data[index]))
            except (ValueError, msgspec.MsgspecError) as exc:
                self.refused.append(Refused(f"{ids_ms[index]}-{ids_n[index]}", str(exc)))
                for values in (ids_ms, ids_n, events, data, sources, exact):
                    del values[index]
        columns = {"ts": _ts(self.kind, events), "id_ms": ids_ms, "id_n": ids_n, "source": sources} | _fields(self.kind, events)
        return Batch(self.kind, columns, data, exact)


def _ts(kind: str, events: Sequence[Any]) -> list[object]:
    """Return each event's own time."""
    if kind == "trade":
        return [counts_at(event.venue_ts, event.received_ts) for event in events]
    names = KINDS[kind].__struct_fields__
    own = next((name for name in ("ts", "open_ts", "from_ts") if name in names), "received_ts")
    return list(map(attrgetter(own), events))


def _fields(kind: str, events: Sequence[Any]) -> dict[str, list[object]]:
    """Return the columns that come from the events' fields."""
    names = [column.name for column in columns_of(kind)[4:]]
    best = BEST if kind in _WITH_LEVELS else ()
    own = names[: len(names) - len(best)]
    if not events:
        return {name: [] for name in names}
    columns: dict[str, list[object]] = dict(zip(own, map(list, zip(*map(attrgetter(*own), events), strict=True)), strict=True))
    for name in best:
        side, part = ("bids" if name[:3] == "bid" else "asks"), int(name.endswith("size"))
        columns[name] = [levels[0][part] if levels else None for levels in map(attrgetter(side), events)]
    return columns


def _odd_rows(kind: str, events: Sequence[Any], data: Sequence[bytes]) -> set[int]:
    """Return the indices of the rows that need a closer look: those with a decimal that is spelled unusually, or is none at all."""
    odd: set[int] = set()
    long = max(map(len, data), default=0) > LONGEST
    for name, hint in get_type_hints(KINDS[kind]).items():
        if text_events.is_decimal(hint):
            texts = list(map(attrgetter(name), events))
            if long or not _all_usual([text for text in texts if text is not None]):
                odd.update(i for i, text in enumerate(texts) if text is not None and not (_CANONICAL(text) and len(text) <= LONGEST))
    if is_nested(kind):
        nested = text_events.decimals_of(kind)
        if not _all_usual(list(chain.from_iterable(map(nested, events)))):
            odd.update(i for i, event in enumerate(events) if not all(map(_CANONICAL, nested(event))))
    return odd


def _all_usual(texts: Sequence[str]) -> bool:
    """Whether all of these are decimals as crosstape spells them, and none is negative. All at once: a tenth of the time of one by one."""
    if not texts:
        return True
    joined = "\n".join(texts)
    lines = f"\n{joined}\n"
    return (
        joined.isascii()
        and not joined.encode().translate(None, b"0123456789.\n")
        and "\n\n" not in lines
        and "\n." not in lines
        and ".\n" not in lines
        and not _ODD_START(lines)
        and not _TWO_POINTS(joined)
    )


def _storable(kind: str, event: Any) -> Any:
    """Return the event with null for decimals that no store holds: infinite, NaN, or of too many digits."""
    decimals = [name for name, hint in get_type_hints(KINDS[kind]).items() if text_events.is_decimal(hint)]
    texts = {name: getattr(event, name) for name in decimals}
    wrong = {name for name, text in texts.items() if text is not None and not (len(text) <= LONGEST and _PLAIN(text))}
    return msgspec.structs.replace(event, **dict.fromkeys(wrong)) if wrong else event
