"""A column of texts with little memory: those that came together are one piece of bytes, and not an object each. Pure.

A batch waits for a minute. Fifty thousand objects for each of its columns would be memory that is new to the processor, and to the system,
with each batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import msgspec


class Same(msgspec.Struct, frozen=True):
    """One value, many times."""

    value: str
    count: int


class Lines(Sequence[Any]):
    """Texts, or bytes. As a sequence it is slow, and as large as a list from then on: that is for rare cases."""

    __slots__ = ("_are_bytes", "_length", "_values", "pieces")

    def __init__(self, *, are_bytes: bool = False) -> None:
        self.pieces: list[bytes | Same | list[Any]] = []
        """Lines, which are separated by line feeds; or one value, many times; or values of any kind: null, or with line feeds."""
        self._are_bytes = are_bytes
        self._length = 0
        self._values: list[Any] | None = None

    def extend(self, values: Sequence[Any]) -> None:
        """Adds these values, at least one."""
        piece: bytes | Same | list[Any] = list(values)
        if not self._are_bytes:
            first = values[0]
            if first is not None and first == values[-1] and values.count(first) == len(values):
                piece = Same(first, len(values))
            else:
                try:
                    joined = "\n".join(values)
                    if joined.count("\n") == len(values) - 1:
                        piece = joined.encode()
                except (TypeError, ValueError):  # there is a null, or half of a surrogate pair
                    pass
        self._add(piece, len(values))

    def extend_lines(self, lines: bytes, count: int) -> None:
        """Adds `count` values, at least one, that are separated by line feeds and have none."""
        self._add(lines, count)

    def _add(self, piece: bytes | Same | list[Any], count: int) -> None:
        self.pieces.append(piece)
        self._length += count
        self._values = None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> list[Any]:
        if self._values is None:
            values: list[Any] = []
            self._values = values
            for piece in self.pieces:
                match piece:
                    case bytes():
                        values.extend(piece.split(b"\n") if self._are_bytes else piece.decode().split("\n"))
                    case Same():
                        values += [piece.value] * piece.count
                    case _:
                        values += piece
        return self._values
