"""The seam between a store of the history and all that uses one: the recorder, `Tape`, the gateway, audits and repairs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.history.batch import Batch
from crosstape.history.query import Query

if TYPE_CHECKING:
    import pyarrow as pa


class Position(msgspec.Struct, frozen=True):
    """How far the history of one kind goes."""

    number: int
    """Number of the newest commit; 0: there is none."""
    marks: Mapping[str, Bookmark]
    """Stream → the id up to which its entries are in the history or were left out on purpose, and the newest `seq` of each venue there.
    Of all streams of the kind that were ever recorded."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that `check` found wrong."""

    where: str
    """File or table, and row if there is one."""
    what: str
    """What is wrong, as a sentence."""


class CheckResult(msgspec.Struct, frozen=True):
    """What `check` read, and what it found."""

    commits: int
    rows: int
    findings: tuple[Finding, ...]


class Store(Protocol):
    """A store of the history. All methods raise `HistoryError` for a store that cannot be used now; those that write may be tried again.

    Any number of processes may read while others write: a reader sees each commit whole or not at all, and no row twice.
    """

    @property
    def bytes_written(self) -> int:
        """How many bytes this object has sent to the disk, the bucket or the database, for rows: commits and merged files."""
        ...

    async def tapes(self) -> Sequence[Identity]:
        """Returns the tapes whose history this is, in the order in which they were bound; none for a new store.

        Only the last of them is recorded. Those before it are tapes whose server lost all its data, as an operator has said.
        """
        ...

    async def bind(self, tape: Identity, *, after: int) -> bool:
        """Binds the store to a tape, in addition to the first `after` ones. Returns False if another process has bound it meanwhile.

        So the events of two tapes, live and simulated ones for example, do not get into one history: see `origin`. As with `append`, it
        is on the disk when it returns.
        """
        ...

    async def position(self, kind: str) -> Position:
        """Returns the newest commit of a kind, and its marks."""
        ...

    async def append(self, batch: Batch, marks: Mapping[str, Bookmark], *, after: int) -> int | None:
        """Writes rows and marks as one commit, the one after number `after`. Returns its number; None: another process has committed.

        `marks`: those of the streams that have changed; the others are taken over. The rows are on the disk, or in the bucket, when it
        returns. When it raises, the commit was made or not: `position` shows which.
        """
        ...

    def read(self, query: Query) -> AsyncIterator[pa.Table]:
        """Yields the rows of a query in parts, in the order of (`ts`, `id_ms`, `id_n`). Columns are those of `arrow.schema_of(query.kind)`.

        A row from `Source.REST` is left out if a row of the tape has the same trade (venue, instrument, trade_id) or the same candle.
        """
        ...

    async def candles(self, query: Query, timeframe: str) -> pa.Table:
        """Returns candles computed from the recorded trades of `query`, by `open_ts`: open_ts, open, high, low, close, volume,
        quote_volume (text), trades. Of one venue or, without one, of all together.

        Trades are ordered as the method `bar/1` says. Intervals without trades have no row.
        """
        ...

    async def last(self, query: Query) -> bytes | None:
        """Returns the JSON of the newest event of a query; None: there is none. Much cheaper than `read` with `limit=1`."""
        ...

    async def compact(self) -> int:
        """Merges small commits into few files, and deletes what was merged long enough ago. Returns how many commits were merged."""
        ...

    async def expire(self, *, before_ts: int | None = None, max_bytes: int | None = None) -> int:
        """Deletes the oldest history: all days before `before_ts` (ns), and the oldest days beyond `max_bytes`. Returns the rows deleted.

        Marks stay: what was deleted is not recorded again.
        """
        ...

    async def check(self) -> CheckResult:
        """Reads everything and verifies it: counts, `seq` of each stream, marks, digits."""
        ...

    async def aclose(self) -> None:
        """Releases files and connections."""
        ...
