"""Says, once, that the tape does not have what is asked for, and what it has instead. Pure, but for the log."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from crosstape.log import get_log
from crosstape.settings.words import nearest
from crosstape.tape.selection import FRAMED
from crosstape.tape.symbols import common, meant_by, plain
from crosstape_schemas import CONSOLIDATED, TIMEFRAMES
from crosstape_schemas.instruments import parsed

CLOSE: Final = 0.8
"""How alike two names of instruments are for one to be meant by the other; names of two assets with one quote asset are alike by 0.6."""
NAMED: Final = 3
"""Names in one hint."""
RARE: Final = ("status", "gap", "liquidation", "edge")
"""Kinds that an instrument may rightly have none of: it has no such stream until the first one happens."""
LIMIT: Final = 10_000
"""What was said is remembered of so many; beyond that the oldest may be said again."""
STEADY: Final = ("trade", "quote", "book", "delta", "ticker", "mark", "funding", "open_interest", *FRAMED)
"""Kinds that a venue publishes all the time, if at all; of others there may be none for days."""

log = get_log(__name__)


class Absent:
    """Warns of what the tape does not have, of each once. It is followed all the same: it may come later."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, ...], None] = {}

    def check(self, kind: str, instrument: str, registered: Iterable[tuple[str, str]]) -> bool:
        """Warn if the tape, which has these (kind, instrument), does not have an instrument, or not this kind or timeframe of it.

        `instrument`: a name or another spelling. Returns whether nothing of this is missing.
        """
        places = {place for place in registered if place[0] != "venue"}
        known = sorted({name for _, name in places})
        if instrument not in known:
            self._say("tape.unknown_instrument", instrument=instrument, kind=kind, hint=of_instrument(instrument, known))
            return False
        tag, _, timeframe = kind.partition(":")
        if (kind, instrument) in places or tag in RARE:
            return True
        if tag not in FRAMED:
            kinds = ", ".join(sorted(one for one, name in places if name == instrument))
            self._say("tape.unknown_kind", instrument=instrument, kind=kind, hint=f"the tape has none of it yet; it has {kinds}")
            return False
        there = [frame for frame in TIMEFRAMES if (f"{tag}:{frame}", instrument) in places]
        has = f"it has {', '.join(f'{tag}:{frame}' for frame in there)}" if there else f"it has {tag}s of no timeframe"
        hint = f"the tape has no {tag}s of {timeframe} of it yet; {has}; {_setting(tag)}"
        self._say("tape.unknown_timeframe", instrument=instrument, kind=kind, hint=hint)
        return False

    def check_venue(self, kind: str, instrument: str, venue: str, venues: Iterable[str]) -> None:
        """Warn if a venue is not among those that have published this, if there are such."""
        there = sorted(venues)
        if venue in there or not there:
            return
        guess = nearest(venue, there)
        tag = kind.partition(":")[0]
        setting = f"; {_setting(tag, venue)}" if tag in FRAMED else ""
        meant = f"; did you mean {guess}?" if guess else ""
        hint = f"the tape has none of this venue yet, but of {_listed(there)}{setting}{meant}"
        self._say("tape.unknown_venue", venue=venue, instrument=instrument, kind=kind, hint=hint)

    def _say(self, event: str, **fields: Any) -> None:
        key = (event, *(value for name, value in fields.items() if name != "hint"))
        if key not in self._said:
            self._said[key] = None
            if len(self._said) > LIMIT:
                del self._said[next(iter(self._said))]
            log.warning(event, **fields)


def of_instrument(name: str, known: Iterable[str]) -> str:
    """Returns what to do about an instrument that is not among `known`: the nearest names, or what there is."""
    names = sorted(known)
    if not names:
        return "the tape has no instrument yet: does anything publish on this server, with this prefix?"
    if near := nearest_instruments(name, names):
        return f"the tape does not have it yet; did you mean {' or '.join(near)}?"
    return f"the tape does not have it yet, nor a name like it; it has {_listed(names)}"


def nearest_instruments(name: str, known: Iterable[str]) -> list[str]:
    """Returns the instruments among `known` that were probably meant, the nearest first."""
    names = sorted(set(known))
    of_plain: dict[str, list[str]] = {}
    for one in names:
        of_plain.setdefault(plain(one), []).append(one)
    alike = difflib.get_close_matches(common(name), of_plain, n=NAMED, cutoff=CLOSE)
    pair = parsed(name.upper())
    same_pair = [one for one in names if pair is not None and (other := parsed(one)) is not None and other[:2] == pair[:2]]
    found = [*meant_by(name, names), *(one for text in alike for one in of_plain[text]), *same_pair]
    return list(dict.fromkeys(found))[:NAMED]


def _setting(tag: str, venue: str = "VENUE") -> str:
    """Where it is set which timeframes there are."""
    if tag == "bar":
        return "aggregator.bars sets which are built"
    return f"venues.{'VENUE' if venue == CONSOLIDATED else venue}.candles sets which are published"


def _listed(names: list[str]) -> str:
    more = len(names) - 2 * NAMED
    return ", ".join(names[: 2 * NAMED]) + (f" and {more} more" if more > 0 else "")
