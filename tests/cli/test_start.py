"""A service that cannot work ends at the start: a code, one clear line, no traceback, no secret. Real processes, real disks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import NamedTuple

import pytest

from crosstape.runtime.lifecycle import Exit
from crosstape.runtime.run_dir import REMEDY
from tests.cli.running import TIMEOUT_S, Done, crosstape, environ, started, stopped
from tests.disks import forbidden, full_disk, read_only_disk, unprivileged

SECRET = "hunter2"
NOBODY = f"redis://tape:{SECRET}@127.0.0.1:1"
SERVICES = {"connector": ("connector", "--venue", "kraken"), "aggregator": ("aggregator",), "up": ("up",), "gateway": ("gateway",)}

each_service = pytest.mark.parametrize("service", ["connector", pytest.param("aggregator", marks=pytest.mark.slow), "up"])
"""Those that write: they need a run directory, and a server at the start."""
any_service = pytest.mark.parametrize("service", ["connector", pytest.param("aggregator", marks=pytest.mark.slow), "up", "gateway"])


class Failure(NamedTuple):
    """How a service said that it failed."""

    code: int
    error: str


def failure(done: Done) -> Failure:
    """The one line of an error, which is the last, as logged once the service runs, or plain before; and the code."""
    assert SECRET not in done.err + done.out.decode()
    assert "Traceback" not in done.err
    *others, last = done.err.splitlines()
    if last.startswith("crosstape: "):
        assert others == []
        return Failure(done.code, last.removeprefix("crosstape: "))
    logged = [json.loads(line) for line in (*others, last)]
    assert [line["event"] for line in logged if line["level"] == "error"] == ["process.failed"]
    assert (logged[-1]["event"], logged[-1]["code"]) == ("process.failed", done.code)
    return Failure(done.code, logged[-1]["error"])


async def logged(process: Process, event: str) -> None:
    """Wait until it says so."""
    assert process.stderr is not None
    seen = []
    async with asyncio.timeout(TIMEOUT_S):
        while line := (await process.stderr.readline()).decode():
            seen.append(line)
            if line.startswith("{") and json.loads(line)["event"] == event:
                return
    raise AssertionError(f"it ended before it said {event}: {seen}")


@any_service
async def test_a_wrong_address_is_a_wrong_setting(service: str, tmp_path: Path) -> None:
    """It is not an outage: the service does not wait."""
    done = await crosstape(
        *SERVICES[service], CROSSTAPE_BUS__URL=f"redis://tape:{SECRET}@db:99999", CROSSTAPE_RUN__DIR=str(tmp_path / "run")
    )

    assert failure(done) == (Exit.USAGE, "bus.url is not right: redis://db:99999: a port is a number from 1 to 65535")


@any_service
async def test_a_wrong_setting(service: str) -> None:
    """It is reported before anything else is checked."""
    done = await crosstape(*SERVICES[service], CROSSTAPE_BUS__STRAT_S="1", CROSSTAPE_BUS__URL=NOBODY)

    code, error = failure(done)
    assert code == Exit.USAGE
    assert error == "bus.strat_s (CROSSTAPE_BUS__STRAT_S): no such setting; did you mean bus.start_s?"


KUBERNETES = {
    "CROSSTAPE_AGGREGATOR_SERVICE_HOST": "10.96.7.12",
    "CROSSTAPE_AGGREGATOR_SERVICE_PORT": "9100",
    "CROSSTAPE_AGGREGATOR_SERVICE_PORT_METRICS": "9100",
    "CROSSTAPE_AGGREGATOR_PORT": "tcp://10.96.7.12:9100",
    "CROSSTAPE_AGGREGATOR_PORT_9100_TCP": "tcp://10.96.7.12:9100",
    "CROSSTAPE_AGGREGATOR_PORT_9100_TCP_PROTO": "tcp",
    "CROSSTAPE_AGGREGATOR_PORT_9100_TCP_PORT": "9100",
    "CROSSTAPE_AGGREGATOR_PORT_9100_TCP_ADDR": "10.96.7.12",
    "CROSSTAPE_CONNECTOR_BINANCE_PORT": "tcp://10.96.7.13:9100",
}
"""Variables that a pod sees for services with these names."""


@each_service
async def test_the_variables_of_kubernetes_services_do_not_stop_it(service: str, tmp_path: Path) -> None:
    """The log names them in one line. In this test the start ends later, because there is no server."""
    variables = {"CROSSTAPE_BUS__URL": NOBODY, "CROSSTAPE_BUS__START_S": "0.5", "CROSSTAPE_RUN__DIR": str(tmp_path / "run")}
    done = await crosstape(*SERVICES[service], variables=KUBERNETES | variables)

    assert failure(done).code == Exit.UNREACHABLE
    logged = [json.loads(line) for line in done.err.splitlines()]
    assert [line["names"] for line in logged if line["event"] == "settings.service_variables_ignored"] == [sorted(KUBERNETES)]


@any_service
async def test_a_mistake_beside_them_still_stops_it(service: str) -> None:
    """The error names the nearest setting, and says nothing about the variables of the platform."""
    done = await crosstape(*SERVICES[service], variables=KUBERNETES, CROSSTAPE_BUS__ULR="redis://x")

    assert failure(done) == (Exit.USAGE, "bus.ulr (CROSSTAPE_BUS__ULR): no such setting; did you mean bus.url?")


@any_service
async def test_a_password_for_the_embedded_server_is_a_mistake(service: str, tmp_path: Path) -> None:
    """The embedded server has no password: a person who sets one means another server, whose address is missing."""
    (tmp_path / "secret").write_text(SECRET)
    done = await crosstape(
        *SERVICES[service], CROSSTAPE_RUN__DIR=str(tmp_path / "run"), CROSSTAPE_BUS__PASSWORD_FILE=str(tmp_path / "secret")
    )

    code, error = failure(done)
    assert code == Exit.USAGE
    assert error.startswith("bus.password is set, but bus.url is not")


@each_service
async def test_no_server(service: str, tmp_path: Path) -> None:
    """The service waits as long as the settings say; the error names the server, the wait and the reason."""
    done = await crosstape(
        *SERVICES[service], CROSSTAPE_BUS__URL=NOBODY, CROSSTAPE_BUS__START_S="0.5", CROSSTAPE_RUN__DIR=str(tmp_path / "run")
    )

    code, error = failure(done)
    assert code == Exit.UNREACHABLE
    assert error.startswith("the bus redis://***@127.0.0.1:1 could not be used for 0.5 s (bus.start_s): connection refused: ")


@each_service
async def test_a_server_that_refuses_us(service: str, valkey: str, tmp_path: Path) -> None:
    """The service ends at once: the default wait is longer than this test's."""
    done = await crosstape(
        *SERVICES[service],
        CROSSTAPE_BUS__URL=valkey,
        CROSSTAPE_BUS__USERNAME="nobody",
        CROSSTAPE_BUS__PASSWORD=SECRET,
        CROSSTAPE_BUS__START_S="3600",
        CROSSTAPE_RUN__DIR=str(tmp_path / "run"),
    )

    code, error = failure(done)
    assert code == Exit.UNREACHABLE
    assert error.startswith(f"the bus {valkey} cannot be used: it refuses bus.username and bus.password: ")


@each_service
async def test_a_full_disk(service: str, valkey: str, tmp_path: Path) -> None:
    """Found out by writing, before anything else is done."""
    with full_disk(tmp_path / "run") as path:
        done = await crosstape(*SERVICES[service], CROSSTAPE_BUS__URL=valkey, CROSSTAPE_RUN__DIR=str(path))

    assert failure(done) == (Exit.STORAGE, f"run.dir = {path}: cannot be written: No space left on device")


async def test_up_needs_room_for_the_server_of_its_own(tmp_path: Path) -> None:
    """The embedded server is not even started."""
    with full_disk(tmp_path / "run") as path:
        done = await crosstape("up", CROSSTAPE_RUN__DIR=str(path))

    assert failure(done) == (Exit.STORAGE, f"run.dir = {path}: cannot be written: No space left on device")


async def test_a_read_only_disk(valkey: str, tmp_path: Path) -> None:
    """The disk of a container is often read-only."""
    with read_only_disk(tmp_path / "disk") as path:
        done = await crosstape(*SERVICES["connector"], CROSSTAPE_BUS__URL=valkey, CROSSTAPE_RUN__DIR=str(path / "run"))

    assert failure(done) == (Exit.STORAGE, f"run.dir = {path / 'run'}: cannot be made: Read-only file system; {REMEDY}")


@each_service
async def test_no_permission(service: str, valkey: str, tmp_path: Path) -> None:
    """Tried, not concluded from the directory's mode."""
    with forbidden(tmp_path / "run") as path:
        done = await crosstape(*SERVICES[service], prefix=unprivileged(), CROSSTAPE_BUS__URL=valkey, CROSSTAPE_RUN__DIR=str(path))

    assert failure(done) == (Exit.STORAGE, f"run.dir = {path}: cannot be written: Permission denied; {REMEDY}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
async def test_a_directory_of_another_user(valkey: str, tmp_path: Path) -> None:
    """Another image filled the volume: the error says who owns it and who we are."""
    os.chown(tmp_path, 65534, 65534)
    done = await crosstape(*SERVICES["connector"], CROSSTAPE_BUS__URL=valkey, CROSSTAPE_RUN__DIR=str(tmp_path))

    assert failure(done) == (Exit.STORAGE, f"run.dir = {tmp_path}: belongs to another user (65534; we are 0, group 0); {REMEDY}")


async def test_a_capture_that_cannot_be_written(valkey: str, tmp_path: Path) -> None:
    """Recording was asked for: a connector that ran without it would not do what was meant."""
    with full_disk(tmp_path / "captures") as path:
        done = await crosstape(
            *SERVICES["connector"],
            CROSSTAPE_BUS__URL=valkey,
            CROSSTAPE_RUN__DIR=str(tmp_path / "run"),
            CROSSTAPE_CONNECTOR__CAPTURE_DIR=str(path),
        )

    assert failure(done) == (Exit.STORAGE, f"connector.capture_dir = {path}: cannot be written: No space left on device")


@pytest.mark.parametrize("service", ["connector", "aggregator", "gateway"])
async def test_a_port_that_is_taken(service: str, valkey: str, tmp_path: Path) -> None:
    """Nobody would see how the service is: it does not run so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = await crosstape(
            *SERVICES[service],
            CROSSTAPE_BUS__URL=valkey,
            CROSSTAPE_RUN__DIR=str(tmp_path / "run"),
            CROSSTAPE_TELEMETRY__HTTP_HOST="0.0.0.0",
            CROSSTAPE_TELEMETRY__HTTP_PORT=str(port),
        )

    code, error = failure(done)
    assert code == Exit.USAGE
    assert error.startswith(f"telemetry.http_host = 0.0.0.0, telemetry.http_port = {port}: cannot listen there: ")


@each_service
async def test_it_stops_when_told_to_while_it_waits_for_the_server(service: str, tmp_path: Path) -> None:
    """There is nothing to drain yet: it takes no time."""
    variables = {"CROSSTAPE_BUS__URL": NOBODY, "CROSSTAPE_BUS__START_S": "3600", "CROSSTAPE_RUN__DIR": str(tmp_path / "run")}
    async with started(*SERVICES[service], variables=variables | {"CROSSTAPE_RUN__DRAIN_S": "3600"}) as process:
        await logged(process, "bus.unavailable")
        done = await stopped(process, signal.SIGTERM)

    assert done.code == Exit.OK
    assert "Traceback" not in done.err


async def test_it_stops_when_told_to_while_it_waits_for_a_venue(valkey: str, tmp_path: Path) -> None:
    """Its last status, `down` for the venue, is on the tape."""
    variables = {
        "CROSSTAPE_BUS__URL": valkey,
        "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
        "CROSSTAPE_VENUES__KRAKEN__REST_URL": "http://127.0.0.1:1",
        "CROSSTAPE_VENUES__KRAKEN__WS_URL": "ws://127.0.0.1:1",
    }
    async with started(*SERVICES["connector"], variables=variables) as process:
        await logged(process, "instruments.failed")
        done = await stopped(process, signal.SIGTERM)

    assert done.code == Exit.OK
    assert json.loads(done.err.splitlines()[-1])["event"] == "connector.drained"


LOADS_FOR_EVER = """
import sys, time

slow = sys.argv.pop(1)

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == slow:
            print("loading", flush=True)
            time.sleep(3600)

sys.meta_path.insert(0, Slow())
from crosstape_cli.main import main
raise SystemExit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["cyclopts", "crosstape.bus"])
async def test_it_stops_when_told_to_while_it_is_loaded(module: str, number: signal.Signals) -> None:
    """A container that is stopped at once is not waited for until it is killed, and did not crash."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOADS_FOR_EVER, module, *SERVICES["aggregator"], stdout=PIPE, stderr=PIPE, env=environ()
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S) == b"loading\n"
    process.send_signal(number)

    _, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert (process.returncode, err) == (Exit.OK, b"")
