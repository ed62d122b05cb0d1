"""A batch: the call that writes it, packed once, and what is found in it again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crosstape.bus.client.raw_connection import unpack
from crosstape.bus.publish.batch import WRITE, WRITE_SHA, Batch, Head
from crosstape.bus.publish.stream import Queue, Stream
from crosstape_schemas import Event, Quote
from tests.bus.tape import KEYS, trade

SIX = Head(6, rings=True, every=False)


def quote(bid: int) -> Quote:
    """Returns a quote of the venue of `trade`."""
    return Quote("binance", "BTC-USDT", None, bid, Decimal(bid), Decimal(1), Decimal(100), Decimal(1))


def stream(event: Event) -> Stream:
    """Returns the stream of such events."""
    return Stream(event, KEYS, 1_000, Queue())


@pytest.fixture
def batch() -> Batch:
    """Two trades and a quote, as the seventh batch of a producer."""
    made = Batch(7, cursor=b"cursor", registry=b"registry", epoch=b"1")
    made.add(stream(trade(1)), [trade(1), trade(2)], 1)
    made.add(stream(quote(1)), [quote(1)], 1)
    return made


def test_a_batch_is_packed_once_for_the_batch_that_it_follows(batch: Batch) -> None:
    """Sending it again costs nothing. Behind another batch only that number differs."""
    first = batch.packed(SIX)

    assert batch.packed(SIX) is first
    name, sha, *parts = unpack(first)
    assert (name, sha) == (b"EVALSHA", WRITE_SHA.encode())
    _, _, *others = unpack(batch.packed(SIX._replace(previous=123)))
    assert [(one, other) for one, other in zip(parts, others, strict=True) if one != other] == [(b"6", b"123")]
    assert others.count(KEYS.bell("quote").encode()) == 1


def test_a_batch_that_rings_no_more_can_ring_again(batch: Batch) -> None:
    """In place of the bells it names its cursor, to which no entry can be added."""
    first = batch.packed(SIX)
    _, _, *parts = unpack(batch.packed(SIX._replace(rings=False)))

    assert not any(part.startswith(KEYS.bell("").encode()) for part in parts)
    assert batch.packed(SIX) == first


def test_a_server_that_lacks_the_script_gets_it_with_the_same_parts(batch: Batch) -> None:
    """And the batch keeps the short call."""
    short = batch.packed(SIX)

    name, script, *parts = unpack(batch.packed_with_script(SIX))

    assert (name, script) == (b"EVAL", WRITE.encode())
    assert parts == unpack(short)[2:]
    assert batch.packed(SIX) is short


def test_the_lossless_entries_are_the_same_before_and_after_it_is_packed(batch: Batch) -> None:
    """The spool gets the entries of a batch in flight."""
    before = batch.lossless_entries()
    batch.packed(SIX)

    assert len(before) == 2
    assert batch.lossless_entries() == before
    batch.packed(SIX._replace(previous=123))
    assert batch.lossless_entries() == before
