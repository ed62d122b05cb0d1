"""Names the keys and channels on the bus. No other module makes such a name.

With one partition (the default) names are plain: `tape:trade:BTC-USDT`. With several they have a hash tag, `tape:{7}:trade:BTC-USDT`, so
that all keys of one script call or one read are in one slot of a cluster. Venue-wide names are in partition 0.
"""

from __future__ import annotations

import binascii

import msgspec

from crosstape_schemas.event import VENUE_WIDE


def partition_of(instrument: str, parts: int) -> int:
    """Returns 0 … parts - 1: CRC-16/XMODEM of the instrument, modulo `parts`. It is the same on every machine."""
    return binascii.crc_hqx(instrument.encode(), 0) % parts


class Keys(msgspec.Struct, frozen=True):
    """Makes all names with one prefix. `partitions` belongs to the whole bus: all producers and consumers must have the same count."""

    prefix: str = "tape"
    partitions: int = 1

    def partition(self, instrument: str) -> int:
        """Returns the partition of an instrument, 0 … partitions - 1. Venue-wide names are in partition 0."""
        if self.partitions == 1 or instrument == VENUE_WIDE:
            return 0
        return partition_of(instrument, self.partitions)

    def _root(self, partition: int) -> str:
        return self.prefix if self.partitions == 1 else f"{self.prefix}:{{{partition}}}"

    def stream(self, kind: str, instrument: str) -> str:
        """Stream and channel of one kind and instrument, for all venues: `tape:trade:BTC-USDT`, `tape:candle:1m:BTC-USDT`."""
        return f"{self._root(self.partition(instrument))}:{kind}:{instrument}"

    def venue(self, venue: str) -> str:
        """Stream and channel of a venue's own status and gaps: `tape:venue:binance`."""
        return f"{self._root(0)}:venue:{venue}"

    def last(self, kind: str, instrument: str) -> str:
        """Hash of the newest event of each venue, field = venue: `tape:last:quote:BTC-USDT`.

        The newest trade is the one that was made last; a trade that was fetched after it is in the field `venue:late`. Fields that end
        with `:late` are no last values: `venue:corrections:late` has the bar with which a recorder corrected an old one last.
        """
        return f"{self._root(self.partition(instrument))}:last:{kind}:{instrument}"

    def registry(self, partition: int = 0) -> str:
        """Set of the names of all streams of a partition: `tape:streams`."""
        return f"{self._root(partition)}:streams"

    def bell(self, kind: str, partition: int = 0) -> str:
        """Stream with one entry for each batch that wrote streams of a kind: `tape:bell:quote`. Its field `s` names these streams, with one
        space between them, or is `*` if they are more than 256: then any stream of the kind may have got entries. One bell stands for all
        timeframes of candles, and of bars; the bell of the venues' own streams is `tape:bell:venue`.

        Who follows many streams waits for the bells of their kinds alone, because a wait for hundreds of streams is dear for the server. A
        bell is only a hint: it keeps about 1,000 entries, may lack some, and may name a stream without a new entry. It is no stream of
        events, so it is not in the registry, and `parse` returns None for it.
        """
        return f"{self._root(partition)}:bell:{kind.partition(':')[0]}"

    def cursor(self, producer: str, partition: int = 0) -> str:
        """Hash `epoch`, `batch`, `spool`: which of a producer's batches and spool is on the tape: `tape:cursor:connector.binance`."""
        return f"{self._root(partition)}:cursor:{producer}"

    def lease(self, producer: str) -> str:
        """String that expires: which instance publishes as this producer: `tape:lease:aggregator.3`, `tape:lease:connector.binance`. All
        leases are in partition 0.
        """
        return f"{self._root(0)}:lease:{producer}"

    def line(self, producer: str, line: str) -> str:
        """String that expires: the status of one of a producer's replicas, as JSON: `tape:line:connector.binance:a`. In partition 0."""
        return f"{self._root(0)}:line:{producer}:{line}"

    def checkpoint(self, producer: str) -> str:
        """Hash: the windows and bars of an aggregator's instruments, for the share's next owner: `tape:checkpoint:aggregator.3`. Fields
        `epoch`, `tape`, `at`, and of each instrument `head:BTC-USDT` and some `6976562:BTC-USDT` and `1m.465104:BTC-USDT`. All
        checkpoints are in partition 0, as is the cursor with which they are compared.
        """
        return f"{self._root(0)}:checkpoint:{producer}"

    def identity(self) -> str:
        """Hash `id`, `origin`: which tape this is, and whether its data are `live`, `test` or `simulated`. In partition 0."""
        return f"{self._root(0)}:identity"

    def instances(self, service: str) -> str:
        """Sorted set of a service's instances, by the ms (server's clock) at which each counts as dead: `tape:instances:aggregator`."""
        return f"{self._root(0)}:instances:{service}"

    def requests(self, limit: str, outbound: str = "") -> str:
        """String that expires: what the processes of one internet address have spent of a venue's limit of requests, by slices of time:
        `tape:requests:binance`, or `tape:requests:binance:OUTBOUND` where `connector.outbound` names the address. In partition 0.
        """
        return f"{self._root(0)}:requests:{limit}{f':{outbound}' if outbound else ''}"

    def requests_held(self, venue: str, outbound: str = "") -> str:
        """String that expires: the venue has asked this address to wait (429, 418) for as long as the key lives:
        `tape:requests-held:binance`. Named as `requests`; in partition 0.
        """
        return f"{self._root(0)}:requests-held:{venue}{f':{outbound}' if outbound else ''}"

    def parse(self, stream: str) -> tuple[str, str] | None:
        """Returns (kind, instrument) of a stream's name, ("venue", venue) for a venue's own stream, None for any other name.

        The kind of candles and bars has their timeframe: `candle:1m`.
        """
        parts = stream.removeprefix(f"{self.prefix}:").split(":")
        if stream.startswith(f"{self.prefix}:") and parts[0].startswith("{"):
            parts = parts[1:]
        if parts[0] in ("candle", "bar") and len(parts) == 3:
            parts = [f"{parts[0]}:{parts[1]}" if parts[1] else "", parts[2]]
        if not stream.startswith(f"{self.prefix}:") or len(parts) != 2 or not all(parts) or parts[0] == "bell":
            return None
        return parts[0], parts[1]
