"""Frames with one thing in them changed: numbers, checksums, times. Pure; all other bytes stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from crosstape_simulator.formats import NS

_ISO: Final = re.compile(rb'"(2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z"')

Shift = Callable[[bytes, int], bytes]
"""(payload, ns) → the payload with all its times later by `ns`."""


class Numbers:
    """The field that numbers the frames of a connection."""

    def __init__(self, field: str) -> None:
        self.field = field
        self._pattern = re.compile(rb'"%s":-?\d+' % field.encode())

    def renumbered(self, payload: bytes, number: int) -> bytes:
        """The frame with another number."""
        return self._pattern.sub(b'"%s":%d' % (self.field.encode(), number), payload, count=1)


class UpdateIds:
    """The fields that number the changes of a book, on the stream and in snapshots."""

    def __init__(self, *fields: str) -> None:
        self.fields = fields
        self._pattern = re.compile(rb'"(%s)":(\d+)' % "|".join(fields).encode())

    def first(self, payload: bytes) -> int | None:
        """The first update id in a frame or snapshot; None: there is none."""
        found = self._pattern.search(payload)
        return int(found.group(2)) if found else None

    def lowered(self, payload: bytes, by: int) -> bytes:
        """A frame or snapshot with `by` less in all its update ids, at least 0."""
        return self._pattern.sub(lambda found: b'"%s":%d' % (found.group(1), max(0, int(found.group(2)) - by)), payload)


class Checksum:
    """The field with the checksum of a book, and the field with the size of a level."""

    def __init__(self, field: str, size: str) -> None:
        self._field = field.encode()
        self._pattern = re.compile(rb'"%s":(\d+)' % self._field)
        self._size_key = b'"%s":' % size.encode()
        self._size = re.compile(self._size_key + rb"([0-9.]*[1-9][0-9.]*)")

    def wrong(self, payload: bytes) -> bytes:
        """A book frame whose checksum is off by its last bit."""
        return self._pattern.sub(lambda found: b'"%s":%d' % (self._field, int(found.group(1)) ^ 1), payload, count=1)

    def without(self, payload: bytes) -> bytes:
        """A book frame without a checksum."""
        return self._pattern.sub(b"", payload, count=1).replace(b",,", b",", 1)

    def wrong_level(self, payload: bytes) -> bytes | None:
        """A book frame with another size in the first level that it does not remove; None if it has no such level."""
        changed, count = self._size.subn(lambda found: self._size_key + _other(found.group(1)), payload, count=1)
        return changed if count else None


def _other(size: bytes) -> bytes:
    """Another size with as many digits, and not zero: the first digit that is not 0 becomes another."""
    at = next(index for index, digit in enumerate(size) if digit in b"123456789")
    return size[:at] + (b"2" if size[at : at + 1] != b"2" else b"3") + size[at + 1 :]


def iso_times(payload: bytes, ns: int) -> bytes:
    """All ISO times (`2024-05-27T12:43:11.79Z`) later by `ns`, in as many digits as they had or need; the year 1970 is no time."""
    return _ISO.sub(lambda found: _iso(found, ns), payload)


def unix_times(*fields: str) -> Shift:
    """Shifts the times in these fields: s, ms, µs or ns since the epoch, known by their 10 to 19 digits, quoted or not."""
    pattern = re.compile(rb'"(%s)":("?)(\d{10,19})\b' % "|".join(fields).encode())

    def later(found: re.Match[bytes], ns: int) -> bytes:
        unit = 10 ** (19 - len(found.group(3)))
        return b'"%s":%s%d' % (found.group(1), found.group(2), (int(found.group(3)) * unit + ns) // unit)

    return lambda payload, ns: pattern.sub(lambda found: later(found, ns), payload)


def _iso(found: re.Match[bytes], ns: int) -> bytes:
    digits = found.group(2) or b""
    second = int(datetime.fromisoformat(found.group(1).decode()).replace(tzinfo=UTC).timestamp())
    seconds, rest = divmod(second * NS + int(digits.ljust(9, b"0") or 0) + ns, NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest:09d}"
    fraction = fraction[: max(len(digits), len(fraction.rstrip("0")))]
    return f'"{text}{"." if fraction else ""}{fraction}Z"'.encode()
