"""Decodes events with decimals as text, for the history: it keeps the digits as they are on the tape, and computes with none of them.

The structs are made from those of the schema: the same kinds, fields and defaults, with text in the place of each decimal. That costs half
of a decode with decimals, and shows spellings that a decimal hides (`1E+3`, `+1`).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from enum import Enum
from operator import getitem
from typing import Annotated, Any, Final, Literal, Protocol, Union, get_args, get_origin

import msgspec

import crosstape_schemas
from crosstape.bus.read.entry import Decoded
from crosstape_schemas import KINDS, field_types
from crosstape_schemas.event import Level, type_tag

MOST: Final = 2**63 - 1
LEAST: Final = -(2**63)


class TextEvent(Protocol):
    """The fields that all text events have. The others have the names of the kind's struct in `crosstape_schemas`."""

    @property
    def venue(self) -> str:
        """See `Event`."""
        ...

    @property
    def instrument(self) -> str:
        """See `Event`."""
        ...

    @property
    def venue_ts(self) -> int | None:
        """See `Event`."""
        ...

    @property
    def received_ts(self) -> int:
        """See `Event`."""
        ...

    @property
    def epoch(self) -> int:
        """See `Event`."""
        ...

    @property
    def seq(self) -> int:
        """See `Event`."""
        ...


def decode(data: bytes | str) -> TextEvent:
    """Returns the event of these bytes, an instance of one of `TEXT_KINDS`. Raises as `crosstape_schemas.decode` does.

    The texts of decimals are not looked at: that is cheaper for many events at once (see `columns`). Of events that only a foreign producer
    writes, an integer that needs more than 64 bits is the nearest that does not, and a decimal written as a JSON number is its text.
    """
    try:
        event: TextEvent = _decode(data)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        event = respelled(data)
    return event


def respelled(data: bytes | str) -> TextEvent:
    """Returns the event of these bytes with each decimal as crosstape spells it, and integers of 64 bits. Raises as `decode`; slow."""
    event: TextEvent = _decode(crosstape_schemas.encode(_bounded(crosstape_schemas.decode(data))))
    return event


def encode(event: TextEvent) -> bytes:
    """Returns the event's JSON, as `crosstape_schemas.encode` writes it. If it is not what was decoded, there was more, or other, in that:
    unknown fields, another order, white space.
    """
    return _encode(event)


def encode_lines(events: Sequence[TextEvent]) -> bytes:
    """Returns the JSON of many events, each followed by a line feed."""
    return _encode_lines(events)


def decode_all(data: Sequence[bytes]) -> Decoded | None:
    """Returns the events of many entries and their columns, in half the time that `decode` takes. None: look at each.

    It needs events of one kind without lists and structs within, each of which is all that its JSON has. That their JSON is equal to what
    was decoded shows, too, that each came from an entry of its own: `{"a":1` and `"b":2}` are one event only together.
    """
    lines = b"\n".join(data)
    try:
        first = _decode(data[0])
        if type(first) not in _FLAT or _encode(first) != data[0]:
            return None  # so for most streams that are read so, nothing more is done in vain
        events = _decode_lines(lines)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    cls = type(events[0])
    again = _encode_lines(events)
    if len(events) != len(data) or len(again) != len(lines) + 1 or not again.startswith(lines) or set(map(type, events)) != {cls}:
        return None
    columns = dict(zip(cls.__struct_fields__, zip(*map(msgspec.structs.astuple, events), strict=True), strict=True))
    return Decoded(events, data, columns, lines)


def kind_of(event: TextEvent) -> str:
    """Returns the kind of an event: its tag."""
    return _KIND_OF[type(event)]


def text_type(kind: str) -> type[Any]:
    """Returns the struct of a kind whose decimals are text."""
    return TEXT_KINDS[kind]


def _bounded(event: crosstape_schemas.Event) -> crosstape_schemas.Event:
    """Return the event with each number of its own fields within 64 bits."""
    numbers = {name: getattr(event, name) for name in event.__struct_fields__}
    return msgspec.structs.replace(event, **{name: max(LEAST, min(MOST, n)) for name, n in numbers.items() if type(n) is int})


_Int = Annotated[int, msgspec.Meta(ge=LEAST, le=MOST)]
_made: dict[type, type[Any]] = {}


def _text_struct(cls: type[Any], **config: Any) -> type[Any]:
    """Return a struct with the fields of `cls`, and text for decimals."""
    if cls not in _made:
        own = bool(config)  # an event; its numbers become columns
        fields: list[Any] = []
        hints = field_types(cls)
        for field in msgspec.structs.fields(cls):
            default = field.default
            if isinstance(default, Enum):
                default = default.value
            made = _text_of(hints[field.name], own)
            fields.append((field.name, made) if default is msgspec.NODEFAULT else (field.name, made, default))
        required = [field for field in fields if len(field) == 2]
        if fields[: len(required)] != required:
            raise TypeError(f"{cls.__name__}: a field without a default follows one with a default")
        _made[cls] = msgspec.defstruct(cls.__name__, fields, frozen=True, gc=False, module=__name__, **config)
    return _made[cls]


def _text_of(hint: Any, own: bool) -> Any:
    """Return the type of a field with text for each decimal, and the words of an enumeration for its members.

    Enumerations that read unknown words as one of theirs take any text: so it is kept as it is.
    """
    origin = get_origin(hint)
    if hint is Decimal:
        return str
    if hint is int and own:
        return _Int
    if origin in (types.UnionType, Union):
        return Union[tuple(_text_of(part, own) for part in get_args(hint))]  # noqa: UP007 - made at run time
    if origin is tuple or origin is dict:
        return origin[tuple(part if part is Ellipsis else _text_of(part, False) for part in get_args(hint))]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return str if "_missing_" in hint.__dict__ else Literal[tuple(member.value for member in hint)]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _text_struct(hint)
    return hint


TEXT_KINDS: Final[dict[str, type[Any]]] = {kind: _text_struct(cls, tag_field=type_tag, tag=kind) for kind, cls in KINDS.items()}
"""Every kind of event, by its tag: the struct whose decimals are text."""
_KIND_OF: Final = {cls: kind for kind, cls in TEXT_KINDS.items()}

_decoder = msgspec.json.Decoder(Union[tuple(TEXT_KINDS.values())])  # noqa: UP007 - made at run time
_decode: Callable[[bytes | str], Any] = _decoder.decode
_decode_lines: Callable[[bytes], list[Any]] = _decoder.decode_lines
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


def decimals_of(kind: str) -> Callable[[TextEvent], Iterator[str]] | None:
    """Returns a function that yields the texts in the nested fields of an event of this kind which are decimals by the schema.

    None: there are none.
    """
    hints = field_types(KINDS[kind])
    nested = [(name, walk) for name, hint in hints.items() if not is_decimal(hint) and (walk := _walk_of(hint)) is not None]
    if not nested:
        return None

    def texts(event: TextEvent) -> Iterator[str]:
        found: list[str] = []
        for name, walk in nested:
            walk(getattr(event, name), found)
        return iter(found)

    return texts


def is_decimal(hint: Any) -> bool:
    """Whether this is the type of a decimal, or of one that may be null."""
    return hint is Decimal or set(get_args(hint)) == {Decimal, type(None)}


def _is_flat(hint: Any) -> bool:
    """Whether a field of this type of the schema has no list, mapping or struct in it."""
    parts = [part for part in get_args(hint) or (hint,) if part is not type(None)]
    return all(isinstance(part, type) and get_origin(part) is None and not issubclass(part, msgspec.Struct) for part in parts) and (
        get_origin(hint) in {None, types.UnionType, Union, Literal}
    )


_FLAT: Final = frozenset(TEXT_KINDS[kind] for kind, cls in KINDS.items() if all(map(_is_flat, field_types(cls).values())))
"""The structs of kinds whose fields all are columns."""

_Walk = Callable[[Any, list[str]], None]
"""Adds each text in a value that is a decimal by the schema's type to a list."""


def _walk_of(hint: Any) -> _Walk | None:
    """Return how to find the decimals in a value of this type of the schema; None: there are none.

    It is made once for each type: to look at the types again for each value takes a hundred times as long.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Decimal:
        return _add
    if origin in (types.UnionType, Union):
        (inner,) = (part for part in args if part is not type(None))
        return _walk_nullable(_walk_of(inner))
    if origin is dict:
        return _walk_all(_walk_of(args[1]), dict.values)
    if origin is tuple and args[-1] is Ellipsis:
        return _walk_levels if args[0] == Level else _walk_all(_walk_of(args[0]), iter)
    if origin is tuple:
        return _walk_some([(index, walk) for index, part in enumerate(args) if (walk := _walk_of(part)) is not None], getitem)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        fields = field_types(hint).items()
        return _walk_some([(name, walk) for name, inner in fields if (walk := _walk_of(inner)) is not None], getattr)
    return None


def _add(value: Any, found: list[str]) -> None:
    found.append(value)


def _walk_levels(value: Any, found: list[str]) -> None:
    for level in value:
        found += level


def _walk_nullable(walk: _Walk | None) -> _Walk | None:
    if walk is None:
        return None

    def nullable(value: Any, found: list[str]) -> None:
        if value is not None:
            walk(value, found)

    return nullable


def _walk_all(walk: _Walk | None, parts: Callable[[Any], Iterable[Any]]) -> _Walk | None:
    if walk is None:
        return None

    def every(value: Any, found: list[str]) -> None:
        for part in parts(value):
            walk(part, found)

    return every


def _walk_some(walks: Sequence[tuple[Any, _Walk]], get: Callable[[Any, Any], Any]) -> _Walk | None:
    if not walks:
        return None

    def some(value: Any, found: list[str]) -> None:
        for name, walk in walks:
            walk(get(value, name), found)

    return some
