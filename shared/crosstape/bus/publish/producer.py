"""Identifies who publishes, and holds what all parts of one publisher share."""

from __future__ import annotations

import msgspec

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import Client
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.spool.tape_identity import Tape
from crosstape.settings import BusSettings
from crosstape_schemas import Keys


class Producer(msgspec.Struct):
    """One producer of the events of one venue (or of `CONSOLIDATED`), from one start of its process to its end."""

    name: str
    epoch: int
    """Number of this start, greater than those before. Final once the name is claimed: see `enrolment`."""
    started_ts: int
    """Our clock at the start, ns. (An epoch is no time: it may be ahead of every clock.)"""
    tape: Tape
    client: Client
    keys: Keys
    settings: BusSettings
    metrics: PublisherMetrics
    availability: Availability

    def cursor(self, partition: int) -> bytes:
        """Key of the hash that says which of its batches the server has."""
        return self.keys.cursor(self.name, partition).encode()

    def registry(self, partition: int) -> bytes:
        """Key of the set of stream names."""
        return self.keys.registry(partition).encode()

    @property
    def epoch_text(self) -> bytes:
        """The epoch as text, as the cursor has it."""
        return b"%d" % self.epoch
