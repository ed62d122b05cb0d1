"""Finds the border between the history and the streams: what is up to it is in the store, what is behind it is on the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from crosstape.bus.read.followed import parse_id
from crosstape.errors import HistoryError
from crosstape.history.batch import Source
from crosstape.history.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

START: Final = (0, 0)


class Border(NamedTuple):
    """How far a stream is recorded."""

    id: tuple[int, int]
    """The last entry that is in the store, or was left out on purpose; `START`: nothing was recorded of this stream."""
    numbers: dict[tuple[str, int], int]
    """Venue and epoch → `seq` of its last event up to there. A server that lost data may have got it again, under a later id."""

    def has(self, venue: str, epoch: int, seq: int) -> bool:
        """Whether an event that is on the stream behind `id` is in the store all the same."""
        return 0 < seq <= self.numbers.get((venue, epoch), 0)

    def recorded(self, table: pa.Table) -> pa.Table:
        """Returns the rows of a table of the store that are up to the border, or do not come from the stream.

        Commits that came after the border was asked for have rows behind it, which the stream has as well. Rows with a later id and a
        number that counts as recorded were there before the server lost data and began again with earlier ids.
        """
        import pyarrow.compute as pc  # noqa: PLC0415 - it needs an extra

        ms, number = self.id
        at = pc.and_(pc.equal(table["id_ms"], ms), pc.less_equal(table["id_n"], number))
        wanted = pc.or_(pc.or_(pc.less(table["id_ms"], ms), at), pc.not_equal(table["source"], Source.TAPE.value))
        if pc.all(wanted).as_py() is not False:
            return table
        for (venue, epoch), seq in self.numbers.items():
            numbered = pc.and_(pc.equal(table["venue"], venue), pc.equal(table["epoch"], epoch))
            in_time = pc.and_(pc.greater(table["seq"], 0), pc.less_equal(table["seq"], seq))
            wanted = pc.or_(wanted, pc.and_(numbered, in_time))
        return table.filter(wanted)


async def border_of(store: Store, kind: str, stream: str) -> Border:
    """Returns the border of a stream. `kind`: a tag. Ask before the stream is read. Raises `HistoryError`."""
    mark = (await store.position(kind)).marks.get(stream)
    if mark is None:
        return Border(START, {})
    numbers: dict[tuple[str, int], int] = {}
    for venue, epoch, seq in mark.numbers:
        numbers[venue, epoch] = max(seq, numbers.get((venue, epoch), 0))
    return Border(parse_id(mark.id.encode()), numbers)


async def check_tape(store: Store, tape_id: str) -> None:
    """Check that a store is not bound to another tape: its events must not get among those of this one. Raises `HistoryError`.

    `tape_id`: as the server has it; empty: it has none yet.
    """
    if tape_id and (tapes := await store.tapes()) and tape_id not in {one.id for one in tapes}:
        raise HistoryError("the recorded history is that of another tape: check recorder.store, or `Tape(history=…)`, and bus.url")
