"""Times and spans on the command line: ISO 8601, nanoseconds since the epoch, or relative to now. No clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from cyclopts import Parameter

from crosstape.errors import SettingsError

SECOND: Final = 1_000_000_000
UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Seconds of each unit of a span, longest first."""
LATEST_TS: Final = 2**63 - 1
"""The latest moment: times are 64-bit numbers on the tape and in the history."""
ACCEPTED: Final = "use 2026-11-30, 2026-11-30T14:05:00Z, -1h, -2d12h, now, or nanoseconds since the epoch"

From = Annotated[
    str | None,
    Parameter(
        name="--from", allow_leading_hyphen=True, help="From this time on: 2026-11-30, 2026-11-30T14:05:00Z, -1h, -2d12h, now, or ns."
    ),
]
To = Annotated[
    str | None,
    Parameter(name="--to", allow_leading_hyphen=True, help="Up to this time, which is not included; default: now. Written as --from."),
]

_SPAN: Final = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in UNITS))
_ISO: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?", re.IGNORECASE | re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, now_ts: int, option: str) -> int:
    """Return the time that `text` names, ns since the epoch: ISO (UTC if it names no zone), ns, `now`, or a span before or after now.

    `option` is the option's name, for errors. Raises `SettingsError`.
    """
    wanted = text.strip()
    if wanted.lower() == "now":
        return now_ts
    if wanted[:1] in ("-", "+"):
        length = _span_ns(wanted[1:])
        if length is None:
            raise _refused(option, text, "no span")
        found = now_ts - length if wanted[0] == "-" else now_ts + length
    elif wanted.isascii() and wanted.isdigit():
        if len(wanted) < 16 and int(wanted):
            raise _refused(option, text, "too small for nanoseconds since the epoch")
        found = int(wanted)
    else:
        found = _iso(wanted, option, text)
    if not 0 <= found <= LATEST_TS:
        raise _refused(option, text, "before 1970" if found < 0 else "too late")
    return found


def span(from_text: str | None, to_text: str | None, now_ts: int) -> tuple[int | None, int]:
    """Return `--from` (None: not given) and `--to` (default: now) in ns. Raises `SettingsError` if nothing lies between them."""
    from_ts = None if from_text is None else moment(from_text, now_ts, "--from")
    to_ts = now_ts if to_text is None else moment(to_text, now_ts, "--to")
    if from_ts is not None and from_ts >= to_ts:
        raise SettingsError(f"--from {from_text} is not before --to {to_text or 'now'}: {iso(from_ts)} and {iso(to_ts)}")
    return from_ts, to_ts


def iso(ts: int) -> str:
    """Return a time as `2026-11-30T14:05:00Z`, with as many digits of a second as it has."""
    seconds, ns = divmod(ts, SECOND)
    fraction = f".{ns:09d}".rstrip("0").rstrip(".")
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _span_ns(text: str) -> int | None:
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None or not any(found.groups()):
        return None
    return sum(int(count or 0) * length for count, length in zip(found.groups(), UNITS.values(), strict=True)) * SECOND


def _iso(wanted: str, option: str, text: str) -> int:
    found = _ISO.fullmatch(wanted)
    if found is None:
        raise _refused(option, text, "no time")
    day, minute, second, fraction, zone = found.groups()
    zone = (zone or "Z").upper()
    try:
        made = datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{'+00:00' if zone == 'Z' else zone}")
    except ValueError as exc:
        raise _refused(option, text, str(exc)) from exc
    since = made - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + int((fraction or "").ljust(9, "0"))


def _refused(option: str, text: str, why: str) -> SettingsError:
    return SettingsError(f"{option} {text[:60]}: {why}; {ACCEPTED}")
