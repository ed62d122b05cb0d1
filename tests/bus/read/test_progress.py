"""When a connection of a reader counts as having read everything, and when not."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from crosstape.bus import Missed, Reader, Start, connect
from crosstape.bus.read.continuity import Continuity
from crosstape.bus.read.progress import LIMIT_S, ReadProgress
from crosstape.settings import BusSettings
from crosstape_schemas import CONSOLIDATED, FeedState, Status, encode
from tests.bus.tape import KEYS, trade
from tests.proxy import proxy
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("waits_for")


def begun(stream: str) -> bool:
    """Whether the stream has started: all streams of these tests but one."""
    return stream != "not begun"


class Watched:
    """A connection's progress, and how often it turned."""

    def __init__(self) -> None:
        self.turns = 0
        self.one = ReadProgress[str](self._turned)

    def _turned(self) -> None:
        self.turns += 1

    def read(self, at_s: float, *, complete: bool = True) -> None:
        """Make one call that is answered and passed on."""
        self.one.asking(begun)
        if complete:
            self.one.answered(at_s)
        self.one.passed_on()


def test_a_connection_is_behind_until_an_answer_was_given_out() -> None:
    """The answer alone is not enough: what it brought has not been taken yet."""
    watched = Watched()
    assert watched.one.behind(0.0, {"a", "b"}) == {"a", "b"}
    watched.one.asking(begun)
    watched.one.answered(1.0)
    assert watched.one.behind(1.0, {"a"}) == {"a"}
    watched.one.passed_on()
    assert not watched.one.behind(1.0, {"a"})
    assert watched.turns == 1


def test_a_connection_that_is_lost_is_behind_at_once() -> None:
    """Also when its last answer is young; and until everything that came meanwhile was given out."""
    watched = Watched()
    watched.read(1.0)
    watched.one.lost()
    assert watched.one.behind(1.0, {"a"}) == {"a"}
    watched.read(2.0, complete=False)
    assert watched.one.behind(2.0, {"a"}) == {"a"}
    watched.read(3.0)
    assert not watched.one.behind(3.0, {"a"})
    assert watched.turns == 3


def test_an_answer_that_was_under_way_when_the_connection_was_lost_does_not_count() -> None:
    """The answer belongs to the connection before."""
    watched = Watched()
    watched.one.asking(begun)
    watched.one.answered(1.0)
    watched.one.lost()
    watched.one.passed_on()
    assert watched.one.behind(1.0, {"a"}) == {"a"}


def test_a_connection_without_answers_is_behind_after_a_while() -> None:
    """A connection that hangs shows no error; a backlog that never ends is the same."""
    watched = Watched()
    watched.read(1.0)
    watched.read(2.0, complete=False)
    assert not watched.one.behind(1.0 + LIMIT_S, {"a"})
    assert watched.one.behind(1.01 + LIMIT_S, {"a"}) == {"a"}


def test_a_stream_that_was_added_is_behind_until_an_answer_covers_it() -> None:
    """The others are not."""
    watched = Watched()
    watched.read(1.0)
    watched.one.asking(begun)
    watched.one.added("new")
    watched.one.answered(2.0)
    watched.one.passed_on()
    assert watched.one.behind(2.0, {"old", "new"}) == {"new"}
    watched.one.added("not begun")
    watched.read(3.0)
    assert watched.one.behind(3.0, {"old", "new", "not begun"}) == {"not begun"}
    watched.one.removed("not begun")
    assert not watched.one.behind(3.0, {"old", "new"})


def test_a_stream_that_was_removed_and_added_again_while_an_answer_was_under_way_is_behind() -> None:
    """The answer was about its former place. So is one whose key turned out to be no stream meanwhile: that one is added twice."""
    watched = Watched()
    watched.one.added("a")
    watched.one.added("b")
    watched.one.asking(begun)
    watched.one.removed("a")
    watched.one.added("a")
    watched.one.added("b")
    watched.one.answered(1.0)
    watched.one.passed_on()
    assert watched.one.behind(1.0, {"a", "b", "c"}) == {"a", "b"}


def test_shares_that_write_to_one_stream_do_not_make_each_other_look_incomplete() -> None:
    """Aggregators of several shares give their signs of life on one stream, each under its own epoch; nobody was there when they began."""
    continuity = Continuity("tape:venue:consolidated", from_first=False)

    def sign(epoch: int, seq: int) -> Status:
        return Status(CONSOLIDATED, "*", None, 1, f"share.{epoch}", FeedState.LIVE, epoch=epoch, seq=seq)

    assert [continuity.check(sign(*one)) for one in ((1, 10), (2, 500), (1, 11), (2, 501))] == [True] * 4
    assert isinstance(continuity.check(sign(2, 503)), Missed)


async def test_a_reader_knows_which_streams_it_has_read(client: Redis, valkey: str) -> None:
    """Idle ones too; none while the server is away, all when it is back; a backlog is read first."""
    streams = [KEYS.stream("trade", name) for name in ("A-B", "C-D")]
    await client.xadd(streams[0], {"d": b"foreign"})
    async with proxy(valkey) as between:
        settings = BusSettings(url=between.url, backoff_s=0.05)
        async with connect(settings) as far, Reader(far, KEYS, streams=streams, start=Start.BEGINNING, backoff_s=0.05) as reader:

            async def read() -> None:
                while True:
                    await reader.read(timeout_s=None)

            def behind() -> list[str]:
                return reader.behind(time.monotonic())

            assert sorted(behind()) == streams
            task = asyncio.create_task(read())
            await wait_until(lambda: not behind(), what="both read")
            turns = reader.turns
            between.refusing = True
            between.cut()
            await wait_until(lambda: sorted(behind()) == streams, what="both behind")
            assert reader.turns > turns
            between.refusing = False
            await wait_until(lambda: not behind(), what="both read again")
            reader.add([KEYS.stream("trade", "E-F")], Start.BEGINNING)
            assert behind() == [KEYS.stream("trade", "E-F")]
            await wait_until(lambda: not behind(), what="the third read")
            task.cancel()
            await asyncio.wait({task})


async def test_a_backlog_is_behind_until_all_of_it_was_given_out(client: Redis, valkey: str) -> None:
    """There is more than one answer can bring: the streams are behind until the caller has received the last of it."""
    stream = KEYS.stream("trade", "A-B")
    async with client.pipeline(transaction=False) as pipeline:
        for number in range(5_000):
            pipeline.xadd(stream, {"d": encode(trade(number + 1))})
        await pipeline.execute()
    async with connect(BusSettings(url=valkey)) as far, Reader(far, KEYS, streams=[stream], start=Start.BEGINNING) as reader:
        count = 0
        while count < 5_000:
            count += len(await reader.read(timeout_s=5))
            assert reader.behind(time.monotonic()) == [stream]
        await reader.read(timeout_s=0.05)
        assert reader.behind(time.monotonic()) == []
