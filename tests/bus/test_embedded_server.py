"""The embedded server: private, alone in its directory, gone with its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.errors import BusError, DirectoryInUse, StorageError
from crosstape.runtime.embedded_server import SOCKET_PATH_BYTES, EmbeddedServer, embedded
from tests.waiting import wait_until


async def test_it_answers_on_a_socket_that_only_its_user_can_open(tmp_path: Path) -> None:
    """It has no network port; the modes of socket and directory keep others out."""
    async with embedded(tmp_path / "run") as url, Redis.from_url(url) as client:
        assert await client.ping()
        assert (await client.config_get("port"))["port"] == "0"
        path = Path(url.removeprefix("unix://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_a_loopback_port_is_opened_only_when_asked_for(tmp_path: Path) -> None:
    """`demo` can show a port for redis-cli; by default there is none, and asking for its url is an error."""
    server = EmbeddedServer(tmp_path / "tcp", port=0)
    await server.start()
    async with Redis.from_url(server.tcp_url) as client:
        assert await client.ping()
    await server.stop()
    with pytest.raises(BusError):
        _ = EmbeddedServer(tmp_path / "none").tcp_url


async def test_a_second_run_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    """Two servers on one socket path would replace each other. The error comes at once, and names the directory and its holder."""
    async with embedded(tmp_path) as url:
        with pytest.raises(DirectoryInUse, match=rf"another run uses {tmp_path} \(process {os.getpid()} on .*, since 2.* UTC, "):
            await EmbeddedServer(tmp_path).start(timeout_s=3600)
        async with Redis.from_url(url) as client:
            assert await client.ping()


async def test_a_stale_socket_is_no_obstacle(tmp_path: Path) -> None:
    """A killed server left the socket; it is replaced."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "valkey.sock"))
    async with embedded(tmp_path) as url, Redis.from_url(url) as client:
        assert await client.ping()


async def test_a_long_directory_gets_a_short_socket(tmp_path: Path) -> None:
    """A unix socket's path is bounded by the kernel; the run directory is not."""
    long = tmp_path / ("d" * 90) / ("e" * 90)
    async with embedded(long) as url, Redis.from_url(url) as client:
        assert await client.ping()
        path = Path(url.removeprefix("unix://"))
        assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES
        assert (long / "valkey.log").exists()
    assert not path.parent.exists()


async def test_a_long_directory_without_any_other_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have only one directory that can be written: the error says what to set."""
    monkeypatch.setattr("crosstape.runtime.embedded_server.SHORT_DIRS", (str(tmp_path / "nothing"),))
    long = tmp_path / ("d" * 90) / ("e" * 90)

    with pytest.raises(StorageError, match=r"run.dir = .*: a socket in it would have a path of \d+ bytes, .*CROSSTAPE_RUN__DIR"):
        await EmbeddedServer(long).start()


async def test_it_can_be_killed_and_started_again(tmp_path: Path) -> None:
    """Without `persist` a new start is empty; with it, what was synced is there."""
    for persist, left in ((False, None), (True, b"1")):
        server = EmbeddedServer(tmp_path / str(persist), persist=persist, options={"appendfsync": "always"})
        await server.start()
        async with Redis.from_url(server.url) as client:
            await client.set("a", "1")
        server.kill()
        assert not server.running
        await server.stop()
        await server.start()
        async with Redis.from_url(server.url) as client:
            assert await client.get("a") == left
        await server.stop()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries the end of the server's own log."""
    with pytest.raises(BusError, match="no-such-option"):
        await EmbeddedServer(tmp_path, options={"no-such-option": "1"}).start()


async def test_the_server_dies_with_its_owner(tmp_path: Path) -> None:
    """Even when the owner is killed and can clean up nothing; a new run then has the directory at once."""
    code = (
        "import asyncio, sys\n"
        "from crosstape.runtime.embedded_server import embedded\n"
        "async def main():\n"
        "    async with embedded(sys.argv[1]):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert await asyncio.to_thread(owner.stdout.readline) == b"up\n"
        owner.send_signal(signal.SIGKILL)
        await asyncio.to_thread(owner.wait)
    await wait_until(lambda: not (tmp_path / "valkey.sock").exists(), what="the server has gone")
    async with embedded(tmp_path):
        pass


async def test_the_server_of_a_killed_run_is_waited_for(tmp_path: Path) -> None:
    """That server holds the data until it has ended; the wait is logged once."""
    first = EmbeddedServer(tmp_path)
    await first.start()
    fd, first._lock = first._lock, None
    assert fd is not None
    first._run_lock.release()  # as if its run had been killed
    second = EmbeddedServer(tmp_path)
    with capture_logs() as logs:
        starting = asyncio.create_task(second.start())
        await wait_until(lambda: logs, what="it says that it waits")
        await first.stop()
        os.close(fd)
        await starting
        await second.stop()

    assert [(entry["event"], entry["directory"]) for entry in logs] == [("server.waiting", str(tmp_path))]
