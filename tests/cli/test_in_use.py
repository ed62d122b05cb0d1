"""Ports and run directories that another process uses: the error is one line, at once, and names the option or the setting to change."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.errors import CrosstapeError
from crosstape.runtime.embedded_server import free_port
from crosstape.runtime.lifecycle import Exit
from crosstape_cli.demo import _exists
from tests.cli.running import NO_VENUE, TIMEOUT_S, crosstape, events, line, started, stopped
from tests.waiting import wait_until

SOON_S = 20.0
"""Much less than the 30 s that a demo waits for its simulator, and the 120 s that `up` waits for the data of its server."""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield int(held.getsockname()[1])


@pytest.mark.parametrize("has_server", [True, False], ids=["a server of its own", "another server"])
async def test_a_second_up_on_one_run_directory_is_refused_at_once(tmp_path: Path, valkey: str, *, has_server: bool) -> None:
    """The error names the process that has the directory, and its start. The first one continues; afterwards the directory is free."""
    lock = tmp_path / "run" / "run.lock"
    variables = NO_VENUE | {"CROSSTAPE_RUN__DIR": str(tmp_path / "run")} | ({} if has_server else {"CROSSTAPE_BUS__URL": valkey})
    async with started("up", variables=variables) as first:
        await wait_until(lambda: lock.exists() and lock.read_text(), what="the first has its directory")
        before = time.monotonic()
        second = await crosstape("up", variables=variables)
        took_s = time.monotonic() - before

        assert second.code == Exit.STORAGE
        (said,) = [json.loads(text) for text in second.err.splitlines()]
        assert said["error"].startswith(f"another run uses {tmp_path / 'run'} (process {first.pid} on ")
        assert "since 2" in said["error"]
        assert "crosstape up): stop it, or give this one its own directory (run.dir, CROSSTAPE_RUN__DIR)" in said["error"]
        assert took_s < SOON_S
        assert first.returncode is None
        assert (await stopped(first)).code == Exit.OK
    async with started("up", variables=variables) as third:
        await wait_until(lambda: f"process {third.pid} " in lock.read_text(), what="another has the directory")
        assert (await stopped(third)).code == Exit.OK


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("demo", "--control", "{port}"), "--control {port}: cannot listen on 127.0.0.1:{port}: Address already in use"),
        (
            ("demo", "--control", "localhost:{port}"),
            "--control localhost:{port}: cannot listen on localhost:{port}: Address already in use",
        ),
        (("demo", "--port", "{port}"), "--port {port}: cannot listen on 127.0.0.1:{port}: Address already in use"),
        (("demo", "--page", "{port}"), "--page {port}: cannot listen on 127.0.0.1:{port}: Address already in use"),
        (("demo", "--control", "nowhere.invalid:{port}"), "--control nowhere.invalid:{port}: cannot listen on nowhere.invalid:{port}: "),
    ],
)
async def test_a_demo_says_that_a_port_is_taken(taken: int, command: tuple[str, ...], error: str) -> None:
    """The error comes before anything starts."""
    before = time.monotonic()
    done = await crosstape(*(word.format(port=taken) for word in command))

    assert (done.code, done.out) == (Exit.USAGE, b"")
    (said,) = done.err.splitlines()
    assert said.startswith(f"crosstape: {error.format(port=taken)}")
    assert time.monotonic() - before < SOON_S


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--control", "{port}"), "--control 127.0.0.1:{port}: cannot listen there: "),
        (("--port", "kraken={port}"), "--host 127.0.0.1, --port kraken={port}: cannot listen there: "),
        (("--host", "203.0.113.1", "--venue", "kraken"), "--host 203.0.113.1, --port kraken=0: cannot listen there: "),
    ],
)
async def test_a_simulator_says_that_a_port_is_taken(taken: int, options: tuple[str, ...], error: str) -> None:
    """The exit code is that of wrong usage: a restart would not help."""
    done = await crosstape("simulate", *(word.format(port=taken) for word in options), CROSSTAPE_TELEMETRY__LOG_FORMAT="json")

    assert (done.code, done.out) == (Exit.USAGE, b"")
    (said,) = [json.loads(text) for text in done.err.splitlines()]
    assert (said["event"], said["code"]) == ("process.failed", Exit.USAGE)
    assert said["error"].startswith(error.format(port=taken))


async def test_up_says_that_a_port_of_its_services_is_taken(taken: int, tmp_path: Path, valkey: str) -> None:
    """Each has the next one: that of the aggregator is taken here, and nothing is started."""
    variables = {
        "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
        "CROSSTAPE_BUS__URL": valkey,
        "CROSSTAPE_TELEMETRY__HTTP_PORT": str(taken - 1),
    }
    done = await crosstape("up", variables=NO_VENUE | variables)

    assert done.code == Exit.USAGE
    (said,) = [json.loads(text) for text in done.err.splitlines()]
    assert said["error"] == (
        f"telemetry.http_port = {taken - 1}, from which on `up` gives 3 services one each: aggregator:"
        f" cannot listen on 127.0.0.1:{taken}: Address already in use"
    )


async def test_up_says_that_the_port_of_its_page_is_taken(taken: int, tmp_path: Path, valkey: str) -> None:
    """Nothing is started. The error says what to set; with a gateway that is not enabled there is none."""
    variables = NO_VENUE | {
        "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
        "CROSSTAPE_BUS__URL": valkey,
        "CROSSTAPE_GATEWAY__PORT": str(taken),
    }
    done = await crosstape("up", variables=variables)

    assert done.code == Exit.USAGE
    (said,) = [json.loads(text) for text in done.err.splitlines()]
    assert said["error"] == (
        f"gateway.port = {taken}: cannot listen on 127.0.0.1:{taken}: Address already in use;"
        " set another, or 0 for a free one, or gateway.enabled = false"
    )
    async with started("up", variables=variables | {"CROSSTAPE_GATEWAY__ENABLED": "false"}) as process:
        assert {event["name"] for event in await events(process, "service.started", 2)} == {"connector.kraken", "aggregator"}
        assert (await stopped(process)).code == Exit.OK


async def test_the_port_of_the_page_is_not_that_of_a_service(tmp_path: Path, valkey: str) -> None:
    """`up` counts ports for metrics upwards; if the page's is among them, the error names both settings."""
    port = free_port()
    variables = {"CROSSTAPE_RUN__DIR": str(tmp_path), "CROSSTAPE_BUS__URL": valkey}
    done = await crosstape(
        "up",
        variables=NO_VENUE | variables,
        CROSSTAPE_GATEWAY__PORT=str(port),
        CROSSTAPE_TELEMETRY__HTTP_PORT=str(port - 1),
    )

    assert done.code == Exit.USAGE
    assert f"gateway.port = {port}: `up` gives this port to aggregator (telemetry.http_port = {port - 1} and on)" in done.err


async def test_a_simulator_that_was_given_up_ends_the_demo() -> None:
    """Its port was taken after the check: the demo ends at once, and does not wait for the simulator."""

    async def given_up() -> Exit:
        return Exit.USAGE

    simulator = asyncio.create_task(given_up())
    await simulator

    with pytest.raises(CrosstapeError, match="the simulator cannot run"):
        await _exists(Path("/nothing"), simulator)


async def test_a_demo_can_be_read_where_clients_look(tmp_path: Path) -> None:
    """It prints where its server is; a plain client on that port reads the tape."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    async with started("demo", "--port", str(port), "--logs", str(tmp_path)) as process:
        assert await line(process) == f"the tape is on redis://127.0.0.1:{port}"
        assert await line(process) == f"  by hand:      redis-cli -u redis://127.0.0.1:{port} psubscribe 'tape:cbbo:*'"
        assert (await line(process)).startswith(f"  as a table:   CROSSTAPE_BUS__URL=redis://127.0.0.1:{port} ")
        code = (await line(process)).removeprefix("  in Python:    ")
        assert re.fullmatch(r"the page is on http://127\.0\.0\.1:\d+/", await line(process))
        async with Redis(port=port) as client:
            await wait_until(lambda: client.exists("tape:cbbo:BTC-USDT"), what="quotes are on the tape", timeout_s=TIMEOUT_S)
        import redis

        found = await asyncio.to_thread(eval, code, {"redis": redis})
        assert found[0][0] == b"tape:cbbo:BTC-USDT"
        await stopped(process)


async def test_a_demo_without_a_port_says_which_socket(tmp_path: Path) -> None:
    """Only its user can open the socket."""
    async with started("demo", "--logs", str(tmp_path)) as process:
        url = (await line(process)).removeprefix("the tape is on ")
        assert url.startswith("unix:///")
        async with Redis.from_url(url) as client:
            assert await client.ping()
        await stopped(process)
