"""Encodes values with integers of any size. MessagePack has 64 bits for one, and some venues' trade ids have 30 digits."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_encode: Final = msgspec.msgpack.Encoder().encode
_LOW: Final = -(2**63)
_END: Final = 2**64


def encode(value: object) -> bytes:
    """Return the MessagePack of a value. An integer beyond 64 bits is a text: a decoder that is not strict reads it as the integer."""
    try:
        return _encode(value)
    except OverflowError:
        return _encode(_with_texts(msgspec.to_builtins(value, builtin_types=(bytes,))))


def _with_texts(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return value if _LOW <= value < _END else str(value)
        case list() | tuple():
            return [_with_texts(one) for one in value]
        case dict():
            return {key: _with_texts(one) for key, one in value.items()}
        case _:
            return value
