"""The history in PostgreSQL works on the oldest version that we name, and on the newest, as images of them have it."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from crosstape.bus import Bookmark
from crosstape.history.batch import Source
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from tests.history.batches import DAY, NOON, batch, candle, ids, trade
from tests.postgres import PostgresContainer, running

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
def image(request: pytest.FixtureRequest) -> str:
    """The name of an image that is here, or can be fetched."""
    name = str(request.param)
    for command in (["image", "inspect", name], ["pull", "--quiet", name]):
        done = subprocess.run(["docker", *command], check=False, capture_output=True, text=True, timeout=200)
        if done.returncode == 0:
            return name
    pytest.skip(f"the image {name} is not on this machine, and cannot be fetched: {done.stderr.strip()}")


@pytest.mark.parametrize("image", ["postgres:14", "postgres:18"], indirect=True)
async def test_a_history_on_an_image(image: str) -> None:
    """It is written, read, asked, verified, and its old days are deleted."""
    with running(PostgresContainer(image)) as server:
        async with contextlib.aclosing(PostgresStore(server.url)) as store:
            rows = batch([trade(1), trade(2), trade(3, ts=NOON + DAY)])
            marks = {"tape:trade:BTC-USDT": Bookmark("1002-0", (("kraken", 7, 3),))}
            assert await store.append(rows, marks, after=0) == 1
            assert await store.append(rows, marks, after=0) is None
            assert await store.append(batch([trade(2), trade(4)], source=Source.REST), {}, after=1) == 2
            assert (
                await store.append(batch([candle(1), candle(1, revision=1)]), {"tape:candle:1m:BTC-USDT": Bookmark("1001-0")}, after=0) == 1
            )

            assert await ids(store, Query(kind="trade")) == ["1", "2", "4", "3"]
            assert [table.num_rows async for table in store.read(Query(kind="candle"))] == [1]
            assert [one["trades"] for one in (await store.candles(Query(kind="trade", instrument="BTC-USDT"), "1d")).to_pylist()] == [3, 1]
            assert await store.last(Query(kind="trade")) == rows.data[2]
            assert (await store.check()).findings == ()
            assert await store.expire(before_ts=NOON + DAY) == 6
