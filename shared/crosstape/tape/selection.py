"""Checks the names by which users choose events, and finds the streams that hold these: kind, timeframe, instrument, venue. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from crosstape.errors import UnknownName
from crosstape.settings.words import nearest
from crosstape.tape import symbols
from crosstape_schemas import KINDS, TIMEFRAMES, AnyEvent, Event, Keys
from crosstape_schemas.instruments import COMPOSITE, asset, parsed
from crosstape_schemas.timeframes import LENGTHS

ALL: Final = "*"
"""In place of an instrument's name: all instruments, also those that come later."""
FRAMED: Final = ("candle", "bar")
"""Kinds that have a timeframe."""
VENUE_KINDS: Final = ("status", "gap")
"""Kinds that a venue's own stream holds as well: about the whole venue."""
_VENUE: Final = "venue"
_PERP: Final = "PERP"
_CONTRACT: Final = re.compile(r"(-PERP|-[0-9]{8})?")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_QUOTES: Final = ("USDT", "USDC", "FDUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "BTC", "ETH")
"""Quote assets that a symbol without a separator may end with; only for the guess in a message."""


class Selection(msgspec.Struct, frozen=True):
    """Which events are wanted. See `select`."""

    kind: str
    """With the timeframe, where the kind has one: `bar:1m`."""
    cls: type[Event]
    instruments: tuple[str, ...]
    """Empty: all, and of statuses and gaps those of whole venues, too."""
    venue: str | None
    """Of this venue only."""

    def streams(self, keys: Keys) -> Iterator[str]:
        """Returns the streams of the instruments that are named."""
        return (keys.stream(self.kind, instrument) for instrument in self.instruments)

    @property
    def is_open(self) -> bool:
        """Whether all instruments are wanted: their streams are found in the registry."""
        return not self.instruments

    def includes(self, kind: str, instrument: str) -> bool:
        """Whether the stream of this (kind, instrument), as `Keys.parse` returns it, belongs to a selection that `is_open`."""
        if kind == _VENUE:
            return self.kind in VENUE_KINDS and self.venue in (None, instrument)
        return kind == self.kind

    def wants(self, event: AnyEvent) -> bool:
        """Whether an event of one of its streams belongs to it."""
        return (self.venue is None or event.venue == self.venue) and isinstance(event, self.cls)


def select(kind: str, instruments: Iterable[str], venue: str | None) -> Selection:
    """Returns the selection. `ALL` is all instruments.

    Raises `UnknownName` for a kind or timeframe that there is not, and for an instrument or venue whose name has not the form of one;
    `ValueError` if no instrument is named: an empty list must not become all.
    """
    if isinstance(instruments, str):
        raise TypeError("instruments are given one by one, or as a list")
    if not isinstance(kind, str):
        raise TypeError(f"a kind of event is text, such as 'trade', not {kind!r:.40}")
    names = list(instruments)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"the name of an instrument is text, not {name!r:.40}; several are given one by one: 'BTC-USDT', 'ETH-USDT'")
    if venue is not None and not isinstance(venue, str):
        raise TypeError(f"the id of a venue is text, not {venue!r:.40}: one subscription is of one venue, or of all")
    tag, colon, timeframe = kind.partition(":")
    if tag not in KINDS:
        raise UnknownName(f"{kind!r:.40} is no kind of event{_meant(tag, KINDS, kind)}; kinds are {', '.join(KINDS)}")
    if tag in FRAMED:
        if not colon:
            raise UnknownName(f"{kind!r} has no timeframe: write it as in {tag}:1m")
        check_timeframe(timeframe)
    elif colon:
        raise UnknownName(f"{kind!r:.40}: {tag} has no timeframe")
    names = list(dict.fromkeys(names))
    if not names:
        raise ValueError(f"{kind}: name at least one instrument, or {ALL!r} for all")
    for name in names:
        if name != ALL:
            check_instrument(name)
    if venue is not None and not _ID.fullmatch(venue):
        lower = venue.strip().lower()
        guess = f"; did you mean {lower!r}?" if _ID.fullmatch(lower) else ""
        raise UnknownName(f"{venue!r:.40} is no id of a venue{guess}")
    return Selection(kind, KINDS[tag], () if ALL in names else tuple(names), venue)


def check_timeframe(timeframe: str) -> None:
    """Raise `UnknownName` if there is no such timeframe."""
    if timeframe not in TIMEFRAMES:
        same = _same_length(timeframe.lower())
        guess = f"; did you mean {same!r}?" if same else _meant(timeframe, TIMEFRAMES, timeframe)
        raise UnknownName(f"{timeframe!r:.40} is no timeframe{guess}; timeframes are {', '.join(TIMEFRAMES)}")


def check_instrument(name: str) -> None:
    """Raise `UnknownName` if a name has not the form of an instrument's."""
    if not _is_name(name):
        guess = respelled(name)
        hint = f"did you mean {guess!r}?" if guess else "one looks like BTC-USDT, that of a perpetual like BTC-USDT-PERP"
        raise UnknownName(f"{name!r:.40} is no name of an instrument; {hint}")


def _is_name(name: str) -> bool:
    """Whether it has the form of a name. Some assets have small letters (`kPEPE`), but no name has them alone; none is quoted in PERP."""
    found = parsed(name.removesuffix(COMPOSITE))
    return found is not None and found.quote != _PERP and (name != name.lower() or name == name.upper())


def _same_length(timeframe: str) -> str | None:
    """Returns our name of a length: `60m` and `1hour` are `1h`."""
    found = re.fullmatch(r"0*(\d{1,6})\s*([smhdw])[a-z]*", timeframe)
    if found is None:
        return None
    length = int(found[1]) * LENGTHS["1" + found[2]]
    return next((name for name, ns in LENGTHS.items() if ns == length), None)


def _meant(name: str, known: Iterable[str], given: str) -> str:
    lower = name.strip().lower()
    words = list(known)
    singular = {f"{word}s": word for word in words}
    guess = lower if lower in words else singular.get(lower) or nearest(lower, words)
    return f"; did you mean {guess!r}?" if guess and guess != given else ""


def respelled(name: str) -> str | None:
    """Returns the name as we would write it: `btc/usdt` and `BTCUSDT` are `BTC-USDT`, `BTC/USDT:USDT` is `BTC-USDT-PERP`."""
    text = re.sub(r"[\s/_:.-]+", "-", symbols.respelled(name.upper()).strip())
    star = COMPOSITE if text.endswith(COMPOSITE) else ""
    text = text.removesuffix(COMPOSITE)
    base, dash, contract = text.partition("-")
    for quote in _QUOTES if not dash or contract == _PERP else ():
        if base.endswith(quote) and base != quote:
            text = f"{base.removesuffix(quote)}-{quote}{dash}{contract}"
            break
    found = parsed(text)
    if found is None or not _CONTRACT.fullmatch(found.contract):
        return None
    spelled = f"{asset(found.base)}-{asset(found.quote)}{found.contract}{star}"
    return spelled if _is_name(spelled) else None
