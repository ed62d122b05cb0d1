"""Reads the parameters of a request: each mistake is named with the parameter, the value and what is allowed. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from crosstape.settings.words import nearest
from crosstape_gateway.errors import RequestError
from crosstape_schemas import TIMEFRAMES

INTS: Final = ("number", "string")
"""What `ints` may be: how whole numbers of times and epochs are written in the answer."""

SHOWN: Final = 60
"""Most characters of a value that an error repeats."""

_WHOLE: Final = re.compile(r"[0-9]{1,19}")
_ISO: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|z|[+ -]\d{2}(?::?\d{2})?)?)?")
_ID: Final = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?")
_LARGEST: Final = 2**63 - 1
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNITS: Final = (("seconds", 10), ("milliseconds", 13), ("microseconds", 16))
"""Digits of the present time in other units than ours."""


class Values(Protocol):
    """The query of a request, in which a name may stand more than once."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Returns names and values, as they are given."""


class Parameters:
    """The parameters of one request. Making it raises `RequestError` for one that `allowed` does not have, or that is given twice."""

    def __init__(self, given: Values, allowed: Sequence[str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in given.items():
            if name not in allowed:
                guess = nearest(name[:SHOWN], allowed)
                hint = f"did you mean {guess}?" if guess else f"there are {', '.join(allowed)}" if allowed else "there are none"
                raise RequestError(400, "unknown_parameter", f"{name[:SHOWN]!r}: no such parameter; {hint}")
            if name in self._values:
                raise RequestError(400, "repeated_parameter", f"{name}: given more than once")
            self._values[name] = value

    def text(self, *names: str) -> str:
        """Returns the value of a parameter, without white space around it; empty if it is not given. Several names mean the same."""
        found = [(name, value) for name in names if (value := self._values.get(name, "").strip())]
        if len(found) > 1:
            raise RequestError(400, "repeated_parameter", f"{' and '.join(name for name, _ in found)} mean the same: leave one out")
        return found[0][1] if found else ""

    def required(self, *names: str, example: str) -> str:
        """The same. Raises `RequestError` if it is not given."""
        if text := self.text(*names):
            return text
        raise RequestError(400, "missing_parameter", f"{names[0]} is missing: for example {names[0]}={example}")

    def word(self, name: str, words: Sequence[str], default: str, *, code: str = "bad_parameter") -> str:
        """Returns one of `words`. Raises `RequestError` for any other, with the nearest one."""
        text = self.text(name) or default
        if text in words:
            return text
        guess = nearest(text[:SHOWN], words)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(words)}"
        raise RequestError(400, code, f"{name} = {text[:SHOWN]!r}: {hint}")

    def timeframe(self) -> str:
        """Returns the timeframe; a minute if none is given."""
        return self.word("timeframe", TIMEFRAMES, "1m", code="unknown_timeframe")

    def venue(self, known: Sequence[str]) -> str:
        """Returns the venue; empty if none is given."""
        if not (text := self.text("venue")):
            return ""
        if text in known:
            return text
        guess = nearest(text[:SHOWN], known)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(known)}" if known else "there are none yet"
        raise RequestError(404, "unknown_venue", f"venue = {text[:SHOWN]!r}: the tape has no such venue; {hint}")

    def count(self, name: str, default: int, largest: int) -> int:
        """Returns a number from 1 to `largest`."""
        if not (text := self.text(name)):
            return min(default, largest)
        if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= largest:
            raise RequestError(400, "bad_parameter", f"{name} = {text[:SHOWN]!r}: expected a whole number from 1 to {largest}")
        return int(text)

    def time(self, name: str) -> int | None:
        """Returns a time, ns since the epoch UTC; None if it is not given. See `time_of`."""
        text = self.text(name)
        return time_of(text, name) if text else None

    def entry_id(self, name: str) -> str:
        """Returns the id of an entry, as an answer gave it; empty if it is not given."""
        text = self.text(name)
        if text and (not _ID.fullmatch(text) or any(int(part) > 2**64 - 1 for part in text.split("-"))):
            raise RequestError(400, "bad_id", f"{name} = {text[:SHOWN]!r}: expected an id that an answer gave, such as 1764500000000-0")
        return text

    def whole_numbers_as_text(self) -> bool:
        """Whether times and epochs are to be written as strings: `ints=string`."""
        return self.word("ints", INTS, "number") == "string"


def time_of(text: str, name: str) -> int:
    """Returns the ns since the epoch UTC of a whole number (ns) or of ISO 8601 with up to nine decimals; without a zone it is UTC.

    Raises `RequestError`, also for a number that is the present time in another unit.
    """
    shown = f"{name} = {text[:SHOWN]!r}"
    if _WHOLE.fullmatch(text):
        ts = int(text)
        for unit, digits in _UNITS:
            if len(text) == digits and text[0] in "123":
                raise RequestError(400, "bad_time", f"{shown}: these look like {unit}; expected ns since the epoch, or ISO 8601")
        if ts <= _LARGEST:
            return ts
    if (found := _ISO.fullmatch(text)) is not None:
        day, minute, second, fraction, zone = found.groups()
        offset = (zone or "Z").upper().replace(" ", "+")  # a + in a query is a space
        offset = "+00:00" if offset == "Z" else offset if ":" in offset else f"{offset[:3]}:{offset[3:] or '00'}"
        try:
            moment = dt.datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{offset}")
            ts = (moment - _EPOCH) // dt.timedelta(seconds=1) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
        except (ValueError, OverflowError):
            ts = -1  # such as the 30th of February
        if 0 <= ts <= _LARGEST:
            return ts
    raise RequestError(400, "bad_time", f"{shown}: expected ns since the epoch, or ISO 8601 such as 2026-11-30T12:00:00Z")
