"""Entries that were removed before they were read: a reader reports them, wherever it stands and whatever is left on the stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from crosstape.bus import Bookmark, Missed, Position, Reader, Start, connect
from crosstape.bus.client.availability import Availability
from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read import poller
from crosstape.bus.read.decoding import ReaderCallbacks
from crosstape.bus.read.followed import FollowedStream
from crosstape.bus.read.poller import Poller
from crosstape_schemas import Event
from tests.bus.tape import KEYS, TRADES, Gaps, fast, numbers, read_until, stamped, trade
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("waits_for")


UNKNOWN = Missed(TRADES, "", 0, 0, None)
"""The report that something is missing, without venue or count."""


@contextlib.asynccontextmanager
async def reading(url: str, start: Position, gaps: Gaps) -> AsyncIterator[Reader]:
    """A reader of trades that has found its place, unless there is something to read at once."""
    async with connect(fast(url)) as own, Reader(own, KEYS, streams=[TRADES], start=start, on_gap=gaps) as reader:
        assert isinstance(own, Redis)
        while TRADES not in reader.cursors and await own.xlen(TRADES) == 0:
            assert not await reader.read(timeout_s=0.02)
        yield reader


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is looked at before each read, not every few seconds."""
    monkeypatch.setattr(poller, "RECHECK_S", 0.0)
    monkeypatch.setattr(poller, "BLOCK_S", 0.05)


def seqs(events: Sequence[Event]) -> list[int]:
    """Their numbers."""
    return [event.seq for event in events]


async def add(client: Redis, *seqs: int, epoch: int = 5, venue: str = "binance") -> str:
    """Trades of these numbers, as a producer writes them; the id of the last."""
    entry_id: bytes | str = b""
    for seq in seqs:
        entry_id = await client.xadd(TRADES, {"d": stamped(trade(seq, venue=venue), epoch, seq)})
    assert isinstance(entry_id, bytes)
    return entry_id.decode()


@pytest.mark.parametrize("as_mark", [False, True])
async def test_a_stored_id_on_a_stream_that_was_trimmed_to_its_end(client: Redis, valkey: str, as_mark: bool) -> None:
    """No number can show the loss: the last id of the stream is greater than the stored one. Later events are read."""
    stored = await add(client, 1, 2)
    await add(client, 3, 4)
    await client.xtrim(TRADES, maxlen=0, approximate=False)
    gaps = Gaps()
    start: Position = Bookmark(stored) if as_mark else stored
    async with reading(valkey, start, gaps) as reader:
        assert gaps.missed == [UNKNOWN]
        await add(client, 5)
        assert numbers([entry.event for entry in await reader.read(timeout_s=5)]) == [5]
        stored = reader.cursors[TRADES]
    assert gaps.missed == [UNKNOWN]

    async with reading(valkey, stored, gaps):
        assert gaps.missed == [UNKNOWN]


@pytest.mark.parametrize("how", ["trimmed", "nothing since"])
async def test_nothing_is_missing_behind_the_last_id(client: Redis, valkey: str, how: str) -> None:
    """An empty stream whose last id is ours has nothing that we did not read."""
    stored = await add(client, 1, 2)
    if how == "trimmed":
        await client.xtrim(TRADES, maxlen=0, approximate=False)
    gaps = Gaps()
    async with reading(valkey, stored, gaps) as reader:
        await add(client, 3)
        assert numbers([entry.event for entry in await reader.read(timeout_s=5)]) == [3]
    assert not gaps.missed


@pytest.mark.parametrize("left", [0, 2])
async def test_a_stored_id_on_a_stream_that_was_deleted_and_made_again(client: Redis, valkey: str, left: int) -> None:
    """Its new ids are greater than the stored one, so only the counts show the loss; with or without entries on it."""
    stored = await add(client, 1, 2)
    await client.delete(TRADES)
    await add(client, *range(1, 6), epoch=6)
    await client.xtrim(TRADES, maxlen=left, approximate=False)
    gaps = Gaps()
    async with reading(valkey, stored, gaps) as reader:
        assert seqs(await read_until(reader, left)) == [4, 5][:left]
        assert gaps.missed == [UNKNOWN]


async def test_a_stored_id_on_a_stream_that_is_gone(client: Redis, valkey: str) -> None:
    """Entries may have come and gone meanwhile; nobody knows."""
    stored = await add(client, 1, 2)
    await client.delete(TRADES)
    gaps = Gaps()
    async with reading(valkey, stored, gaps):
        assert gaps.missed == [UNKNOWN]


@pytest.mark.parametrize("start", ["0-0", "0"])
@pytest.mark.parametrize("left", [0, 2])
async def test_the_id_of_a_stream_that_was_not_there_yet(client: Redis, valkey: str, start: str, left: int) -> None:
    """A reader that began before the stream did stores `0-0`. All that came since is to be read, so what was trimmed is missing."""
    await add(client, *range(1, 6))
    await client.xtrim(TRADES, maxlen=left, approximate=False)
    gaps = Gaps()
    async with reading(valkey, start, gaps) as reader:
        assert seqs(await read_until(reader, left)) == [4, 5][:left]
    assert gaps.missed == [UNKNOWN]


@pytest.mark.usefixtures("looks_often")
async def test_a_connected_reader_of_a_stream_that_is_trimmed_to_its_end(client: Redis, valkey: str) -> None:
    """Entries that it did not read in time are lost. It finds that without a further entry, and continues behind them."""
    gaps = Gaps()
    async with reading(valkey, Start.NOW, gaps) as reader:
        await add(client, 1, 2)
        assert seqs(await read_until(reader, 2)) == [1, 2]
        async with client.pipeline(transaction=True) as both:
            for seq in (3, 4):
                both.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
            both.xtrim(TRADES, maxlen=0, approximate=False)
            ids = await both.execute()

        async def told() -> bool:
            assert not await reader.read(timeout_s=0.05)
            return bool(gaps.missed) and reader.cursors[TRADES] == ids[1].decode()

        await wait_until(told, what="the gap is reported, and the place of the reader is known")
        assert gaps.missed == [UNKNOWN]


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize("next_", [(1, 6, "binance"), (3, 5, "kraken")])
async def test_the_end_of_a_numbering_that_is_trimmed_unread(client: Redis, valkey: str, next_: tuple[int, int, str]) -> None:
    """The next event is the first of a new start, or of another venue: its number shows nothing about the events before it."""
    gaps = Gaps()
    async with reading(valkey, Start.NOW, gaps) as reader:
        await add(client, 2, venue="kraken")
        await add(client, 1)
        await read_until(reader, 2)
        seq, epoch, venue = next_
        async with client.pipeline(transaction=True) as both:
            for number in (2, 3, 4):
                both.xadd(TRADES, {"d": stamped(trade(number), 5, number)})
            both.xadd(TRADES, {"d": stamped(trade(seq, venue=venue), epoch, seq)})
            both.xtrim(TRADES, maxlen=1, approximate=False)
            await both.execute()
        assert seqs(await read_until(reader, 1)) == [seq]

        async def told() -> bool:
            assert not await reader.read(timeout_s=0.05)
            return bool(gaps.missed)

        await wait_until(told, what="the gap is reported")
        assert gaps.missed == [UNKNOWN]


@pytest.mark.usefixtures("looks_often")
async def test_what_the_numbers_tell_is_reported_once(client: Redis, valkey: str) -> None:
    """The report has venue and count; the look at the stream reports nothing more."""
    gaps = Gaps()
    async with reading(valkey, Start.NOW, gaps) as reader:
        await add(client, 1)
        await read_until(reader, 1)
        async with client.pipeline(transaction=True) as both:
            for seq in range(2, 10):
                both.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
            both.xtrim(TRADES, maxlen=2, approximate=False)
            await both.execute()
        assert seqs(await read_until(reader, 2)) == [8, 9]
        for _ in range(5):
            assert not await reader.read(timeout_s=0.05)
    assert gaps.missed == [Missed(TRADES, "binance", 5, 2, 6)]


@pytest.mark.usefixtures("looks_often")
async def test_a_reader_that_keeps_up_is_told_nothing(client: Redis, valkey: str) -> None:
    """However short the stream is; also if the reader was there before the stream, or entries that were read are deleted by hand."""
    gaps = Gaps()
    async with reading(valkey, Start.NOW, gaps) as reader:
        for seq in range(1, 60):
            entry_id = await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)}, maxlen=1, approximate=False)
            assert seqs(await read_until(reader, 1)) == [seq]
            if not seq % 10:
                await client.xdel(TRADES, entry_id)
            if not seq % 7:
                assert not await reader.read(timeout_s=0.06)
    assert not gaps.missed


@pytest.mark.usefixtures("looks_often")
async def test_a_stream_that_was_deleted_and_made_again_while_connected(client: Redis, valkey: str) -> None:
    """All its entries are read, and nothing is reported: the old entries had been read."""
    gaps = Gaps()
    async with reading(valkey, Start.NOW, gaps) as reader:
        await add(client, 1, 2, 3)
        await read_until(reader, 3)
        await client.delete(TRADES)
        assert not await reader.read(timeout_s=0.1)
        await add(client, 1, 2, epoch=6)
        assert seqs(await read_until(reader, 2)) == [1, 2]
        assert not await reader.read(timeout_s=0.1)
    assert not gaps.missed


@contextlib.asynccontextmanager
async def catching_up(client: Redis, stored: str, gaps: Gaps, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Poller]:
    """Opens a poller that reads three entries at a time from a stored id on: each `fetch` is one read."""
    monkeypatch.setattr(poller, "READ_ENTRIES", 3)
    monkeypatch.setattr(poller, "ENTRIES_EACH", 1)
    availability = Availability(client, "reader", backoff_s=0.1, reconnected=lambda _away_s: None)
    made = Poller(client, availability, ReaderCallbacks(gaps, lambda _foreign: None, ReaderMetrics()))
    made.add(FollowedStream(TRADES, stored, KEYS))
    await made.fetch()  # finds its place
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize(("venue", "epoch"), [("kraken", 5), ("binance", 6)])
@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_what_is_trimmed_while_a_stored_id_is_caught_up_with(
    client: Redis, monkeypatch: pytest.MonkeyPatch, venue: str, epoch: int, reads: int
) -> None:
    """The next entry's number does not show it: that entry is of another venue, or of a later start of its producer."""
    stored = await add(client, 1, 2)
    await add(client, *range(3, 13))
    gaps = Gaps()
    async with catching_up(client, stored, gaps, monkeypatch) as reader:
        for _ in range(reads):
            await reader.fetch()
        first = await add(client, 1, venue=venue, epoch=epoch)
        await client.xtrim(TRADES, minid=first, approximate=False)
        assert not gaps.missed
        batch = await reader.fetch()
    assert [entry.id for entry in batch.entries] == [first]
    assert gaps.missed == [UNKNOWN]


async def test_a_stream_trimmed_to_its_end_while_it_is_caught_up_with(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """No later entry could show the loss. Entries that are added later are read, and nothing more is reported."""
    stored = await add(client, 1, 2)
    await add(client, *range(3, 13))
    gaps = Gaps()
    async with catching_up(client, stored, gaps, monkeypatch) as reader:
        await reader.fetch()
        last = (await client.xinfo_stream(TRADES))["last-generated-id"].decode()
        await client.xtrim(TRADES, maxlen=0, approximate=False)
        assert (await reader.fetch()).cursors == {TRADES: last}
        assert gaps.missed == [UNKNOWN]
        await add(client, 1, venue="kraken")
        assert seqs([entry.event for entry in (await reader.fetch()).entries]) == [1]
    assert gaps.missed == [UNKNOWN]


async def test_what_is_trimmed_right_behind_a_reader_that_catches_up_is_not_missing(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """All trimmed entries had been read: nothing is reported, however often. Entries that are trimmed unread later are."""
    stored = await add(client, 1, 2)
    ids = [await add(client, seq) for seq in range(3, 13)]
    gaps = Gaps()
    seen: list[int] = []
    async with catching_up(client, stored, gaps, monkeypatch) as reader:
        while len(seen) < len(ids):
            seen += seqs([entry.event for entry in (await reader.fetch()).entries])
            await client.xtrim(TRADES, minid=ids[len(seen)] if len(seen) < len(ids) else ids[-1], approximate=False)
        assert seen == list(range(3, 13))
        assert not gaps.missed
        await add(client, 13, 14)
        first = await add(client, 1, venue="kraken")
        await client.xtrim(TRADES, minid=first, approximate=False)
        monkeypatch.setattr(poller, "RECHECK_S", 0.0)
        async with asyncio.timeout(20):
            while not gaps.missed:
                await reader.fetch()
                await add(client, 2, venue="kraken")
    assert gaps.missed == [UNKNOWN]
