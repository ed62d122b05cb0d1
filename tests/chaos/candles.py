"""The rule of candles: each closed one is the sum of the trades in it, or a gap of its feed covers it; each comes once, in order.

- A candle is closed at revision 0 once, and later than all that were before. A correction has the next revision; one that begins at 1
  comes after a later one was closed. Nothing is closed twice at the same revision, and nothing that is closed runs again.
- The highest revision of each is what truly happened: prices, volumes and counts, as far as the venue has them. A correction may take
  `answer_ns`. An interval without trades may have a candle without volume, whose prices are all the same.
- From the first on the tape to the last, each interval with a trade has its candle.
- A running candle holds a part of the true one: the same open, and neither prices nor volume beyond it. It may be empty at first.

Where a venue opens a candle at the close before it, that price is the true open, and may be the highest or lowest.

Of an inverse contract the volume may be off by `INVERSE`: venues write it in quote units, and not at which prices.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Candle, Gap
from tests.chaos.true_market import TrueCandle, TrueInstrument
from tests.chaos.violations import Violation

INVERSE: Final = Decimal("0.01")
ZERO: Final = Decimal(0)


class Candles:
    """Checks the candles of one instrument and timeframe of one venue."""

    def __init__(self, true: TrueInstrument, timeframe: str, *, answer_ns: int) -> None:
        """`answer_ns`: how long the venue's correction may take."""
        self._true = true
        self._timeframe = timeframe
        self._answer_ns = answer_ns
        self._where = f"{timeframe} candles of {true.instrument} at {true.venue}"
        self._closed: dict[int, Candle] = {}  # `open_ts` → its highest revision
        rules = VENUES[true.venue].candles
        self._carries = rules is not None and rules.open == "previous close"
        self._newest = -1  # `open_ts` of the newest at revision 0
        self._gaps: list[Gap] = []
        self.checked = 0

    def gap(self, gap: Gap) -> None:
        """Note a gap of the feed."""
        self._gaps.append(gap)

    def take(self, candle: Candle) -> Iterator[Violation]:
        """The next on the tape."""
        where = f"{self._where}, {candle.open_ts}, epoch {candle.epoch} seq {candle.seq}"
        known = self._closed.get(candle.open_ts)
        if not candle.closed:
            if known is not None:
                yield Violation("a closed candle runs again", where, "nothing, or a revision", candle.volume)
            yield from self._running(candle, where)
            return
        expected = (0, 1) if known is None else (known.revision + 1,)
        if candle.revision not in expected:
            yield Violation("a revision is not the next", where, expected, candle.revision)
        if not candle.revision and candle.open_ts <= self._newest:
            yield Violation("an older candle came after a newer", where, f"later than {self._newest}", candle.open_ts)
        if not candle.revision:
            self._newest = max(self._newest, candle.open_ts)
        if known is None or candle.revision > known.revision:
            self._closed[candle.open_ts] = candle

    def done(self, now: int) -> Iterator[Violation]:
        """Check all closed candles at the end of the tape, which was last read at `now` (ns)."""
        true = self._truth()
        for open_ts, candle in sorted(self._closed.items()):
            self.checked += 1
            if candle.received_ts > now - self._answer_ns or self._is_covered(open_ts, candle.close_ts):
                continue
            where = f"{self._where}, {open_ts}, revision {candle.revision}"
            known = true.get(open_ts)
            if known is None and open_ts in self._true.candles[self._timeframe]:
                continue  # the first
            if known is None:
                if candle.volume or not candle.open == candle.high == candle.low == candle.close:
                    yield Violation("a candle never was", where, "none, or without volume", candle.volume)
            elif wrong := list(_differences(candle, known)):
                name, said, truth = wrong[0]
                yield Violation("a candle is not as it was", where, f"{name} {truth}", said)
        if self._closed and self._newest >= 0:
            inside = [one for open_ts, one in true.items() if min(self._closed) < open_ts < self._newest and open_ts not in self._closed]
            if missing := [one.open_ts for one in inside if not self._is_covered(one.open_ts, one.close_ts)]:
                yield Violation("candles are missing", self._where, f"{len(missing)}, or gaps", missing[:3])

    def _running(self, candle: Candle, where: str) -> Iterator[Violation]:
        if not candle.volume and candle.low == candle.high:
            return
        known = self._truth().get(candle.open_ts)
        if known is None and candle.open_ts in self._true.candles[self._timeframe]:
            return  # the first
        if known is None:
            yield Violation("a running candle never was", where, "none, or without volume", candle.volume)
            return
        volume = known.volume * (1 + (INVERSE if known.inverse else ZERO))
        if not (known.low <= candle.low and candle.high <= known.high and candle.volume <= volume and candle.open == known.open):
            truth = (known.open, known.high, known.low, known.volume)
            yield Violation("a running candle never was", where, truth, (candle.open, candle.high, candle.low, candle.volume))

    def _truth(self) -> dict[int, TrueCandle]:
        """`open_ts` → the true candle as the venue makes it; without the first, if it opens at a close that is not known."""
        true = self._true.candles[self._timeframe]
        if not self._carries:
            return true
        carried = {}
        for before, (open_ts, one) in zip(list(true.values()), list(true.items())[1:], strict=False):
            price = before.close
            carried[open_ts] = one._replace(open=price, high=max(one.high, price), low=min(one.low, price))
        return carried

    def _is_covered(self, open_ts: int, close_ts: int) -> bool:
        return any(gap.from_ts <= close_ts + self._answer_ns and open_ts <= gap.to_ts for gap in self._gaps)


def _differences(candle: Candle, true: TrueCandle) -> Iterator[tuple[str, object, object]]:
    """(field, what the tape says, what was true) of fields that the venue has."""
    for name in ("close_ts", "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume"):
        said, truth = getattr(candle, name), getattr(true, name)
        if said is None or truth is None or said == truth:
            continue
        if name == "volume" and true.inverse and abs(said - truth) <= truth * INVERSE:
            continue
        yield name, said, truth
