"""HTX's REST, as far as spot and contracts share it: errors, rows, candles.

Quirks  an error comes with HTTP 200: `status` is `error`, and its code is `err-code` for markets and `err_code` for what else there is;
        newer paths have a `code` that is not 200; in maintenance every answer is `{"status":"maintain"}`. Candles of spot come newest
        first, those of contracts oldest first. Numbers are JSON numbers in Java's spelling
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.htx.values import RawCandle, checked
from crosstape_connector.venues.messages import CandleSnapshot, Odd
from crosstape_connector.venues.parsing.answers import fault_message
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_schemas import Candle, Instrument

T = TypeVar("T")
CANDLES: Final = 1_000
"""Candles that we ask for at once; the venue gives up to 2,000."""
PAGE: Final = 2_000
"""Trades in an answer: the venue's most."""
NEWEST: Final = "the venue gives the newest 2,000 trades, and no others"
NULL: Final = msgspec.Raw(b"null")


class Fault(msgspec.Struct, frozen=True):
    status: str = ""
    code: int | str | None = None
    dashed: int | str | None = msgspec.field(name="err-code", default=None)
    dashed_message: str = msgspec.field(name="err-msg", default="")
    underscored: int | str | None = msgspec.field(name="err_code", default=None)
    underscored_message: str = msgspec.field(name="err_msg", default="")
    message: str | None = None
    msg: str | None = None


class RawData(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


class RawGroups(msgspec.Struct, frozen=True):
    data: list[RawData]


def _message(fault: Fault) -> str:
    if fault.status == "maintain":
        return "maintenance"
    if fault.status == "error":
        code = fault.dashed if fault.dashed is not None else fault.underscored
        return f"{'' if code is None else code} {fault.dashed_message or fault.underscored_message}".strip() or "error"
    if fault.code in (None, 200, "200"):
        return ""
    return f"{fault.code} {fault.message or fault.msg or ''}".strip()


rest_error = fault_message(msgspec.json.Decoder(Fault).decode, _message)
"""`{"status": "error", "err-code": …, "err-msg": …}`, with underscores, or with a `code`."""
rows_of = rows_decoder(RawData, 2)
"""An answer whose `data` is a list → its rows."""
_candle = msgspec.json.Decoder(RawCandle).decode
_groups = rows_decoder(RawGroups, 4)


def text_of(raw: msgspec.Raw) -> str:
    """Return the text of a JSON number; of a text in its place the quotes stay, so that it is none."""
    return bytes(raw).decode()


def number_of(raw: msgspec.Raw) -> Decimal:
    """Return a number from its JSON. Raises `NotANumber`."""
    return figure(text_of(raw))


def trade_rows(body: bytes) -> list[msgspec.Raw]:
    """Return the rows of past trades, which come in groups: one of each order."""
    return [row for group in _groups(body).data for row in group.data]


def read_all(rows: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T], what: str) -> tuple[list[T], list[Odd]]:
    """Return what `read` makes of the rows, and the odd ones. Raises one of `FRAME_ERRORS` if there are rows, and none can be read."""
    all_rows, odd = list(rows), list[Odd]()
    good = readable(all_rows, read, what, odd)
    if odd and not good:
        read(all_rows[0])
    return good, odd


def raw_candles(body: bytes, what: str) -> tuple[list[RawCandle], list[Odd]]:
    """Return the rows of an answer with candles."""

    def read(row: msgspec.Raw) -> RawCandle:
        checked(bytes(row), 0)
        return _candle(row)

    return read_all(rows_of(body).data, read, what)


def candles(
    body: bytes, instrument: Instrument, timeframe: str, received_ts: int, made: Callable[[list[RawCandle]], Callable[[RawCandle], Candle]]
) -> CandleSnapshot:
    """Return past candles, oldest first. `made`: all rows → what makes a candle of one."""
    what = f"candle:{timeframe} of {instrument.name}"
    rows, odd = raw_candles(body, what)
    of = made(rows)
    by_open: dict[int, Candle] = {}
    for row in rows:
        try:
            one = of(row)
        except FRAME_ERRORS as exc:
            odd.append(Odd("row", f"{what}: {exc}"))
        else:
            by_open[one.open_ts] = one
    return snapshot(instrument.name, timeframe, by_open.values(), received_ts, odd)
