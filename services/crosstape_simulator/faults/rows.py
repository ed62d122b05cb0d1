"""One row of a frame made unreadable: a trade, a level of a book, a ticker. Pure; all other bytes stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from crosstape_simulator.venues.spec import SimulatedVenue

VALUES: Final[Mapping[str, bytes]] = {
    "text": b'"abc"',
    "null": b"null",
    "empty": b'""',
    "nan": b'"NaN"',
    "negative": b'"-1"',
    "huge": b'"1e400"',
    "type": b'{"a":1}',
}
"""What replaces a number, as JSON."""

_LEVEL: Final = rb'\[(?:"(?:buy|sell)",)?(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+")\]'
_NUMBER: Final = rb'("[0-9.]+"|[0-9.]+)'


@lru_cache
def _field(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'"(?P<name>%s)":(?P<value>%s)' % (name.encode(), _NUMBER))


_LEVELS: Final = re.compile(_LEVEL)


def with_an_odd_row(payload: bytes, venue: SimulatedVenue, kind: str, what: str, how: str) -> bytes | None:
    """The frame with its last row of that kind unreadable; None: it has no such row."""
    fields = venue.fields.get(kind)
    found = _last(_field(fields[what == "size"]), payload) if fields is not None else None
    if found is not None:
        name, value = found.group("name"), found.group("value")
        new = b'"%s":%s' % (name, _value(how, quoted=value.startswith(b'"'))) if how != "missing" else b'"no_%s":%s' % (name, value)
        return payload[: found.start()] + new + payload[found.end() :]
    pattern = re.compile(venue.rows[kind]) if kind in venue.rows else _LEVELS if kind == "book" else None
    level = _last(pattern, payload) if pattern is not None else None
    if level is None:
        return None
    start, end = level.span(what)
    if how == "missing":
        is_first = payload[start - 1 : start] == b"["
        return payload[: start - (not is_first)] + payload[end + is_first :]  # with the comma before or after it
    return payload[:start] + _value(how, quoted=payload[start : start + 1] == b'"') + payload[end:]


def _last(pattern: re.Pattern[bytes], payload: bytes) -> re.Match[bytes] | None:
    return max(pattern.finditer(payload), key=re.Match.start, default=None)


def _value(how: str, *, quoted: bool) -> bytes:
    value = VALUES[how]
    return value.strip(b'"') if not quoted and how in ("negative", "huge") else value
