"""Bybit's tickers and candles. A contract's ticker has its mark, index, funding and open interest, too.

Tickers spot: complete in each frame, without best prices. Contracts: a snapshot, then what has changed. A field that is missing is as it
        was, an empty text is a value: dated contracts have no funding. Volumes of inverse contracts are US dollars, turnovers base units
Open    of a candle: the close before it, also where the first trade was at another price. So `high` and `low` may be prices of no trade
Closed  `confirm` true, often with the next candle in the same frame
Volume  `volume` base units and `turnover` quote units; of inverse contracts the other way round
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bybit.frames import Route
from crosstape_connector.venues.bybit.stream import raw_rows
from crosstape_connector.venues.messages import Output, Unreadable, unreadable
from crosstape_connector.venues.parsing.candles import candle
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, epoch_ns, shown
from crosstape_schemas import Candle, Funding, Instrument, Mark, OpenInterest, Ticker
from crosstape_schemas.timeframes import is_open

HOUR_S: Final = 3_600
MS: Final = 1_000_000
KINDS: Final = ("ticker", "mark", "funding", "open_interest")
_STAMP: Final = 13
"""Digits of a time in ms."""
Text = str | UnsetType


class RawDay(msgspec.Struct, frozen=True, gc=False):
    last: str = msgspec.field(name="lastPrice")
    first: str = msgspec.field(name="prevPrice24h")
    high: str = msgspec.field(name="highPrice24h")
    low: str = msgspec.field(name="lowPrice24h")
    volume: str = msgspec.field(name="volume24h")
    turnover: str = msgspec.field(name="turnover24h")


class DayFrame(msgspec.Struct, frozen=True, gc=False):
    ts: Stamp
    data: RawDay


class RawTicker(msgspec.Struct, gc=False):
    last: Text = msgspec.field(name="lastPrice", default=UNSET)
    first: Text = msgspec.field(name="prevPrice24h", default=UNSET)
    high: Text = msgspec.field(name="highPrice24h", default=UNSET)
    low: Text = msgspec.field(name="lowPrice24h", default=UNSET)
    volume: Text = msgspec.field(name="volume24h", default=UNSET)
    turnover: Text = msgspec.field(name="turnover24h", default=UNSET)
    mark: Text = msgspec.field(name="markPrice", default=UNSET)
    index: Text = msgspec.field(name="indexPrice", default=UNSET)
    rate: Text = msgspec.field(name="fundingRate", default=UNSET)
    next: Text = msgspec.field(name="nextFundingTime", default=UNSET)
    hours: Text = msgspec.field(name="fundingIntervalHour", default=UNSET)
    interest: Text = msgspec.field(name="openInterest", default=UNSET)
    value: Text = msgspec.field(name="openInterestValue", default=UNSET)


class TickerFrame(msgspec.Struct, frozen=True, gc=False):
    type: str
    ts: Stamp
    data: RawTicker


class RawKline(msgspec.Struct, frozen=True, gc=False):
    start: Stamp
    end: Stamp
    open: str
    close: str
    high: str
    low: str
    volume: str
    turnover: str
    confirm: bool
    timestamp: Stamp


_day = msgspec.json.Decoder(DayFrame).decode
_ticker = msgspec.json.Decoder(TickerFrame).decode
_kline = msgspec.json.Decoder(RawKline).decode
Key = tuple[str, str, int, int]
"""Venue, instrument, `venue_ts`, `received_ts`: with these each event begins."""


def spot_ticker_route(instrument: Instrument) -> Route:
    """`tickers` of spot: the last 24 hours, 20 times a second."""

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = _day(data)
            day = frame.data
            key = instrument.venue, instrument.name, epoch_ns(frame.ts), received_ts
            return (_day_of(key, instrument, day.last, day.first, day.high, day.low, day.volume, day.turnover),)
        except (msgspec.ValidationError, FrameError) as exc:
            return unreadable("ticker", instrument.name, received_ts, exc)

    return route


def _day_of(key: Key, instrument: Instrument, *texts: Text) -> Ticker:
    last, first, high, low, volume, turnover = map(_known, texts)
    change = None if last is None or first is None else last - first
    volumes = (turnover, volume) if instrument.inverse else (volume, turnover)
    return Ticker(*key, last, first, high, low, *volumes, change)


def _known(text: Text) -> Decimal | None:
    """Return a figure; None: the venue has not sent it, or has sent an empty text. Raises `NotANumber`."""
    return figure(text) if text else None


class TickerRoute:
    """`tickers` of a contract: the newest value of each field on this connection."""

    __slots__ = ("_instrument", "_now")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._now: RawTicker | None = None  # None until a snapshot has come: a change alone is of unknown figures

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `frames.Route`. Only kinds of which the frame has a field have an event."""
        name = self._instrument.name
        try:
            frame = _ticker(data)
            if frame.type not in ("snapshot", "delta"):
                raise FrameError(f"neither snapshot nor delta: {frame.type[:20]!r}")
        except (msgspec.ValidationError, FrameError) as exc:
            self._now = None  # what it has changed is not known: only a snapshot is complete
            first = unreadable(KINDS[0], name, received_ts, exc)
            return *first, *(Unreadable(kind, name, received_ts) for kind in KINDS[1:])
        except FRAME_ERRORS:
            self._now = None
            raise
        raw, now = frame.data, self._now
        if frame.type == "snapshot":
            now = self._now = raw
        elif now is None:
            return ()
        changed: set[str] = set()
        for field, kind in KIND_OF_FIELD.items():
            value = getattr(raw, field)
            if value is not UNSET:
                setattr(now, field, value)
                changed.add(kind)
        key = self._instrument.venue, name, epoch_ns(frame.ts), received_ts
        found: list[Output] = []
        for kind, make in MAKERS.items():
            if kind in changed:
                try:
                    event = make(key, self._instrument, now)
                except FRAME_ERRORS as exc:
                    found += unreadable(kind, name, received_ts, exc)
                else:
                    if event is not None:
                        found.append(event)
        return found


def _ticker_of(key: Key, instrument: Instrument, now: RawTicker) -> Ticker:
    return _day_of(key, instrument, now.last, now.first, now.high, now.low, now.volume, now.turnover)


def _mark_of(key: Key, instrument: Instrument, now: RawTicker) -> Mark | None:
    mark, index = _known(now.mark), _known(now.index)
    if mark is None:
        return None
    if not ZERO < mark < LIMIT or (index is not None and not ZERO <= index < LIMIT):
        raise FrameError(f"{shown(mark)}, {shown(index)}")
    return Mark(*key, mark, index or None)


def _funding_of(key: Key, instrument: Instrument, now: RawTicker) -> Funding | None:
    """Return the rate that will be paid next, as it stands now; None: the contract has none."""
    rate, hours = _known(now.rate), _known(now.hours)
    if rate is None or instrument.expiry is not None:
        return None
    next_ts = None
    if now.next and now.next != "0":
        if not (now.next.isdecimal() and now.next.isascii() and len(now.next) == _STAMP):
            raise FrameError(f"not a time: {now.next[:40]!r}")
        next_ts = int(now.next) * MS
    interval = None if hours is None else hours * HOUR_S
    if interval is not None and (interval != int(interval) or interval <= ZERO):
        raise FrameError(f"an interval of {shown(hours)} hours")
    return Funding(*key, rate, None if interval is None else int(interval), next_ts)


def _interest_of(key: Key, instrument: Instrument, now: RawTicker) -> OpenInterest | None:
    """Return the open interest. The venue rounds what an inverse contract is worth in base units."""
    interest, value = _known(now.interest), _known(now.value)
    if interest is None:
        return None
    if not ZERO <= interest < LIMIT or (value is not None and not ZERO <= value < LIMIT):
        raise FrameError(f"an open interest of {shown(interest)}, {shown(value)}")
    return OpenInterest(*key, value, interest) if instrument.inverse else OpenInterest(*key, interest, value)


Make = Callable[[Key, Instrument, RawTicker], Ticker | Mark | Funding | OpenInterest | None]
MAKERS: Final[dict[str, Make]] = {"ticker": _ticker_of, "mark": _mark_of, "funding": _funding_of, "open_interest": _interest_of}
"""Kind → what makes its event."""
KIND_OF_FIELD: Final = {
    **dict.fromkeys(("last", "first", "high", "low", "volume", "turnover"), "ticker"),
    **dict.fromkeys(("mark", "index"), "mark"),
    **dict.fromkeys(("rate", "next", "hours"), "funding"),
    **dict.fromkeys(("interest", "value"), "open_interest"),
}
"""Field of `RawTicker` → the kind that it is part of."""


def candle_route(instrument: Instrument, timeframe: str) -> Route:
    """`kline.INTERVAL`: the running candle every one to 60 seconds."""
    kind = f"candle:{timeframe}"

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        found: list[Output] = []
        try:
            rows = raw_rows(data).data
        except msgspec.ValidationError as exc:
            return unreadable(kind, instrument.name, received_ts, exc)
        for raw in rows:
            try:
                row = _kline(raw)
                texts = row.open, row.high, row.low, row.close, row.volume, row.turnover
                one = made_candle(
                    instrument, timeframe, row.start, texts, received_ts, venue_ts=epoch_ns(row.timestamp), closed=row.confirm
                )
                if epoch_ns(row.end + 1) != one.close_ts:
                    raise FrameError(f"a candle from {row.start} to {row.end}")
            except FRAME_ERRORS as exc:
                found += unreadable(kind, instrument.name, received_ts, exc)
            else:
                found.append(one)
        return found

    return route


def made_candle(
    instrument: Instrument,
    timeframe: str,
    start: int,
    texts: tuple[str, str, str, str, str, str],
    received_ts: int,
    *,
    venue_ts: int | None = None,
    closed: bool = False,
) -> Candle:
    """Return a candle. `start`: in ms; `texts`: open, high, low, close, volume, turnover. Raises `FrameError`."""
    first, high, low, last, volume, turnover = map(figure, texts)
    base, quote = (turnover, volume) if instrument.inverse else (volume, turnover)
    if not ZERO <= quote < LIMIT:
        raise FrameError(f"no turnover: {shown(quote)}")
    made = candle(
        instrument.venue, instrument.name, timeframe, epoch_ns(start), (first, high, low, last),
        volume=base, venue_ts=venue_ts, received_ts=received_ts,
    )  # fmt: skip
    if not is_open(timeframe, made.open_ts):
        raise FrameError(f"a candle that begins at {start}")
    return msgspec.structs.replace(made, quote_volume=quote, closed=closed)
