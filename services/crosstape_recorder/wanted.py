"""Says which kinds of the history a stream of the tape feeds. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crosstape.settings import RecorderSettings
from crosstape_schemas import KINDS, Keys

GAP: Final = "gap"
VENUE: Final = "venue"
"""What `Keys.parse` calls a venue's own stream."""
OF_VENUES: Final = ("status", GAP)
"""The kinds of events in a venue's own stream."""


class Wanted:
    """The kinds and instruments that are recorded. Gaps are recorded in any case."""

    def __init__(self, settings: RecorderSettings, keys: Keys) -> None:
        self.kinds: tuple[str, ...] = tuple(kind for kind in KINDS if kind in {*settings.kinds, GAP})
        """Tags of `KINDS`."""
        self._instruments = frozenset(settings.instruments)
        self.keys = keys

    def kinds_of(self, stream: str) -> tuple[str, ...]:
        """Returns the kinds that a stream feeds; none if it is not to be recorded, or is no stream of ours.

        A venue's own stream has statuses and gaps of all its instruments; it is recorded whatever the instruments are.
        """
        match self.keys.parse(stream):
            case None:
                return ()
            case ("venue", _):
                return tuple(kind for kind in OF_VENUES if kind in self.kinds)
            case (feed, instrument):
                kind = feed.partition(":")[0]
                wanted = kind in self.kinds and (not self._instruments or instrument in self._instruments)
                return (kind,) if wanted else ()
        return ()  # for a type checker that does not see that all cases return

    def feed(self, stream: str) -> tuple[str, str]:
        """Returns kind and instrument, as a gap of this stream names them: `("candle:1m", "BTC-USDT")`; of a venue's own `("status", "*")`.

        (A gap of a venue's own stream with the kind `*` would mean that something of every feed of the venue is missing.)
        """
        match self.keys.parse(stream):
            case ("venue", _) | None:
                return OF_VENUES[0], "*"
            case (feed, instrument):
                return feed, instrument

    def venue_of(self, stream: str) -> str:
        """Returns the venue whose own stream it is; empty for a stream of several venues."""
        match self.keys.parse(stream):
            case ("venue", venue):
                return venue
        return ""

    def select(self, streams: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns those of these streams that are to be recorded, each with the kinds that it feeds."""
        return {stream: kinds for stream in streams if (kinds := self.kinds_of(stream))}
