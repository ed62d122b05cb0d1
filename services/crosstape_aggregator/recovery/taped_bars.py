"""Reads back the closed bars that are on the tape, so that none is published again, and revisions continue after those of the predecessor.

An instrument publishes no bars until this is done. The streams of its bars are read from the last trade in its checkpoint on: a bar that
was published after the checkpoint was made comes after this trade on the server. Without a checkpoint, they are read from `bar_history_s`
ago on, because older bars are not revised: intervals that began before that are history, even if windows need their trades.

A stream keeps a limited number of entries. If those from where reading must start were trimmed, it is not known which bars were published
before the first entry that is left: their intervals are history at once, and no trade revises them any more. This is logged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE, execute_raw
from crosstape_aggregator.clocks import AHEAD_S, SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.recovery.plan import SETTLED_S, StreamExtent, extents, order
from crosstape_schemas import Bar, Keys, decode

PAGE: Final = 500
"""Entries in one call."""
CALL_S: Final = 5.0
"""Longest wait for one call."""
AT_ONCE: Final = 16
"""Instruments that are read at the same time."""
RETRY_S: Final = 0.25
MS: Final = 1_000_000
OPEN: Final = b'"closed":false'
"""Entries that contain this need not be decoded: most bars are open ones."""

log = structlog.get_logger(__name__)


class _Wanted(NamedTuple):
    """One instrument, and the id from which on its bars may not be known."""

    name: str
    start: str
    history_ts: int
    """Without a checkpoint: the moment (ns) up to which intervals are history; else 0."""


class TapedBars:
    """Reads which closed bars of the instruments of one shard are on the tape."""

    def __init__(self, client: Client, keys: Keys, engine: Engine) -> None:
        self._client = client
        self._keys = keys
        self._engine = engine
        self._held: list[str] = []  # until they are wanted
        self._known: set[str] = set()
        self._queue: deque[_Wanted] = deque()
        self._wakeup = asyncio.Event()

    def hold(self, names: Iterable[str], now: int) -> None:
        """Let these instruments publish no bars until `run` has read what is on the tape. Names that were given before are ignored."""
        if self._engine.bar_rules is None:
            return
        for name in dict.fromkeys(names):
            bars = self._engine.instrument(name, now).bars
            if name not in self._known and bars is not None:
                self._known.add(name)
                self._held.append(name)
                bars.held = True

    def want(self, ids: Mapping[str, Mapping[str, str]], now: int) -> None:
        """Read the bars of the instruments that are held. `ids`: restored instrument → kind → the id in its checkpoint."""
        rules = self._engine.bar_rules
        if rules is None or not self._held:
            return
        history_ts = now - rules.history_ns
        oldest_ms = max(0, history_ts // MS - AHEAD_S * 1_000)
        for name in self._held:
            last = ids.get(name, {}).get("trade")
            ms = oldest_ms if last is None else max(0, order(last)[0] - SETTLED_S * 1_000)
            self._queue.append(_Wanted(name, f"{ms}-0", history_ts if last is None else 0))
        self._held = []
        self._wakeup.set()

    async def run(self) -> None:
        """Read what is wanted, until cancelled. While the bus does not answer, try again."""
        while True:
            await self._wakeup.wait()  # no time limit: there may be no new instruments
            self._wakeup.clear()
            while self._queue:
                some = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
                answers = await asyncio.gather(*map(self._read, some), return_exceptions=True)
                failed = [one for one, answer in zip(some, answers, strict=True) if isinstance(answer, UNAVAILABLE)]
                for answer in answers:
                    if isinstance(answer, BaseException) and not isinstance(answer, UNAVAILABLE):
                        raise answer
                if failed:
                    self._queue.extendleft(reversed(failed))
                    await asyncio.sleep(RETRY_S)

    async def _read(self, wanted: _Wanted) -> None:
        """Read the bars of one instrument, and release it. Raises one of `call.UNAVAILABLE`."""
        rules, bars = self._engine.bar_rules, self._engine.instruments[wanted.name].bars
        assert rules is not None
        assert bars is not None
        streams = [self._keys.stream(f"bar:{timeframe}", wanted.name) for timeframe in rules.timeframes]
        async with asyncio.timeout(CALL_S):
            ends = await extents(self._client, streams)
        unknown: dict[str, int] = {}
        for timeframe, stream, extent in zip(rules.timeframes, streams, ends, strict=True):
            if (until_ts := unknown_until(extent, wanted.start)) is not None:
                unknown[timeframe] = until_ts
                log.warning(
                    "aggregator.bars_outrun", stream=stream, until_ts=until_ts, checkpoint=not wanted.history_ts,
                    reason="closed bars that may have to be revised were trimmed: those up to until_ts are not revised any more",
                )  # fmt: skip
            if extent.last is not None:
                async for entries in self._pages(stream, wanted.start, extent.last):
                    for bar in closed(entries):
                        bars.published(bar)
        bars.release(unknown, wanted.history_ts)

    async def _pages(self, stream: str, start: str, until: str) -> Any:
        """Yield the entries from one id to another, as the server sends them."""
        key = stream.encode()
        while True:
            async with asyncio.timeout(CALL_S):
                entries: list[Any] = await execute_raw(self._client, "XRANGE", key, start, until, "COUNT", PAGE, key=key)
            yield entries
            if len(entries) < PAGE:
                return
            start = f"({entries[-1][0].decode()}"


def closed(entries: Sequence[tuple[bytes, Sequence[bytes]]]) -> Iterator[Bar]:
    """Yield the closed bars among these entries. An entry that is no event of ours is left out."""
    for _, fields in entries:
        if len(fields) > 1 and OPEN not in fields[1]:
            try:
                event = decode(fields[1])
            except msgspec.MsgspecError:
                continue
            if isinstance(event, Bar) and event.closed:
                yield event


def unknown_until(extent: StreamExtent, start: str) -> int | None:
    """Return the moment (ns) up to which bars may have been published that are trimmed, if it is after the id `start`; None: none are.

    The server's clock gives the ids, and ours decided when to publish: they may differ by `SETTLED_S`.
    """
    first = extent.first or extent.last
    if not extent.trimmed or first is None or order(first) <= order(start):
        return None
    return order(first)[0] * MS + SETTLED_S * SECOND
