"""Who publishes, where, and how: what all parts of one publisher agree on."""

from __future__ import annotations

import msgspec

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import Client
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.spool.tape_identity import Tape
from crosstape.settings import BusSettings
from crosstape_schemas import Keys


class Producer(msgspec.Struct):
    """One producer of one venue's (or of `CONSOLIDATED`) events, from one start of its process to the end of it."""

    name: str
    epoch: int
    """Not final before the name is claimed: see `enrolment`."""
    started_ts: int
    """Our clock when it was made. An epoch is no time: it may be ahead of every clock."""
    tape: Tape
    client: Client
    keys: Keys
    settings: BusSettings
    metrics: PublisherMetrics
    availability: Availability

    def cursor(self, partition: int) -> bytes:
        """The key that says which of its batches the server has."""
        return self.keys.cursor(self.name, partition).encode()

    def registry(self, partition: int) -> bytes:
        """The key of the set of streams."""
        return self.keys.registry(partition).encode()

    @property
    def epoch_text(self) -> bytes:
        """As the cursor has it."""
        return b"%d" % self.epoch
