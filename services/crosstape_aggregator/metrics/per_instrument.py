"""What is exported of each instrument and leg: read off the boards when asked for, so that nothing is done for it meanwhile.

It is written as text here, not by the metrics library, which takes ten times as long: with 2,000 instruments of three legs over 100 ms of
every scrape, in which no quote would be published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import Exclusion


class Gauge(NamedTuple):
    """One metric."""

    help: str
    labels: tuple[str, ...]


CODES: Final[dict[Exclusion | None, int]] = {None: 0, **{reason: code for code, reason in enumerate(Exclusion, start=1)}}
"""A number for each reason, so that a leg is one series whatever is wrong with it: of thousands of legs there would be many others."""

SPREAD: Final = "crosstape_aggregator_spread_bps"
EXCLUDED: Final = "crosstape_aggregator_leg_excluded"
GAUGES: Final = {
    SPREAD: Gauge(
        "Spread of the consolidated quote in basis points, negative where the market is crossed; none where a side is missing",
        ("instrument",),
    ),
    EXCLUDED: Gauge(
        f"0: the leg counts; else why not: {', '.join(f'{code} {reason}' for reason, code in CODES.items() if reason is not None)}. "
        "Of legs whose connector, since its last start, has sent a price",
        ("instrument", "venue"),
    ),
}
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class InstrumentText:
    """Of all instruments on the boards that this process has when it is asked. For `telemetry.exposed`."""

    def __init__(self, engines: Callable[[], Iterable[Engine]]) -> None:
        self._engines = engines

    def __call__(self) -> str:
        """All of it, as it is now. O(legs)."""
        return "".join([*_head(SPREAD), *self._spreads(), *_head(EXCLUDED), *self._legs()])

    def _spreads(self) -> Iterator[str]:
        for engine in self._engines():
            for name, instrument in engine.instruments.items():
                if instrument.quote.spread_bps is not None:
                    yield f'{SPREAD}{{instrument="{_quoted(name)}"}} {instrument.quote.spread_bps}\n'

    def _legs(self) -> Iterator[str]:
        for engine in self._engines():
            for name, instrument in engine.instruments.items():
                start = f'{EXCLUDED}{{instrument="{_quoted(name)}",venue="'
                for leg in instrument.legs:
                    # Others stand for what the venue does not list, or is not asked for any more: nobody waits for them.
                    if leg.input is not None and leg.input.epoch == leg.liveness.epoch:
                        yield f'{start}{_quoted(leg.venue)}"}} {CODES[leg.excluded]}\n'


def _head(name: str) -> tuple[str, str]:
    return f"# HELP {name} {GAUGES[name].help}\n", f"# TYPE {name} gauge\n"


def _quoted(label: str) -> str:
    """A label's value as it stands between quotation marks: names come from the bus."""
    return label if label.isalnum() else label.translate(_ESCAPES)
