"""Says why a question to the history has no answer: what the store does not have, and which names it has instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from crosstape.history.opening import history_url
from crosstape.history.query import Query
from crosstape.history.store import Position, Store
from crosstape.settings import Settings, shown
from crosstape.settings.words import nearest
from crosstape.tape.selection import FRAMED
from crosstape_cli.instrument_names import InstrumentNames
from crosstape_schemas import CONSOLIDATED, Keys

MOST: Final = 12
"""Names that are listed."""


async def why_nothing(settings: Settings, store: Store, query: Query, *, from_trades: bool) -> str:
    """Return why no row was found, as far as the store shows it. Raises `HistoryError`."""
    where = shown(history_url(settings))
    if from_trades:
        query = msgspec.structs.replace(query, kind="trade", timeframe=None, venue=None if query.venue == CONSOLIDATED else query.venue)
    position = await store.position(query.kind)
    text = await _none(settings, store, query) if not position.number else await _not_these(settings, store, query, position)
    if query.kind in FRAMED:
        text += "; --from-trades computes candles from the recorded trades"
    return f"{where}: {text}"


async def _none(settings: Settings, store: Store, query: Query) -> str:
    """Return what to say where no event of this kind is in the history."""
    how = "`crosstape recorder` records the kinds of recorder.kinds"
    if not await store.tapes():
        return f"no {query.kind} was recorded yet; {how}"
    text = f"no {query.kind} is in the history yet"
    return text if query.kind in settings.recorder.kinds else f"{text}; {how}, which do not have it"


async def _not_these(settings: Settings, store: Store, query: Query, position: Position) -> str:
    """Return what to say where other events of this kind are in the history."""
    framed = f"{query.kind}:{query.timeframe}" if query.timeframe else query.kind
    wanted = f"no {framed} of {query.instrument}{f' at {query.venue}' if query.venue else ''}"
    if await store.last(Query(kind=query.kind, instrument=query.instrument, venue=query.venue, timeframe=query.timeframe)) is not None:
        return f"{wanted} in this range"
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    venues: dict[str, set[str]] = {}
    for stream, mark in position.marks.items():
        kind, instrument = keys.parse(stream) or ("", "")
        if kind == framed:
            venues.setdefault(instrument, set()).update(venue for venue, _, _ in mark.numbers)
    name = query.instrument or ""
    text = f"{wanted} is in the history"
    if name in venues:
        guess = nearest(query.venue or "", venues[name])
        return f"{text}{_instead(venues[name], guess and f'did you mean {guess}?', 'of these venues')}"
    return f"{text}{_instead(venues, InstrumentNames(venues).hint(name), f'{framed} of')}" if venues else text


def _instead(names: Iterable[str], hint: str | None, what: str) -> str:
    """Return what follows: the nearest name, and the names that there are."""
    known = sorted(names)
    if not known:
        return ""
    more = f" and {len(known) - MOST} more" if len(known) > MOST else ""
    return f"{f'; {hint}' if hint else ';'} it has {what} {', '.join(known[:MOST])}{more}"
