"""Finds what the previous owner of this shard left on the tape, and publishes the gaps that follow from it.

No consolidated quotes were computed from the `ts` of the last one on the tape until the first new one, however the predecessor ended:
killed, stopped in order, or with its shard given to another instance. So the first new quote of an instrument follows a gap of kind `cbbo`
with these two times, and the first sign of life follows a gap of kind `status`. In a quiet market a gap is longer than the time without an
owner: it starts with the last quote, not with the predecessor's end. If the tape has no last quote, as when an instrument is new, there is
no gap.
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
    """The previous owner of one shard. Look up only when no other instance can publish for the shard any more."""

    def __init__(self, client: Client, keys: Keys, shard: Shard) -> None:
        self._client = client
        self._keys = keys
        self._kind = kind_of(shard)
        self._known: set[str] = set()
        self._sign_ts: int | None = None
        self.left: dict[str, int] = {}
        """Instrument → `ts` of its last quote, until the gap that starts there is published."""

    async def look_up_sign(self) -> None:
        """Find the last sign of life of this shard. Raises `BusError` when the server does not answer."""
        status = ("status", VENUE_WIDE)
        field = CONSOLIDATED if self._kind == VENUE_WIDE else f"{CONSOLIDATED}:{self._kind}"
        last = (await last_values(self._client, self._keys, [status], field)).get(status)
        self._sign_ts = last.received_ts if isinstance(last, Status) else None

    async def look_up(self, instruments: Iterable[str]) -> None:
        """Find the last quotes of the instruments that are new. Raises `BusError` when the server does not answer."""
        new = sorted(set(instruments) - self._known)
        if not new:
            return
        found = await last_values(self._client, self._keys, [("cbbo", name) for name in new], CONSOLIDATED)
        self._known.update(new)
        left = {event.instrument: event.ts for event in found.values() if isinstance(event, Cbbo)}
        self.left |= left
        if left:
            log.info("aggregator.predecessor", instruments=len(left), last_ts=max(left.values()))

    def silence(self, now: int) -> Iterator[Gap]:
        """Yield the gap before the first sign of life, once."""
        last_ts, self._sign_ts = self._sign_ts, None
        if last_ts is not None:
            yield _gap("status", VENUE_WIDE, last_ts, now)

    def gaps(self, quotes: Sequence[Cbbo]) -> Iterator[Gap]:
        """Yield the gap before each quote that is the first new one of its instrument."""
        for quote in quotes:
            last_ts = self.left.pop(quote.instrument, None)
            if last_ts is not None:
                yield _gap("cbbo", quote.instrument, last_ts, quote.ts)


def silent(instruments: Iterable[str], from_ts: int, to_ts: int) -> Iterator[Gap]:
    """Yield gaps of these instruments' quotes and of the sign of life between these times (ns)."""
    for name in instruments:
        yield _gap("cbbo", name, from_ts, to_ts)
    yield _gap("status", VENUE_WIDE, from_ts, to_ts)


def _gap(kind: str, instrument: str, from_ts: int, to_ts: int) -> Gap:
    """Make a gap. The clock of a predecessor may have been ahead of ours."""
    return Gap(CONSOLIDATED, instrument, None, to_ts, kind, min(from_ts, to_ts), to_ts, None, GapCause.DISCONNECT)
