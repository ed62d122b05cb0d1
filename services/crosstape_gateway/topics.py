"""Defines what a client follows: a kind of one instrument, or of all, of all venues or of one.

    cbbo:BTC-USDT            consolidated quotes of an instrument
    bar:1m:BTC-USDT          bars of a minute, of each venue and of all
    bar:1m:BTC-USDT@binance  bars of one venue; `@consolidated` those of all
    cbbo:*                   consolidated quotes of every instrument, also of those that come later
    venue:kraken, venue:*    status and gaps of a whole venue

A topic without a venue is the name of the stream on the bus without its prefix. `BTC-USD*` is the name of a composite, not a pattern.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec

from crosstape.tape.symbols import respelled
from crosstape_gateway.errors import RequestError
from crosstape_schemas import KINDS, TIMEFRAMES

ALL: Final = "*"
"""The instrument of a topic that names every instrument."""
VENUE: Final = "venue"
"""The kind of a venue's own stream."""
MAX_LENGTH: Final = 100


class Topic(msgspec.Struct, frozen=True, order=True):
    """What a client follows."""

    kind: str
    """`cbbo`, `bar:1m`, …, or `venue`."""
    instrument: str
    """The instrument, or the venue if the kind is `venue`; `*` for all."""
    venue: str = ""
    """The venue whose events are wanted; empty: those of all."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the topic of a text. Raises `RequestError` for a text that names none: it says which part is wrong."""
        name, at, venue = text.partition("@")
        kind, instrument = _divided(name)
        tag, _, timeframe = kind.partition(":")
        shown = f"{text[:MAX_LENGTH]!r}"
        if len(text) > MAX_LENGTH or not text.isascii() or not text.isprintable() or not (kind and instrument) or (at and not venue):
            raise RequestError(400, "bad_topic", f"{shown} is no topic: expected KIND:INSTRUMENT, such as cbbo:BTC-USDT")
        if tag not in KINDS and kind != VENUE:
            raise RequestError(400, "unknown_kind", f"{shown}: there is no kind {tag[:20]!r}; kinds are {', '.join(KINDS)}, {VENUE}")
        if tag in ("bar", "candle"):
            if timeframe not in TIMEFRAMES:
                frames = ", ".join(TIMEFRAMES)
                raise RequestError(400, "unknown_timeframe", f"{shown}: expected a timeframe, as in {tag}:1m:BTC-USDT; of {frames}")
        elif timeframe or (kind == VENUE and venue):
            raise RequestError(400, "bad_topic", f"{shown} is no topic: expected {tag}:{'VENUE' if kind == VENUE else 'INSTRUMENT'}")
        return cls(kind, instrument, venue)

    def __str__(self) -> str:
        return f"{self.kind}:{self.instrument}" + (f"@{self.venue}" if self.venue else "")

    @property
    def is_pattern(self) -> bool:
        """Whether it names every instrument."""
        return self.instrument == ALL

    def includes(self, kind: str, instrument: str) -> bool:
        """Whether events of this stream belong to the topic, as far as the stream decides it."""
        return self.kind == kind and self.instrument in (instrument, ALL)


def _divided(name: str) -> tuple[str, str]:
    """Returns kind and instrument. A derivative as ccxt writes it has a colon of its own: `cbbo:BTC/USDT:USDT`."""
    kind, _, instrument = name.rpartition(":")
    before, colon, pair = kind.rpartition(":")
    symbol = f"{pair}:{instrument}"
    return (before, symbol) if colon and respelled(symbol) != symbol else (kind, instrument)
