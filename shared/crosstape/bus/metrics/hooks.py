"""What the bus counts. These do nothing: a service passes those of `crosstape.bus.metrics.prometheus`, which the library does not need."""

from __future__ import annotations


class PublisherMetrics:
    """Called by a publisher, from the event loop; must return at once and not raise."""

    def written(self, entries: int, seconds: float) -> None:
        """A batch of so many entries was acknowledged, so long after it was sent."""

    def pending(self, entries: int) -> None:
        """So many entries wait, or are in flight."""

    def conflated(self, kind: str, entries: int) -> None:
        """Entries gave way to a newer one of their stream before they were numbered."""

    def dropped(self, kind: str, entries: int, cause: str) -> None:
        """Entries will not be on the tape; a `Gap` of that cause reports them."""

    def spooled(self, entries: int) -> None:
        """Entries were written to the spool file."""

    def spool(self, size: int, entries: int) -> None:
        """The spool file takes so many bytes, and holds so many entries that are not on the tape."""

    def spool_error(self) -> None:
        """The spool file could not be written or read, or a part of it was damaged."""

    def spool_kept_aside(self) -> None:
        """What was found in the spool is for another tape, and was put where its own can get it."""

    def retransmitted(self, entries: int) -> None:
        """Acknowledged entries are sent again, to a server that lost them."""

    def reconnected(self, seconds: float) -> None:
        """The server answers again, after so long."""


class ReaderMetrics:
    """Called by a reader, from the event loop; must return at once and not raise."""

    def read(self, entries: int) -> None:
        """So many entries came in one answer."""

    def foreign(self) -> None:
        """An entry that is none of ours was skipped."""

    def missed(self, entries: int) -> None:
        """The numbering of a stream skipped so many (0: how many is not known)."""

    def repeated(self, entries: int) -> None:
        """Entries came a second time, and were dropped: a producer had to write them again."""

    def reconnected(self, seconds: float) -> None:
        """The server answers again, after so long."""
