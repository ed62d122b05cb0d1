"""Names of keys and channels on the bus, and nowhere else.

With one partition (the default) names are plain: `tape:trade:BTC-USDT`. With N they gain a hash tag, `tape:{7}:trade:BTC-USDT`, so that all
that one script call or one read touches lies in one slot of a cluster. Venue-wide names lie in partition 0.
"""

from __future__ import annotations

import binascii

import msgspec

from crosstape_schemas.events import VENUE_WIDE


def partition_of(instrument: str, parts: int) -> int:
    """0 … parts - 1: CRC-16/XMODEM of the instrument, modulo the count. The same on every machine."""
    return binascii.crc_hqx(instrument.encode(), 0) % parts


class Keys(msgspec.Struct, frozen=True):
    """All names under one prefix. `partitions` is a property of the whole bus: every producer and consumer must agree."""

    prefix: str = "tape"
    partitions: int = 1

    def partition(self, instrument: str) -> int:
        """0 … partitions - 1: `part_of`. Venue-wide: 0."""
        if self.partitions == 1 or instrument == VENUE_WIDE:
            return 0
        return partition_of(instrument, self.partitions)

    def _root(self, partition: int) -> str:
        return self.prefix if self.partitions == 1 else f"{self.prefix}:{{{partition}}}"

    def stream(self, kind: str, instrument: str) -> str:
        """Stream and channel of a kind and instrument, all venues: `tape:trade:BTC-USDT`."""
        return f"{self._root(self.partition(instrument))}:{kind}:{instrument}"

    def venue(self, venue: str) -> str:
        """Stream and channel of a venue's own status and gaps: `tape:venue:binance`."""
        return f"{self._root(0)}:venue:{venue}"

    def last(self, kind: str, instrument: str) -> str:
        """Hash of the newest event of each venue, field = venue: `tape:last:quote:BTC-USDT`.

        Of trades the newest is the one that was made last; one that was fetched later than it is in the field `venue:late`.
        """
        return f"{self._root(self.partition(instrument))}:last:{kind}:{instrument}"

    def registry(self, partition: int = 0) -> str:
        """Set of the names of all streams of a partition: `tape:streams`."""
        return f"{self._root(partition)}:streams"

    def cursor(self, producer: str, partition: int = 0) -> str:
        """Hash `epoch`, `batch`, `spool`: what of a producer's batches and spool is on the tape: `tape:cursor:connector.binance`."""
        return f"{self._root(partition)}:cursor:{producer}"

    def lease(self, producer: str) -> str:
        """String that expires: which instance publishes as this producer: `tape:lease:aggregator.3`, `tape:lease:connector.binance`. All
        leases lie in partition 0.
        """
        return f"{self._root(0)}:lease:{producer}"

    def line(self, producer: str, line: str) -> str:
        """String that expires: how one of a producer's redundant lines is, as JSON: `tape:line:connector.binance:a`. In partition 0."""
        return f"{self._root(0)}:line:{producer}:{line}"

    def checkpoint(self, producer: str) -> str:
        """Hash: the windows of an aggregator's instruments, for the share's next owner: `tape:checkpoint:aggregator.3`. Fields `epoch`,
        `tape`, `at`, and of each instrument `head:BTC-USDT` and some `6976562:BTC-USDT`. All checkpoints lie in partition 0, as the cursor
        does that they are compared with.
        """
        return f"{self._root(0)}:checkpoint:{producer}"

    def identity(self) -> str:
        """Hash `id`, `origin`: which tape this is, and whether it holds `live` or `simulated` data: `tape:identity`. In partition 0."""
        return f"{self._root(0)}:identity"

    def instances(self, service: str) -> str:
        """Sorted set of a service's instances, by when (server's ms) each counts as dead if it is silent: `tape:instances:aggregator`."""
        return f"{self._root(0)}:instances:{service}"

    def parse(self, stream: str) -> tuple[str, str] | None:
        """(kind, instrument) of a stream's name, ("venue", venue) for a venue's, None for a foreign name."""
        parts = stream.removeprefix(f"{self.prefix}:").split(":")
        if stream.startswith(f"{self.prefix}:") and parts[0].startswith("{"):
            parts = parts[1:]
        if not stream.startswith(f"{self.prefix}:") or len(parts) != 2 or not all(parts):
            return None
        return parts[0], parts[1]
