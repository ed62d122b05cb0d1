"""`Tape` and the gateway read across the border on every kind of store, named by its address as users do."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape import SyncTape, Tape
from crosstape.history.opening import open_store
from crosstape.settings import RecorderSettings, Settings
from tests.bus.tape import BTC, TRADES, fast
from tests.gateway.rest.served import serving
from tests.history.batches import NOON, SECOND, trade
from tests.tape.test_recorded import Recording, ids


@pytest.fixture(params=["folder", "s3", "postgres"])
async def recording(request: pytest.FixtureRequest, client: Redis, tmp_path: Path) -> AsyncIterator[tuple[Recording, str]]:
    """A tape whose history is in one of the stores, and the address of this."""
    name = uuid.uuid4().hex
    match request.param:
        case "folder":
            url = str(tmp_path / "history")
        case "s3":
            url = f"s3://{request.getfixturevalue('bucket')}/joined/{name}"
        case _:
            url = f"{request.getfixturevalue('postgres')}?schema=joined_{name}"
    made = Recording(client, tmp_path / "unused")
    await made.store.aclose()
    async with open_store(Settings(recorder=RecorderSettings(store=url))) as store:
        made.store = store  # type: ignore[assignment]
        yield made, url


async def test_the_past_is_one_whatever_the_store(recording: tuple[Recording, str], valkey: str) -> None:
    """By `Tape`, `SyncTape`, frames and the gateway: what was trimmed, fetched, recorded and what is on the stream alone."""
    made, url = recording
    price = Decimal("0.12345678901234567890123456789012345678901234567890")
    for number in range(40):
        if number == 12:
            await made.record(TRADES, 10)
        await made.write(TRADES, trade(number, price=price if number == 3 else Decimal("1.50")), NOON + number * SECOND)
    await made.record(TRADES, 20)
    await made.fetch(trade(-1, received_ts=NOON + 900 * SECOND), trade(5, received_ts=NOON + 900 * SECOND))
    await made.client.xtrim(TRADES, maxlen=15, approximate=False)
    expected = [str(number) for number in range(-1, 40)]

    async with Tape(fast(valkey, timeout_s=20.0), history=url) as tape:
        found = await tape.history("trade", BTC)
        assert ids(found) == expected
        assert found[4].price == price
        assert not found.missed
        assert ids(await tape.history("trade", BTC, from_ts=NOON + 2 * SECOND, to_ts=NOON + 35 * SECOND, limit=30)) == expected[6:36]
        polars = await tape.frame("trade", BTC, decimals="float")
        pandas = await tape.frame("trade", BTC, library="pandas", limit=20)
    assert polars["trade_id"].to_list() == expected
    assert list(pandas["trade_id"]) == expected[-20:]
    import asyncio

    def block() -> list[str]:
        with SyncTape(fast(valkey, timeout_s=20.0), history=url) as tape:
            return ids(tape.history("trade", BTC, limit=33))

    assert await asyncio.to_thread(block) == expected[-33:]
    async with serving(valkey, store=made.store) as gateway:
        pages: list[str] = []
        before: dict[str, str] = {}
        while True:
            answer = await gateway.get("/api/trades", instrument=BTC, limit=7, **before)
            assert answer.status == 200, answer.body
            pages = [*(row["trade_id"] for row in answer.json["trades"]), *pages]
            if not answer.json["more"]:
                break
            before = {"before": answer.json["before"]}
        assert pages == expected
        after = await gateway.rows("/api/trades", "trades", instrument=BTC, after="1-0")
        assert [row["trade_id"] for row in after] == expected[1:]
