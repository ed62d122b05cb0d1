"""`crosstape recorder` as a process: records, says whether it works, commits at the end, checks, refuses another tape."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.runtime.lifecycle import Exit
from tests.bus.tape import KEYS, fast, publishing, trade, whole
from tests.cli.running import crosstape, events, started, stopped
from tests.recorder.processes import Watched, kept, ready, variables_of
from tests.waiting import wait_until


@pytest.mark.slow
async def test_it_records_and_commits_at_the_end(client: Redis, valkey: str, tmp_path: Path) -> None:
    """What was read before SIGTERM is in the files, and the check reads them."""
    history = tmp_path / "history"
    variables = variables_of(valkey, history, commit_s="3600") | {"CROSSTAPE_TELEMETRY__HTTP_PORT": "0"}
    async with publishing(fast(valkey)) as publisher, started("recorder", variables=variables) as process:
        (listening,) = await events(process, "telemetry.listening", 1)
        for number in range(1, 1_001):
            publisher.publish(trade(number))
        assert await publisher.drain(10)

        async def read() -> bool:
            found = await ready(listening["url"])
            return bool(found.get("ready") and found["uncommitted_s"] > 0 and not found["lag_s"])

        await wait_until(read, what="it has read all", timeout_s=30)
        assert await Watched(history).number() == 0
        done = await stopped(process, signal.SIGTERM)

    assert (done.code, "Traceback" in done.err) == (Exit.OK, False)
    assert (await kept(history)).seqs == whole(1_000)
    checked = await crosstape("recorder", "check", variables=variables)
    assert checked.code == Exit.OK
    assert checked.out.decode().endswith(": nothing is wrong\n")
    assert "read 1000 rows in " in checked.out.decode()


@pytest.mark.slow
async def test_a_check_finds_damage(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It names the file, and exits with 1."""
    history = tmp_path / "history"
    variables = variables_of(valkey, history)
    async with publishing(fast(valkey)) as publisher, started("recorder", variables=variables) as process:
        publisher.publish(trade(1))
        watched = Watched(history)
        await wait_until(watched.number, what="it commits", timeout_s=30)
        await stopped(process, signal.SIGTERM)
    (file,) = history.glob("trade/**/*.parquet")
    data = bytearray(file.read_bytes())
    data[4:200] = bytes(196)  # the first column
    file.write_bytes(data)

    checked = await crosstape("recorder", "check", variables=variables)
    assert checked.code == Exit.FAILED
    assert file.name in checked.out.decode()


@pytest.mark.slow
async def test_another_tape_is_refused_until_it_is_adopted(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Exit code 7, after which no supervisor starts it again."""
    history = tmp_path / "history"
    variables = variables_of(valkey, history)
    async with publishing(fast(valkey)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
    first = await crosstape("recorder", "adopt", variables=variables)
    await client.hset(KEYS.identity(), "id", "f" * 16)
    refused = await crosstape("recorder", variables=variables)
    adopted = await crosstape("recorder", "adopt", variables=variables)
    again = await crosstape("recorder", "adopt", variables=variables)

    assert (first.code, refused.code, adopted.code, again.code) == (Exit.OK, Exit.WRONG_TAPE, Exit.OK, Exit.OK)
    assert "crosstape recorder adopt" in refused.err
    assert adopted.out.decode().endswith(f"goes on with the tape {'f' * 16} (origin unknown)\n")
    assert again.out.decode().endswith(f"has already the tape {'f' * 16} (origin unknown)\n")


async def test_a_store_that_cannot_be_is_refused(valkey: str, tmp_path: Path) -> None:
    """At the start: it is a wrong setting."""
    done = await crosstape("recorder", variables=variables_of(valkey, tmp_path / "history", store="ftp://nowhere"))

    assert done.code == Exit.USAGE
    assert "recorder.store" in done.err


async def test_it_can_be_stopped_before_there_is_a_tape(client: Redis, valkey: str, tmp_path: Path) -> None:
    """And before the store can be used: a wait is ended at once."""
    variables = variables_of(valkey, tmp_path / "history")
    async with started("recorder", variables=variables) as process:
        await events(process, "recorder.waits_for_tape", 1)
        done = await stopped(process, signal.SIGTERM)

    assert (done.code, "Traceback" in done.err) == (Exit.OK, False)
    assert not (tmp_path / "history").exists()
