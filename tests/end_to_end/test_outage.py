"""A server that is away for longer than a connector's memory lasts, and a connector that is killed meanwhile."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape_schemas import Gap, GapCause, Trade, decode
from tests.end_to_end.running import KEYS, tape
from tests.end_to_end.test_kill import NAMES, SYMBOLS, TRADES, at_trade, ids, services
from tests.proxy import proxy
from tests.spools import spooled_bytes
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("busy")]  # one at a time: they load all processors

SPOOL = Path("spool", "connector.binance")
ALL = TRADES // SYMBOLS


def spooled(path: Path) -> int:
    """Bytes in the connector's spool."""
    return spooled_bytes(path / SPOOL)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTAPE_BUS__PENDING", "2000")
    monkeypatch.setenv("CROSSTAPE_BUS__BACKOFF_S", "0.2")


async def test_a_long_outage_loses_no_trade(valkey: str, client: Redis, tmp_path: Path) -> None:
    """Each trade is on the tape once, in order, without a missing number. Quotes were conflated; no file is left."""
    async with proxy(valkey) as network, services(tmp_path, network.url) as market:
        await market.connector()
        await wait_until(lambda: at_trade(client, 500), what="some trades", timeout_s=60)
        network.refusing = True
        network.cut()
        await wait_until(lambda: spooled(tmp_path) > 5_000_000, what="megabytes are spooled", timeout_s=60)
        network.refusing = False
        await wait_until(lambda: at_trade(client, ALL), what="the last trade", timeout_s=120)
        await wait_until(lambda: not spooled(tmp_path), what="the spool is empty")
    for name in NAMES:
        events = await tape(client, "trade", name)
        assert [int(event.trade_id) for event in events if isinstance(event, Trade)] == list(range(1, ALL + 1))
        assert [event.seq for event in events] == list(range(1, ALL + 1))
        assert not [event for event in await tape(client, "gap", name) if isinstance(event, Gap) and event.kind == "trade"]


async def test_a_connector_killed_in_an_outage_leaves_what_it_spooled(valkey: str, client: Redis, tmp_path: Path) -> None:
    """Its successor first publishes the spool, then continues after it. One gap reports the time without a connector, with the count."""
    async with proxy(valkey) as network, services(tmp_path, network.url) as market:
        first = await market.connector()
        await wait_until(lambda: at_trade(client, 500), what="some trades", timeout_s=60)
        before = max([max(await ids(client, name)) for name in NAMES])
        network.refusing = True
        network.cut()
        await wait_until(lambda: spooled(tmp_path) > 3_000_000, what="megabytes are spooled", timeout_s=60)
        first.kill()
        await first.wait()
        left = spooled(tmp_path)
        await market.connector()
        network.refusing = False
        await wait_until(lambda: at_trade(client, ALL), what="the last trade", timeout_s=120)
        await wait_until(lambda: not spooled(tmp_path), what="the spool is empty")
    assert left > 3_000_000
    for name in NAMES:
        found = await ids(client, name)
        assert found == sorted(set(found))
        holes = [(this, after) for this, after in itertools.pairwise(found) if after != this + 1]
        gaps = [event for event in await tape(client, "gap", name) if isinstance(event, Gap) and event.kind == "trade"]
        assert [gap.missed for gap in gaps] == [after - this - 1 for this, after in holes]
        assert len(holes) == 1
        assert holes[0][0] > before + 200, "what was spooled is there"
    said: Any = await client.xrange(KEYS.venue("binance"))
    assert said
    assert not [entry for _, fields in said if isinstance(entry := decode(fields[b"d"]), Gap) and entry.cause is GapCause.BUS]
