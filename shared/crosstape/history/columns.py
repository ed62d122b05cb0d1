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

import contextlib
import types
from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Final, Literal, Protocol, Union, cast, get_args, get_origin

import msgspec

from crosstape.bus.read.entry import Decoded, Run
from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.event_columns import BEST, WITH_LEVELS, event_columns
from crosstape.history.lines import Lines
from crosstape.history.text_events import MOST, TextEvent
from crosstape_schemas import KINDS, field_types


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


@cache
def columns_of(kind: str) -> tuple[Column, ...]:
    """Returns the columns of a kind (a tag of KINDS), in their order. Raises `KeyError` for another kind."""
    cls = KINDS[kind]
    hints = field_types(cls)
    names = KEYS + tuple(name for name in cls.__struct_fields__ if name not in KEYS and name != "ts")
    found = (_column(name, hints[name]) for name in names)
    best = BEST if kind in WITH_LEVELS else ()
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


class TextEntry(Protocol):
    """What an `Entry` of a reader has that decodes with `text_events.decode`."""

    @property
    def id(self) -> str:
        """See `Entry`."""
        ...

    @property
    def event(self) -> TextEvent:
        """See `text_events.decode`."""
        ...

    @property
    def data(self) -> bytes:
        """See `Entry`."""
        ...


class Refused(msgspec.Struct, frozen=True):
    """An entry that is no event of ours, which only shows when its numbers are looked at."""

    id: str
    """The entry's id."""
    reason: str
    """What is wrong with it, as a sentence."""


class _Rows(msgspec.Struct):
    """Rows on their way to the columns."""

    ids_ms: list[int] | array[int]
    """An array if none has more than 63 bits."""
    ids_n: list[int] | array[int]
    events: Sequence[Any]
    data: Sequence[bytes]
    sources: list[Source]


_numbers = msgspec.json.Decoder(list[int]).decode
AT_ONCE: Final = 512
"""Events that become columns together: few enough that they are in the processor's cache, and that their memory is used again."""
LONGEST_NAME: Final = 1_000
"""Characters of a venue or an instrument, at most. Of longer ones a Parquet file has no statistics, and PostgreSQL no index."""


class BatchBuilder:
    """Collects events of one kind, and makes a batch of them. Bounded by its caller, who builds when `len` is enough."""

    def __init__(self, kind: str, keep: Literal["columns", "events"] = "columns") -> None:
        """`keep`: as the setting `recorder.keep`. With `columns`, candles and bars are taken once they are closed."""
        self.kind = kind
        self.refused: list[Refused] = []
        """Entries that the last `build` left out."""
        self._only_closed = keep == "columns" and kind in {"candle", "bar"}
        self._rows: list[tuple[int, int, Any, bytes, Source]] = []
        self._entries: list[TextEntry] = []
        self._plan = event_columns(kind)
        self._found: list[Refused] = []
        self._begin()

    def __len__(self) -> int:
        return len(self._data) + len(self._rows) + len(self._entries)

    def add(self, id_ms: int, id_n: int, event: TextEvent, data: bytes, source: Source = Source.TAPE) -> bool:
        """Adds one event, from `text_events.decode(data)`. Returns False if it is not recorded: a candle that is not closed."""
        if self._only_closed and not event.closed:  # type: ignore[attr-defined]
            return False
        if self._entries:
            self._flush()
        self._rows.append((id_ms, id_n, event, data, source))
        if len(self._rows) == AT_ONCE:
            self._flush()
        return True

    def extend(self, entries: Iterable[TextEntry]) -> None:
        """Adds entries, as `add` does with each, in half the time."""
        if self._rows:
            self._flush()
        self._entries += [entry for entry in entries if entry.event.closed] if self._only_closed else entries  # type: ignore[attr-defined]
        while len(self._entries) >= AT_ONCE:
            self._move_entries(self._entries[:AT_ONCE])
            del self._entries[:AT_ONCE]

    def extend_run(self, run: Run) -> None:
        """Adds a run of entries that has columns, as `extend` does with its entries, in a third of the time."""
        decoded = run.decoded
        if decoded.columns is None or (self._only_closed and not all(decoded.columns["closed"])):
            self.extend(cast("list[TextEntry]", run.entries()))
            return
        self._flush()
        ids: Any = _numbers(b"[%b]" % b",".join(run.ids).replace(b"-", b","))
        with contextlib.suppress(OverflowError):
            ids = array("q", ids)
        self._move(_Rows(ids[::2], ids[1::2], decoded.events, decoded.data, [Source.TAPE] * len(run)), decoded)

    def build(self) -> Batch:
        """Returns what was added since the last call, in that order, without what `refused` then names."""
        self._flush()
        made = Batch(self.kind, self._columns, self._data, self._exact)
        self.refused, self._found = self._found, []
        self._begin()
        return made

    def _begin(self) -> None:
        self._columns: dict[str, Lines | list[Any] | array[int]] = {column.name: _empty(column.type) for column in columns_of(self.kind)}
        self._data = Lines(are_bytes=True)
        self._exact: list[bool] = []

    def _flush(self) -> None:
        """Move all that waits to the columns."""
        rows, self._rows = self._rows, []
        if rows:
            ids_ms, ids_n, events, data, sources = map(list, zip(*rows, strict=True))
            self._move(_Rows(ids_ms, ids_n, events, data, sources))
        entries, self._entries = self._entries, []
        if entries:
            self._move_entries(entries)

    def _move_entries(self, entries: list[TextEntry]) -> None:
        ids = _numbers(f"[{','.join([entry.id for entry in entries])}]".replace("-", ","))
        events, data = [entry.event for entry in entries], [entry.data for entry in entries]
        self._move(_Rows(ids[::2], ids[1::2], events, data, [Source.TAPE] * len(entries)))

    def _move(self, rows: _Rows, decoded: Decoded | None = None) -> None:
        """Append these rows to the batch. `decoded`: where they come from, with their columns."""
        plan = self._plan
        if decoded is not None:
            exact = [True] * len(rows.events)
        else:
            exact = _exact(rows.events, rows.data) if not is_nested(self.kind) else [False] * len(rows.events)
        columns = plan.values(rows.events, None if decoded is None else decoded.columns)
        odd = plan.odd_rows(rows.events, rows.data, columns, exact)
        if max(map(len, rows.data), default=0) > LONGEST_NAME:  # an event is longer than its names
            odd.update(index for index, event in enumerate(rows.events) if _is_long(event))
        if isinstance(rows.ids_ms, list) and max(map(max, rows.ids_ms, rows.ids_n)) > MOST:
            # whoever writes to the bus may choose the id of an entry
            odd.update(index for index, parts in enumerate(zip(rows.ids_ms, rows.ids_n, strict=True)) if max(parts) > MOST)
        if odd:
            self._mend(rows, exact, odd)
            columns = plan.values(rows.events)
        if not rows.data:
            return
        columns |= {"id_ms": rows.ids_ms, "id_n": rows.ids_n, "source": _texts(rows.sources)}
        for name in self._columns:
            self._collect(name, columns[name])
        if decoded is not None and not odd:
            self._data.extend_lines(decoded.lines, len(rows.data))
        else:
            self._data.extend(rows.data)
        self._exact += exact

    def _mend(self, rows: _Rows, exact: list[bool], odd: set[int]) -> None:
        """Make these odd rows such as a store can hold, and leave out those that cannot be made so."""
        events, data = rows.events, rows.data = [*rows.events], [*rows.data]
        for index in sorted(odd, reverse=True):
            exact[index] = False
            try:
                if max(rows.ids_ms[index], rows.ids_n[index]) > MOST:
                    raise ValueError("its id has more than 63 bits")
                if _is_long(events[index]):
                    raise ValueError(f"its instrument or venue has more than {LONGEST_NAME} characters")
                data[index].decode()
                events[index] = self._plan.storable(text_events.respelled(data[index]))
            except (ValueError, msgspec.MsgspecError) as exc:
                self._found.append(Refused(f"{rows.ids_ms[index]}-{rows.ids_n[index]}", str(exc)))
                for part in (rows.ids_ms, rows.ids_n, events, data, rows.sources, exact):
                    del part[index]

    def _collect(self, name: str, values: Sequence[Any]) -> None:
        """Append these values to a column."""
        collected = self._columns[name]
        if isinstance(collected, array):
            try:
                collected.extend(values if isinstance(values, array) else array("q", values))
            except TypeError:  # there is a null
                self._columns[name] = [*collected, *values]
        else:
            collected.extend(values)


def _empty(type_: ColumnType) -> Lines | list[Any] | array[int]:
    """Return a column without values."""
    if type_ is ColumnType.INT:
        return array("q")
    return [] if type_ is ColumnType.BOOL else Lines()


def _is_long(event: Any) -> bool:
    return max(len(event.venue), len(event.instrument)) > LONGEST_NAME


def _texts(sources: Sequence[Source]) -> list[str]:
    """Return the sources as text; nearly always all are the same."""
    if sources and sources.count(sources[0]) == len(sources):
        return [sources[0].value] * len(sources)
    return [one.value for one in sources]


def _exact(events: Sequence[TextEvent], data: Sequence[bytes]) -> list[bool]:
    """Return of each event whether it is all that its JSON has."""
    if text_events.encode_lines(events) == b"\n".join([*data, b""]):
        return [True] * len(events)
    return [text_events.encode(event) == one for event, one in zip(events, data, strict=True)]
