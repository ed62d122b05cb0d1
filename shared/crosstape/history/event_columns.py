"""Takes the columns of one kind out of its events, many at once, and finds those events that need a closer look. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import chain, repeat
from typing import Any, Final

import msgspec

from crosstape.history import text_events
from crosstape.history.spelling import all_canonical, is_canonical, is_plain
from crosstape_schemas import KINDS, field_types
from crosstape_schemas.trade_time import AHEAD, BEHIND, counts_at

BEST: Final = ("bid_price", "bid_size", "ask_price", "ask_size")
"""Columns of the best level of each side."""
WITH_LEVELS: Final = frozenset({"book", "depth"})
"""Kinds whose `bids` and `asks` are best first. (Those of a delta are in the venue's order, and changes.)"""


class EventColumns(msgspec.Struct, frozen=True):
    """How the events of one kind become columns."""

    kind: str
    fields: tuple[str, ...]
    """All fields of an event, in their order."""
    own_ts: str
    """The field that is the event's own time; of a trade it is one of two."""
    decimals: tuple[tuple[str, bool], ...]
    """Fields that are decimals, as texts in any case, and whether they may be null."""
    inner: Callable[[Any], Iterable[str]] | None
    """The decimals in lists and structs of an event; None: it has none there."""

    def values(self, events: Sequence[Any], known: Mapping[str, Sequence[Any]] | None = None) -> dict[str, Sequence[Any]]:
        """Returns the columns that come from the events, and more. `known`: the values of all fields, if they are known already."""
        if known is None:
            fields = zip(*map(msgspec.structs.astuple, events), strict=True) if events else repeat((), len(self.fields))
            known = dict(zip(self.fields, fields, strict=True))
        columns = dict(known)
        columns["ts"] = columns[self.own_ts]
        if self.kind == "trade":
            columns["ts"] = _trade_times(columns["venue_ts"], columns["received_ts"])
        if self.kind in WITH_LEVELS:
            for name in BEST:
                side, part = ("bids" if name.startswith("bid") else "asks"), int(name.endswith("size"))
                columns[name] = [levels[0][part] if levels else None for levels in columns[side]]
        return columns

    def odd_rows(
        self, events: Sequence[Any], data: Sequence[bytes], columns: Mapping[str, Sequence[Any]], exact: Sequence[bool]
    ) -> set[int]:
        """Returns the indices of the rows that need a closer look: those with a decimal that is spelled unusually, or is none at all, and
        with JSON that may not be UTF-8.
        """
        odd: set[int] = set()
        for name, nullable in self.decimals:
            texts = columns[name]
            if not all_canonical([text for text in texts if text is not None] if nullable else texts):
                odd.update(index for index, text in enumerate(texts) if text is not None and not is_canonical(text))
        inner = self.inner
        if inner is not None and not all_canonical(list(chain.from_iterable(map(inner, events)))):
            odd.update(index for index, event in enumerate(events) if not all(map(is_canonical, inner(event))))
        if not all(exact):
            odd.update(index for index, one in enumerate(data) if not exact[index] and not one.isascii())
        return odd

    def storable(self, event: Any) -> Any:
        """Returns the event with null for decimals that no store holds: infinite, NaN, or of too many digits."""
        texts = ((name, getattr(event, name)) for name, _ in self.decimals)
        wrong = {name for name, text in texts if text is not None and not is_plain(text)}
        return msgspec.structs.replace(event, **dict.fromkeys(wrong)) if wrong else event


@cache
def event_columns(kind: str) -> EventColumns:
    """Returns how the events of a kind become columns."""
    fields = KINDS[kind].__struct_fields__
    hints = field_types(KINDS[kind])
    own_ts = next((name for name in ("ts", "open_ts", "from_ts") if name in fields), "received_ts")
    decimals = tuple((name, hints[name] is not Decimal) for name in fields if text_events.is_decimal(hints[name]))
    return EventColumns(kind, fields, own_ts, decimals, text_events.decimals_of(kind))


def _trade_times(venue_ts: Sequence[Any], received_ts: Sequence[int]) -> Sequence[int]:
    """Return the moment that each trade counts at."""
    with contextlib.suppress(TypeError, ValueError):  # a null, or no trade at all
        if min(venue_ts) > max(0, max(received_ts) - BEHIND) and max(venue_ts) <= min(received_ts) + AHEAD:  # nearly always
            return venue_ts
    return list(map(counts_at, venue_ts, received_ts))
