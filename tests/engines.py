"""The server that tests run against, by `--engine`: embedded, or a Redis or Valkey in a container.

A container gets its whole command, so that the image's own entrypoint does not matter; each start mends the data first, as those of
`compose.yaml` do. Its port is chosen before it is made, so that it is the same one when the server is killed and started again; it is
published on loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from crosstape.runtime.embedded_server import MENDER, EmbeddedServer, free_port

START_S: Final = 60.0
POLL_S: Final = 0.02
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Image(NamedTuple):
    """Where an engine comes from, and its program."""

    name: str
    program: str


IMAGES: Final = {"redis": Image("redis:8", "redis-server"), "valkey": Image("valkey/valkey:8", "valkey-server")}
ENGINES: Final = ("embedded", *IMAGES)
AOF: Final = "appendonlydir/appendonly.aof.1.incr.aof"
"""Where one that has not yet rewritten its data appends to."""
_MENDER: Final = "/mend-aof.sh"
"""Where it is in a container."""


class Server(Protocol):
    """One that runs, and can fail as servers do."""

    @property
    def url(self) -> str:
        """For `BusSettings.url`."""

    async def start(self) -> None:
        """After it was killed: return when it answers. It has what it had persisted."""

    async def kill(self) -> None:
        """End it at once, by SIGKILL."""

    async def stop(self) -> None:
        """End it for good, and leave nothing behind."""

    async def append(self, data: bytes) -> None:
        """Add this to its append-only file, as it would itself: until it starts again, it does not know."""


class StartServer(Protocol):
    """What the fixture `start_server` is."""

    async def __call__(self, *, persist: bool = False, options: Mapping[str, str] = NOTHING) -> Server:
        """A server of the test's own, that answers; it ends with the test. `persist` and `options` are those of `EmbeddedServer`."""


class Embedded:
    """Valkey, as it comes with us."""

    def __init__(self, run_dir: Path, *, persist: bool = False, options: Mapping[str, str] = NOTHING, port: int | None = None) -> None:
        self._server = EmbeddedServer(run_dir, persist=persist, options=options, port=port)
        self.port = self._server.port

    @property
    def url(self) -> str:
        """`unix://…`"""
        return self._server.url

    async def start(self) -> None:
        """See `Server`."""
        await self._server.start(START_S)

    async def kill(self) -> None:
        """See `Server`."""
        self._server.kill()
        await self._server.stop()

    async def stop(self) -> None:
        """See `Server`."""
        await self._server.stop()

    async def append(self, data: bytes) -> None:
        """See `Server`."""
        with (self._server.run_dir / AOF).open("ab") as file:
            file.write(data)


class Container:
    """One of `IMAGES`. `files` are put into it by their paths; with `tls`, it answers on a TLS port only, to a client of this context.

    With `host` it shares this machine's network, as the nodes of a cluster must: they tell clients and one another where they are.
    """

    def __init__(
        self,
        engine: str,
        *,
        persist: bool = False,
        options: Mapping[str, str] = NOTHING,
        files: Mapping[str, bytes] = MappingProxyType({}),
        tls: ssl.SSLContext | None = None,
        host: bool = False,
    ) -> None:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        testcontainers_config.ryuk_disabled = True  # one image less to have; `stop` cleans up
        image = IMAGES[engine]
        self.port = free_port()
        self._tls = tls
        config = {
            "bind": "127.0.0.1" if host else "0.0.0.0",
            "protected-mode": "no",
            "save": "''",
            "appendonly": "yes" if persist else "no",
            **({"port": "0", "tls-port": str(self.port)} if tls else {"port": str(self.port)}),
            **options,
        }
        words = [word for name, value in config.items() for word in (f"--{name}", *shlex.split(value))]
        mended = ["/bin/sh", "-c", f'/bin/sh {_MENDER} . && exec "$@"', "mended", image.program, *words]
        self._container = DockerContainer(image.name).with_command(mended)
        if host:
            self._container.with_kwargs(network_mode="host")
        else:  # with_bind_ports would publish it on all addresses
            self._container.ports[str(self.port)] = ("127.0.0.1", self.port)  # type: ignore[assignment]
        for path, content in {_MENDER: MENDER.read_bytes(), **files}.items():
            self._container.with_copy_into_container(content, path)
        self._made = False

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:…`, or `rediss://localhost:…`."""
        return f"rediss://localhost:{self.port}" if self._tls else f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """See `Server`."""
        await asyncio.to_thread(self._container.get_wrapped_container().start if self._made else self._container.start)
        self._made = True
        deadline = time.monotonic() + START_S
        while not await asyncio.to_thread(self._answers):
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer within {START_S} s: {self._container.get_wrapped_container().logs().decode()}")
            await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """See `Server`."""
        await asyncio.to_thread(self._container.get_wrapped_container().kill)
        await asyncio.to_thread(self._container.get_wrapped_container().wait)

    async def stop(self) -> None:
        """See `Server`: the container and its volume are removed."""
        await asyncio.to_thread(self._container.stop)

    async def append(self, data: bytes) -> None:
        """See `Server`."""
        await asyncio.to_thread(self.run, ["sh", "-c", f"printf %s {b64encode(data).decode()} | base64 -d >> {AOF}"])

    def run(self, command: list[str]) -> str:
        """What a command inside says; fails if it does."""
        done = self._container.exec(command)
        assert done.exit_code == 0, done.output.decode()
        return done.output.decode()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            probe = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=1))
            if self._tls:
                probe = stack.enter_context(self._tls.wrap_socket(probe, server_hostname="localhost"))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


def server(engine: str, run_dir: Callable[[], Path], *, persist: bool = False, options: Mapping[str, str] = NOTHING) -> Server:
    """One of this engine, not started. `run_dir` makes the directory of one that needs it."""
    if engine in IMAGES:
        return Container(engine, persist=persist, options=options)
    return Embedded(run_dir(), persist=persist, options=options)


@contextlib.asynccontextmanager
async def running(one: Server) -> AsyncIterator[Server]:
    """Started, and ended with the block."""
    try:
        await one.start()
        yield one
    finally:
        await one.stop()


def trouble(engine: str) -> str:
    """Why this engine cannot be had here; empty if it can. An image that is not here is pulled."""
    if engine not in IMAGES:
        return ""
    from docker.errors import DockerException, ImageNotFound  # type: ignore[import-not-found]  # mypy sees our folder of that name
    from testcontainers.core.docker_client import DockerClient

    image = IMAGES[engine].name
    try:
        with contextlib.closing(DockerClient().client) as docker:
            try:
                docker.images.get(image)
            except ImageNotFound:
                docker.images.pull(image)
    except DockerException as exc:
        return f"--engine {engine} needs Docker, with {image}: {exc}"
    return ""
