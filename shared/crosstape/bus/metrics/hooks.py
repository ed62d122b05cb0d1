"""Defines what the bus counts. These hooks do nothing; services pass those of `crosstape.bus.metrics.prometheus`."""

from __future__ import annotations


class PublisherMetrics:
    """Called by a publisher, from the event loop; must return at once and not raise."""

    def written(self, entries: int, seconds: float) -> None:
        """A batch of this many entries was acknowledged, this long after it was sent."""

    def pending(self, entries: int) -> None:
        """Sets how many entries wait or are in flight."""

    def conflated(self, kind: str, entries: int) -> None:
        """Entries were replaced by a newer one of their stream before they were numbered."""

    def dropped(self, kind: str, entries: int, cause: str) -> None:
        """Entries will not be on the tape; a `Gap` of that cause reports them."""

    def spooled(self, entries: int) -> None:
        """Entries were written to the spool."""

    def spool(self, size: int, entries: int) -> None:
        """The spool has this many bytes, and this many entries that are not on the tape."""

    def spool_error(self) -> None:
        """The spool could not be written or read, or a part of it was damaged."""

    def spool_kept_aside(self) -> None:
        """The entries found in the spool are for another tape, and were kept aside for it."""

    def retransmitted(self, entries: int) -> None:
        """Acknowledged entries are sent again, to a server that has lost them."""

    def reconnected(self, seconds: float) -> None:
        """The server answers again, after an outage of this length."""


class ReaderMetrics:
    """Called by a reader, from the event loop; must return at once and not raise."""

    def read(self, entries: int) -> None:
        """An answer brought this many entries."""

    def foreign(self) -> None:
        """An entry that is no event of ours was skipped."""

    def missed(self, entries: int) -> None:
        """The numbering of a stream shows that this many entries are missing (0: the count is not known)."""

    def repeated(self, entries: int) -> None:
        """Entries came a second time, because a producer had to write them again, and were dropped."""

    def reconnected(self, seconds: float) -> None:
        """The server answers again, after an outage of this length."""
