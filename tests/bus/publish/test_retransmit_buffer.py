"""The retransmit buffer keeps the batches that were written lately, and finds those that a server lacks."""

from __future__ import annotations

from crosstape.bus.publish.batch import Batch
from crosstape.bus.publish.retransmit_buffer import RetransmitBuffer
from crosstape.bus.publish.stream import Queue, Stream
from tests.bus.tape import KEYS, trade, whole

EPOCH = 1


def batches(stream: Stream, count: int) -> list[Batch]:
    """Returns this many batches of one trade each."""
    made = []
    for number in range(1, count + 1):
        batch = Batch(number, cursor=b"cursor", registry=b"registry", epoch=b"1")
        batch.add(stream, [trade(number)], EPOCH)
        made.append(batch)
    return made


def kept(ring: RetransmitBuffer, stream: Stream, *, found: int = 0, seq: int = 0) -> list[int]:
    """Returns the numbers of the batches that a server lacks, by the batch of its cursor and the entries that it has of the stream."""
    return [batch.number for batch in ring.missing(found, {stream: (seq, 0)})]


def stream() -> Stream:
    """Returns a stream of trades."""
    return Stream(trade(1), KEYS, 1_000, Queue())


def test_batches_go_when_they_are_too_old() -> None:
    """Exactly at their age, and in order."""
    ring, one = RetransmitBuffer(10.0, 1 << 20), stream()
    for batch in batches(one, 4):
        ring.append(batch, float(batch.number))
    assert kept(ring, one) == whole(4)
    last = batches(one, 5)[-1]
    ring.append(last, 12.0)
    assert kept(ring, one) == [3, 4, 5]


def test_the_newest_stay_when_there_are_too_many_bytes() -> None:
    """The bound holds for all of them together."""
    one = stream()
    made = batches(one, 9)
    ring = RetransmitBuffer(10.0, sum(batch.size for batch in made[-3:]))
    for batch in made:
        ring.append(batch, 1.0)
    assert kept(ring, one) == [7, 8, 9]


def test_one_that_is_larger_than_all_is_not_kept() -> None:
    """A bound is a bound."""
    ring, one = RetransmitBuffer(10.0, 1), stream()
    for batch in batches(one, 2):
        ring.append(batch, 1.0)
    assert kept(ring, one) == []


def test_a_server_lacks_what_neither_its_cursor_nor_its_streams_show() -> None:
    """A lost cursor alone doubles nothing."""
    ring, one = RetransmitBuffer(10.0, 1 << 20), stream()
    for batch in batches(one, 5):
        ring.append(batch, 1.0)
    assert kept(ring, one, found=3) == [4, 5]
    assert kept(ring, one, found=0, seq=4) == [5]
    assert kept(ring, one, found=5) == []
