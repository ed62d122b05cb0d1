"""A disk that fills up, and has room again: all is recorded then, once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.runtime.lifecycle import Exit
from tests.bus.tape import fast, publishing, trade, whole
from tests.cli.running import events, started, stopped
from tests.disks import fill, small_disk
from tests.recorder.processes import Watched, kept, ready, variables_of
from tests.waiting import wait_until

SIZE = 4 * 1024 * 1024


@pytest.mark.slow
async def test_a_full_disk_is_waited_out(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It says so, is not ready, and goes on by itself; what was committed before is not touched."""
    with small_disk(tmp_path / "disk", SIZE) as disk:
        history = disk / "history"
        variables = variables_of(valkey, history) | {
            "CROSSTAPE_TELEMETRY__HTTP_PORT": "0",
            "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
        }
        watched = Watched(history)
        async with publishing(fast(valkey)) as publisher, started("recorder", variables=variables) as process:
            (listening,) = await events(process, "telemetry.listening", 1)
            publisher.publish(trade(1))
            await wait_until(watched.number, what="it commits", timeout_s=30)
            filling = fill(disk)
            for number in range(2, 1_001):
                publisher.publish(trade(number))
            (away,) = await events(process, "recorder.store_unavailable", 1)
            found = await ready(listening["url"])
            before = await kept(history)
            filling.unlink()
            await events(process, "recorder.store_available", 1)

            async def complete() -> bool:
                return await watched.newest() == 1_000

            await wait_until(complete, what="all is recorded", timeout_s=30)
            done = await stopped(process, signal.SIGTERM)

        assert "No space left" in away["reason"]
        assert (found["ready"], found["store"], found["bus"]) == (False, False, True)
        assert before.seqs == [1]
        assert (done.code, "Traceback" in done.err) == (Exit.OK, False)
        assert (await kept(history)).seqs == whole(1_000)
