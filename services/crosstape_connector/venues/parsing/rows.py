"""Reads the rows of a frame or an answer one by one: a row that cannot be read harms no other. Pure.

A decoder of one row finds a row of the wrong form. But invalid JSON (bytes that are not UTF-8, an escape of half a character, `NaN`) and
too deep nesting make a decoder refuse the complete frame or answer around the row. `mended` finds such rows by brackets and strings only,
and replaces each by a text, which no decoder accepts as a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError
from crosstape_connector.venues.messages import Odd

T = TypeVar("T")
ROW = "row"
"""The kind of an `Odd` that is a row."""
DEEPEST: Final = 100
"""A row whose values are nested deeper is not read. A decoder's own limit depends on who calls it."""
UNREADABLE: Final = "\ufffd"
"""Stands for what is no character."""

_HEAD: Final = 100
"""Bytes of a row that are shown."""
_INSTEAD: Final = "unreadable: "
_MARK: Final = b'"' + _INSTEAD.encode()
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},:]', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_QUOTE, _OPENING, _CLOSING, _COMMA = ord('"'), frozenset(b"[{"), frozenset(b"]}"), ord(",")
_raw = msgspec.json.Decoder(msgspec.Raw).decode


def readable(raws: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T], what: str, odd: list[Odd]) -> list[T]:
    """Return what `read` makes of the rows that it can read, in order. Each other row adds an `Odd`, whose reason begins with `what`."""
    good: list[T] = []
    for raw in raws:
        try:
            good.append(read(raw))
        except FRAME_ERRORS as exc:
            odd.append(Odd(ROW, f"{what}: {cause(raw, exc)}"))
    return good


def cause(raw: msgspec.Raw, error: Exception) -> Exception:
    """Return why a row cannot be read: the reason that `mended` put in its place, or else the error of its decoder."""
    return FrameError(msgspec.json.decode(raw, type=str).removeprefix(_INSTEAD)) if bytes(raw).startswith(_MARK) else error


def rows_decoder(made: type[T], depth: int) -> Callable[[bytes], T]:
    """A decoder of JSON whose rows, within `depth` brackets, are `msgspec.Raw`. If the JSON cannot be read, its rows are `mended` first."""
    decode = msgspec.json.Decoder(made).decode

    def decoded(data: bytes) -> T:
        try:
            return decode(data)
        except msgspec.ValidationError:
            raise
        except JSON_ERRORS:
            return decode(mended(data, depth))

    return decoded


def mended(data: bytes, depth: int) -> bytes:
    """The same JSON with a text in place of each row that cannot be read, where a row is a value within `depth` brackets.

    Outside of rows `UNREADABLE` stands for each half of a character and each byte that is not UTF-8. Raises one of `JSON_ERRORS` where the
    JSON around the rows cannot be read.
    """
    parts: list[bytes] = []
    copied = start = level = deepest = 0
    for token in _TOKEN.finditer(data):
        at = token.start()
        byte = data[at]
        if byte == _QUOTE:
            continue
        if byte in _OPENING:
            level += 1
            if level == depth:
                start, deepest = at + 1, level
            elif level > deepest:
                deepest = level
        elif level == depth:
            row = data[start:at]
            if (byte == _COMMA or byte in _CLOSING) and (why := _trouble(row, deepest - depth)):
                parts += data[copied:start], msgspec.json.encode(f"{_INSTEAD}{why}: {_shown(row)}")
                copied = at
            start, deepest = at + 1, level
            level -= byte in _CLOSING
        elif byte in _CLOSING:
            level -= 1
    parts.append(data[copied:])
    made = _ESCAPE.sub(_replacement, b"".join(parts)).decode(errors="replace").encode()
    try:
        _raw(made)
    except JSON_ERRORS:
        data.decode()  # what is not UTF-8 at all is no text
        raise
    return made


def _trouble(row: bytes, nested: int) -> str:
    """Return why a row cannot be read; empty if it can."""
    if nested > DEEPEST:
        return f"nested {nested} deep"
    try:
        if not row.isascii():
            row.decode()
        if row.strip():
            _raw(row)
    except JSON_ERRORS as exc:
        return str(exc)
    return ""


def _shown(row: bytes) -> str:
    return row[:_HEAD].decode(errors="replace").strip()


def _replacement(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]
