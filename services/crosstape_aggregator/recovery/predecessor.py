"""Finds the last quotes of the previous owner of a shard (the predecessor), and makes the gaps between these and the first new ones.

Between the `ts` of the last quote on the tape and the first new quote, no quotes were computed. This does not depend on how the predecessor
ended: it was killed, it stopped in order, or the shard moved to another instance. So a gap of kind `cbbo` with these two times is published
before the first new quote of each instrument, and a gap of kind `status` before the first sign of life. In a quiet market a gap is longer
than the time without an owner, because it starts with the last quote, not with the predecessor's end. If an instrument has no quote on the
tape, because it is new, there is no gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import structlog

from crosstape.bus import Client
from crosstape.bus.read.last_values import last_values
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_aggregator.sharding.sign_of_life import kind_of
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Cbbo, Gap, GapCause, Keys, Status

log = structlog.get_logger(__name__)


class Predecessor:
    """Tracks the gaps after the previous owner of one shard. Use it only when no other instance can publish for the shard any more."""

    def __init__(self, client: Client, keys: Keys, shard: Shard) -> None:
        self._client = client
        self._keys = keys
        self._kind = kind_of(shard)
        self._known: set[str] = set()
        self._sign_ts: int | None = None
        self.last_ts: dict[str, int] = {}
        """Instrument → `ts` of the predecessor's last quote, until the gap that starts there is published."""

    async def look_up_sign(self) -> None:
        """Read the last sign of life of this shard. Raises `BusError` when the server does not answer."""
        status = ("status", VENUE_WIDE)
        field = CONSOLIDATED if self._kind == VENUE_WIDE else f"{CONSOLIDATED}:{self._kind}"
        last = (await last_values(self._client, self._keys, [status], field)).get(status)
        self._sign_ts = last.received_ts if isinstance(last, Status) else None

    async def look_up(self, instruments: Iterable[str]) -> None:
        """Read the last quote of each instrument that was not looked up yet. Raises `BusError` when the server does not answer."""
        new = sorted(set(instruments) - self._known)
        if not new:
            return
        found = await last_values(self._client, self._keys, [("cbbo", name) for name in new], CONSOLIDATED)
        self._known.update(new)
        last_ts = {event.instrument: event.ts for event in found.values() if isinstance(event, Cbbo)}
        self.last_ts |= last_ts
        if last_ts:
            log.info("aggregator.predecessor", instruments=len(last_ts), last_ts=max(last_ts.values()))

    def gap_before_sign(self, now: int) -> Iterator[Gap]:
        """Yield the gap before the first sign of life, if the predecessor has published one. Later calls yield nothing."""
        last_ts, self._sign_ts = self._sign_ts, None
        if last_ts is not None:
            yield _gap("status", VENUE_WIDE, last_ts, now)

    def gaps_before(self, quotes: Sequence[Cbbo]) -> Iterator[Gap]:
        """Yield a gap for each of these quotes that is the first new one of its instrument."""
        for quote in quotes:
            last_ts = self.last_ts.pop(quote.instrument, None)
            if last_ts is not None:
                yield _gap("cbbo", quote.instrument, last_ts, quote.ts)


def gaps_of_stop(instruments: Iterable[str], from_ts: int, to_ts: int) -> Iterator[Gap]:
    """Yield the gaps of a process that was stopped between these times (ns): one for each instrument, and one for the sign of life."""
    for name in instruments:
        yield _gap("cbbo", name, from_ts, to_ts)
    yield _gap("status", VENUE_WIDE, from_ts, to_ts)


def _gap(kind: str, instrument: str, from_ts: int, to_ts: int) -> Gap:
    """Make a gap that never ends before it starts: the predecessor's clock may have been ahead of ours."""
    return Gap(CONSOLIDATED, instrument, None, to_ts, kind, min(from_ts, to_ts), to_ts, None, GapCause.DISCONNECT)
