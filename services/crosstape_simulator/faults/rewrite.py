"""Frames with one thing in them changed. Pure; all other bytes stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

NUMBER: Final = re.compile(rb'"sequence_num":(\d+)')
_CHECKSUM: Final = re.compile(rb'"checksum":(\d+)')
_SIZE: Final = re.compile(rb'"qty":([0-9.]*[1-9][0-9.]*)')
_IDS: Final = re.compile(rb'"(U|u|lastUpdateId)":(\d+)')
_UNIX: Final = re.compile(rb'"(E|T|O|C)":(\d{13,19})\b')
_ISO: Final = re.compile(rb'"(2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z"')
_REST_MS: Final = re.compile(rb'"(time|serverTime)":(\d{13})\b')
_REST_NS: Final = re.compile(rb'"last":"(\d{19})"')
_REST_S: Final = re.compile(rb',(\d{10})(?:\.(\d{1,9}))?,"([bs])"')
_NS: Final = 1_000_000_000


def renumbered(payload: bytes, number: int) -> bytes:
    """A Coinbase Advanced frame with another `sequence_num`."""
    return NUMBER.sub(b'"sequence_num":%d' % number, payload, count=1)


def with_wrong_checksum(payload: bytes) -> bytes:
    """A Kraken book frame whose checksum is off by its last bit."""
    return _CHECKSUM.sub(lambda found: b'"checksum":%d' % (int(found.group(1)) ^ 1), payload, count=1)


def without_checksum(payload: bytes) -> bytes:
    """A Kraken book frame without a checksum."""
    return _CHECKSUM.sub(b"", payload, count=1).replace(b",,", b",", 1)


def with_wrong_level(payload: bytes) -> bytes | None:
    """A Kraken book frame with another size in the first level that it does not remove; None if it has no such level."""
    changed, count = _SIZE.subn(lambda found: b'"qty":' + _other(found.group(1)), payload, count=1)
    return changed if count else None


def _other(size: bytes) -> bytes:
    """Another size with as many digits, and not zero: the first digit that is not 0 becomes another."""
    at = next(index for index, digit in enumerate(size) if digit in b"123456789")
    return size[:at] + (b"2" if size[at : at + 1] != b"2" else b"3") + size[at + 1 :]


def first_id(payload: bytes) -> int | None:
    """The first update id in a Binance frame or snapshot."""
    found = _IDS.search(payload)
    return int(found.group(2)) if found else None


def with_lower_ids(payload: bytes, base: int) -> bytes:
    """A Binance frame or snapshot with `base` less in all its update ids, at least 0."""
    return _IDS.sub(lambda found: b'"%s":%d' % (found.group(1), max(0, int(found.group(2)) - base)), payload)


def shifted(payload: bytes, ns: int) -> bytes:
    """A frame of any venue with all its times so much later, in as many digits as they had or as are needed.

    The year 1970 and the like are no times.
    """
    return _ISO.sub(_iso(ns), _UNIX.sub(_unix(ns), payload))


def shifted_answer(payload: bytes, ns: int) -> bytes:
    """A REST answer of any venue with all its times so much later."""
    body = _REST_NS.sub(lambda found: b'"last":"%d"' % (int(found.group(1)) + ns), shifted(payload, ns))
    body = _REST_MS.sub(lambda found: b'"%s":%d' % (found.group(1), int(found.group(2)) + ns // 1_000_000), body)
    return _REST_S.sub(_seconds(ns), body)


def _seconds(ns: int) -> Callable[[re.Match[bytes]], bytes]:
    def replace(found: re.Match[bytes]) -> bytes:
        at = int(found.group(1)) * _NS + int((found.group(2) or b"").ljust(9, b"0") or 0) + ns
        return b',%d.%09d,"%s"' % (*divmod(at, _NS), found.group(3))

    return replace


def _unix(ns: int) -> Callable[[re.Match[bytes]], bytes]:
    def replace(found: re.Match[bytes]) -> bytes:
        unit = 10 ** (19 - len(found.group(2)))  # 13 digits are ms, 16 µs
        return b'"%s":%d' % (found.group(1), (int(found.group(2)) * unit + ns) // unit)

    return replace


def _iso(ns: int) -> Callable[[re.Match[bytes]], bytes]:
    def replace(found: re.Match[bytes]) -> bytes:
        digits = found.group(2) or b""
        whole = int(datetime.fromisoformat(found.group(1).decode()).replace(tzinfo=UTC).timestamp())
        at = whole * _NS + int(digits.ljust(9, b"0") or 0) + ns
        seconds, rest = divmod(at, _NS)
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        fraction = f"{rest:09d}"
        fraction = fraction[: max(len(digits), len(fraction.rstrip("0")))]
        return f'"{text}{"." if fraction else ""}{fraction}Z"'.encode()

    return replace
