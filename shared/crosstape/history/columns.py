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

import types
from array import array
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Final, Literal, Protocol, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from crosstape.bus.read.entry import Run
from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.event_columns import BEST, WITH_LEVELS, event_columns
from crosstape.history.text_events import MOST, TextEvent
from crosstape_schemas import KINDS


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
    hints = get_type_hints(cls)
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


_numbers = msgspec.json.Decoder(list[int]).decode
AT_ONCE: Final = 512
"""Events that become columns together: few enough that they are in the processor's cache, and that their memory is used again."""


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
        ids = _numbers(b"[%b]" % b",".join(run.ids).replace(b"-", b","))
        self._move(
            ids[::2], ids[1::2], [*decoded.events], [*decoded.data], [Source.TAPE] * len(ids[::2]), [True] * len(run), decoded.columns
        )

    def build(self) -> Batch:
        """Returns what was added since the last call, in that order, without what `refused` then names."""
        self._flush()
        made = Batch(self.kind, self._columns, self._data, self._exact)
        self.refused, self._found = self._found, []
        self._begin()
        return made

    def _begin(self) -> None:
        self._columns: dict[str, list[Any] | array[int]] = {
            column.name: array("q") if column.type is ColumnType.INT else [] for column in columns_of(self.kind)
        }
        self._data: list[bytes] = []
        self._exact: list[bool] = []

    def _flush(self) -> None:
        """Move all that waits to the columns."""
        rows, self._rows = self._rows, []
        if rows:
            ids_ms, ids_n, events, data, sources = map(list, zip(*rows, strict=True))
            self._move(ids_ms, ids_n, events, data, sources)
        entries, self._entries = self._entries, []
        if entries:
            self._move_entries(entries)

    def _move_entries(self, entries: list[TextEntry]) -> None:
        ids = _numbers(f"[{','.join([entry.id for entry in entries])}]".replace("-", ","))
        events, data = [entry.event for entry in entries], [entry.data for entry in entries]
        self._move(ids[::2], ids[1::2], events, data, [Source.TAPE] * len(entries))

    def _move(
        self,
        ids_ms: list[int],
        ids_n: list[int],
        events: list[Any],
        data: list[bytes],
        sources: list[Source],
        exact: list[bool] | None = None,
        fields: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Append these rows to the batch. `exact`, `fields`: if they are known."""
        plan = self._plan
        if exact is None:
            exact = _exact(events, data) if not is_nested(self.kind) else [False] * len(events)
        columns = plan.values(events, fields)
        odd = plan.odd_rows(events, data, columns, exact)
        if max(ids_ms) > MOST or max(ids_n) > MOST:  # whoever writes to the bus may choose the id of an entry
            odd.update(index for index, parts in enumerate(zip(ids_ms, ids_n, strict=True)) if max(parts) > MOST)
        if odd:
            for index in sorted(odd, reverse=True):
                exact[index] = False
                try:
                    if max(ids_ms[index], ids_n[index]) > MOST:
                        raise ValueError("its id has more than 63 bits")
                    data[index].decode()
                    events[index] = plan.storable(text_events.respelled(data[index]))
                except (ValueError, msgspec.MsgspecError) as exc:
                    self._found.append(Refused(f"{ids_ms[index]}-{ids_n[index]}", str(exc)))
                    for part in (ids_ms, ids_n, events, data, sources, exact):
                        del part[index]
            columns = plan.values(events)
        columns |= {"id_ms": ids_ms, "id_n": ids_n, "source": _texts(sources)}
        for name in self._columns:
            self._collect(name, columns[name])
        self._data += data
        self._exact += exact

    def _collect(self, name: str, values: Sequence[Any]) -> None:
        """Append these values to a column."""
        collected = self._columns[name]
        if isinstance(collected, array):
            try:
                collected.extend(array("q", values))
            except TypeError:  # there is a null
                self._columns[name] = [*collected, *values]
        else:
            collected.extend(values)


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
