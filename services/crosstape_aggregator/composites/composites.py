"""Holds all composites of one shard. Pure; the caller passes the times."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from typing import Final

from crosstape.liveness import SignsOfLife
from crosstape.settings import AggregatorSettings
from crosstape.settings.computed import ALL_OTHERS
from crosstape_aggregator.composites.composite import Composite
from crosstape_aggregator.composites.spec import parse_all
from crosstape_schemas import CONSOLIDATED, Cbbo, Depth, Event, Keys, Status

KINDS: Final[dict[str, type[Cbbo | Depth]]] = {"cbbo": Cbbo, "depth": Depth}
"""Kinds of events that composites are computed from."""


class Composites:
    """The composites of the settings whose names `belongs` accepts. Raises `SettingsError` when one of the settings is wrong."""

    def __init__(self, settings: AggregatorSettings, belongs: Callable[[str], bool] = lambda _: True) -> None:
        self.signs = SignsOfLife()
        self.all = [
            Composite(
                spec,
                self.signs,
                interval_s=settings.min_interval_s,
                depth_interval_s=settings.depth_interval_s,
                sweep_sizes=sorted(set(settings.sweep_sizes.get(spec.name, settings.sweep_sizes.get(ALL_OTHERS, ())))),
            )
            for spec in parse_all(settings)
            if belongs(spec.name)
        ]
        self._has_depth = settings.depth_levels > 0
        self._behind: frozenset[tuple[type[Cbbo | Depth], str]] = frozenset()
        self._of: dict[str, list[Composite]] = {}  # part or pair → the composites that need it
        for composite in self.all:
            for part in composite.parts:
                for name in (part.instrument, *(() if part.rate is None else (part.rate.pair,))):
                    if composite not in self._of.setdefault(name, []):
                        self._of[name].append(composite)
        self._unseen = set(self._of)

    def streams(self, keys: Keys) -> Iterator[str]:
        """Yield the streams to read: first the signs of life, so that they are known when the first quote is."""
        yield keys.venue(CONSOLIDATED)
        parts = {part.instrument for composite in self.all for part in composite.parts}
        for name in self._of:
            yield keys.stream("cbbo", name)
            if self._has_depth and name in parts:
                yield keys.stream("depth", name)

    def apply(self, event: Event, now_s: float, now_ts: int) -> None:
        """Apply an event of one of these streams; others change nothing."""
        if event.venue != CONSOLIDATED:
            return
        if isinstance(event, Cbbo | Depth):
            if isinstance(event, Cbbo):
                self._unseen.discard(event.instrument)
            for composite in self._of.get(event.instrument, ()):
                composite.apply(event)
        elif isinstance(event, Status):
            self.signs.apply(event, now_s, now_ts)
            for composite in self.all:
                composite.heard()

    def missed(self, kind: str, instrument: str) -> None:
        """Note that events of a stream were trimmed or lost before they were read."""
        if kind in KINDS:
            for composite in self._of.get(instrument, ()):
                composite.doubt(KINDS[kind], instrument)

    def set_behind(self, streams: Collection[tuple[str, str]]) -> None:
        """Set the streams (kind and instrument) that have not been read up to nearly now."""
        behind = frozenset((KINDS[kind], name) for kind, name in streams if kind in KINDS)
        if behind != self._behind:
            self._behind = behind
            for composite in self.all:
                composite.set_behind(behind)

    def settle(self) -> dict[str, list[str]]:
        """Note that all inputs have had time to appear. Return composite → its parts and rate pairs of which no quote was read."""
        found: dict[str, list[str]] = {}
        for composite in self.all:
            composite.settle()
        for name, needed_by in self._of.items():
            if name in self._unseen:
                for composite in needed_by:
                    found.setdefault(composite.name, []).append(name)
        return found

    def next_s(self) -> float:
        """Return when to call `due` if nothing is applied, by the monotonic clock; infinite: only after an event."""
        return min((composite.next_s() for composite in self.all), default=math.inf)

    def due(self, now_s: float, now_ts: int) -> list[Event]:
        """Compute the quotes and books that are due, without epoch and `seq`."""
        return [event for composite in self.all for event in composite.due(now_s, now_ts)]
