"""The history in a bucket whose service is busy, breaks or does not answer."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.parquet.compaction import KEPT_S
from crosstape.history.parquet.s3 import S3Folder, _error
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape.history.store import Position
from tests.history.batches import batch, ids, trade
from tests.history.faulty_s3 import faulty, now_and_then

TRADES = Query(kind="trade")
BTC = "tape:trade:BTC-USDT"


def folder(bucket: str, prefix: str, retry_s: float = 120.0) -> S3Folder:
    """A prefix of the tests' bucket."""
    return S3Folder(bucket, prefix, allow_http=True, retry_s=retry_s)


@pytest.fixture
def prefix() -> str:
    """One of the test's own."""
    return uuid.uuid4().hex


class Once:
    """One fault, when a commit is first written."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.happened = False

    def __call__(self, method: str, path: str) -> str:
        """See `faulty_s3.Fault`."""
        if self.happened or method != "PUT" or "/commits/" not in path:
            return ""
        self.happened = True
        return self.fault


@pytest.mark.parametrize("fault", ["busy", "broken", "lost"])
async def test_a_commit_whose_answer_is_lost_is_known_to_be_ours(s3_address: str, bucket: str, prefix: str, fault: str) -> None:
    """The request is made again, finds the name taken, and sees by whom."""
    once = Once(fault)
    with faulty(s3_address, once):
        store = ParquetStore(folder(bucket, prefix))
        assert await store.append(batch([trade(1)]), {}, after=0) == 1
        assert await store.append(batch([trade(9)]), {}, after=0) is None
        assert await ids(store, TRADES) == ["1"]
        await store.aclose()
    assert once.happened


async def test_a_commit_is_another_ones_where_it_came_first(s3_address: str, bucket: str, prefix: str) -> None:
    """Also if the answer that says so is lost."""
    first = ParquetStore(folder(bucket, prefix))
    with faulty(s3_address, Once("lost")):
        second = ParquetStore(folder(bucket, prefix))
        assert await first.append(batch([trade(1)]), {}, after=0) == 1
        assert not await second._run(second._catalogue.folder.put, "trade/commits/000000001.parquet", b"another")
        await second.aclose()
    assert await ids(first, TRADES) == ["1"]
    await first.aclose()


async def test_a_service_that_overwrites_is_refused(s3_address: str, bucket: str, prefix: str) -> None:
    """One that does not know `If-None-Match`: two recorders would write the same commit there."""
    with faulty(s3_address, lambda method, path: "", without="if-none-match"):
        store = ParquetStore(folder(bucket, prefix))
        with pytest.raises(HistoryError, match="overwrites an object"):
            await store.append(batch([trade(1)]), {}, after=0)
        assert await store.position("trade") == Position(0, {})
        assert (await store.check()).findings == ()
        await store.aclose()


async def record(store: ParquetStore, entries: int) -> None:
    """Do what a recorder does with a stream of so many entries, whatever its store raises."""
    while True:
        try:
            position = await store.position("trade")
            read_to = int(position.marks[BTC].id.partition("-")[0]) if BTC in position.marks else 0
            count = min(7, entries - read_to)
            if not count:
                return
            numbers = range(read_to + 1, read_to + count + 1)
            rows = batch(map(trade, numbers), first_ms=numbers[0], first_seq=numbers[0])
            await store.append(rows, {BTC: Bookmark(f"{numbers[-1]}-0", (("kraken", 7, numbers[-1]),))}, after=position.number)
        except HistoryError:
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_each_row_is_there_once_whatever_the_service_does(s3_address: str, bucket: str, prefix: str) -> None:
    """Two recorders and a merger, while every eighth request fails or is not answered."""
    entries = 300
    with faulty(s3_address, now_and_then(7, 0.12)):
        stores = [ParquetStore(folder(bucket, prefix, retry_s=1.0)) for _ in range(2)]
        merger = ParquetStore(folder(bucket, prefix, retry_s=1.0), clock=lambda: time.time_ns() + (KEPT_S - 10) * 10**9)
        async with asyncio.TaskGroup() as group:
            recorders = [group.create_task(record(store, entries)) for store in stores]

            async def merge() -> None:
                while not all(task.done() for task in recorders):
                    try:
                        await merger.compact()
                    except HistoryError:
                        continue
                    await asyncio.sleep(0.05)

            group.create_task(merge())
        for store in (*stores, merger):
            await store.aclose()

    store = ParquetStore(folder(bucket, prefix))
    assert await ids(store, TRADES) == [str(number) for number in range(1, entries + 1)]
    assert (await store.check()).findings == ()
    await store.aclose()


async def test_a_bucket_that_does_not_exist_is_named(s3_address: str) -> None:
    """With what the service says, in one line."""
    store = ParquetStore(folder("no-such-bucket", "tape"))
    with pytest.raises(HistoryError, match=r"^s3://no-such-bucket/tape/trade/: the bucket cannot be used: NoSuchBucket: [^\n]*$"):
        await store.position("trade")
    await store.aclose()


async def test_a_service_that_is_away_is_named(s3_address: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time for which requests are repeated."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = ParquetStore(folder(bucket, "tape", retry_s=0.2))
    with pytest.raises(HistoryError, match=rf"^s3://{bucket}/tape/trade/: the bucket cannot be used: "):
        await store.position("trade")
    await store.aclose()


def test_an_error_has_no_part_of_a_signature() -> None:
    """Servers repeat in their answers what they were sent."""
    text = (
        "Error performing GET http://s3.example/tape?X-Amz-Signature=5ec2e7 in 3ms - Server returned non-2xx status code: 403 Forbidden: "
        "<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message>"
        "<AWSAccessKeyId>AKIDSECRET</AWSAccessKeyId>"
        "<StringToSign>AWS4-HMAC-SHA256</StringToSign></Error>\n\nDebug source: 5ec2e7"
    )

    assert str(_error("s3://tape/x", Exception(text))) == (
        "s3://tape/x: the bucket cannot be used: SignatureDoesNotMatch: The signature does not match."
    )
    assert "5ec2e7" not in str(_error("s3://tape/x", Exception(text.partition("<Error>")[0])))
