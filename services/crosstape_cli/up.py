"""`crosstape up`: a complete tape on one machine, with live venues."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

import structlog

from crosstape.bus import connect
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.errors import SettingsError, StorageError
from crosstape.runtime.directory_lock import RUN_LOCK, DirectoryLock
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape.runtime.lifecycle import Exit, main, on_hangup
from crosstape.runtime.ports import check_free
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings, shown
from crosstape.settings.environment import ignored_variables
from crosstape_cli.options import IMeanIt, SettingsFile, begin_logging, load
from crosstape_cli.server import announced, check_embedded, command, redis_cli
from crosstape_cli.supervise import Children, Service, crosstape, supervise
from crosstape_schemas import Keys

START_S: Final = 120.0
"""Longest start of the embedded server: it loads its data first."""

WATCH_S: Final = 1.0
"""How often to check whether the embedded server still runs."""

CONNECTOR: Final = "connector."
"""Names of connectors begin with this."""

PRODUCER: Final = "up"
"""Name for the check whether a producer could publish; it publishes nothing."""

log = structlog.get_logger(__name__)


def up(*, settings: SettingsFile = None, i_mean_it: IMeanIt = False) -> Exit:
    """Run a connector for each enabled venue of the settings, and the aggregator, each as its own process, until Ctrl-C.

    SIGHUP makes it read the settings again: venues and instruments are added and removed, and the others continue without a break.

    A process that dies is started again, after a growing pause. At Ctrl-C or SIGTERM all of them publish what is pending. If bus.url is not
    set, an embedded Valkey is started. It keeps its data in the run directory, and listens on a unix socket that only you can open.
    """
    loaded = load(settings)
    if not enabled(loaded):
        raise SettingsError("venues: none is enabled and has instruments: there is nothing to run")
    if not loaded.bus.url:
        check_embedded(loaded)
    begin_logging(loaded, service="up")
    return main(lambda: _up(loaded, settings, i_mean_it=i_mean_it))


def enabled(settings: Settings) -> list[str]:
    """The venues to run, in the order of the settings."""
    return [name for name, venue in settings.venues.items() if venue.enabled and venue.instruments]


async def _up(settings: Settings, file: Path | None, *, i_mean_it: bool) -> Exit:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        ignored = set(ignored_variables())  # a service would only say so again
        environ = {name: value for name, value in os.environ.items() if name not in ignored}
        if i_mean_it:
            environ["CROSSTAPE_CONNECTOR__ANY_ORIGIN"] = "true"
        url = settings.bus.url
        keeper: asyncio.Task[None] | None = None
        directory = run_dir(settings.run)
        if not url:
            server = EmbeddedServer(directory, persist=True)
            await server.start(START_S)
            stack.push_async_callback(server.stop)
            stack.enter_context(announced(directory, server.url))
            keeper = tasks.create_task(_keep(server), name="keep the server")
            url = environ["CROSSTAPE_BUS__URL"] = server.url
            log.info("server.embedded", url=url, data=str(directory))
        else:
            stack.enter_context(_held(directory))
            async with connect(settings.bus) as client:  # or each service would say the same, again and again
                await wait_until_usable(client, Keys(settings.bus.prefix, settings.bus.partitions), settings.bus, producer=PRODUCER)
        wanted = _Wanted(settings, file, environ)
        wanted.check_ports()
        _print_hints(url)
        with on_hangup(wanted.reload):
            code = await supervise(wanted.services(), drain_s=settings.run.drain_s, children=wanted.children)
        if keeper is not None:
            keeper.cancel()
        return code


class _Wanted:
    """The services that the settings ask for, each time they are read."""

    def __init__(self, settings: Settings, file: Path | None, environ: Mapping[str, str]) -> None:
        self.children = Children()
        self._settings = settings
        self._file = file
        self._environ = environ
        self._ports: dict[str, int] = {}

    def check_ports(self) -> None:
        """Raise `SettingsError` if a service could not listen on the port that it is to have. Each would say so itself, later."""
        telemetry = self._settings.telemetry
        count = len(self.services())
        if not telemetry.http_enabled:
            return
        for name, port in self._ports.items():
            where = f"telemetry.http_port = {telemetry.http_port}, from which on `up` gives {count} services one each: {name}"
            check_free(telemetry.http_host, port, where)

    def services(self) -> list[Service]:
        """The services to start with."""
        return [*map(self._connector, enabled(self._settings)), self._service("aggregator", ("aggregator",))]

    def reload(self) -> None:
        """Have connectors read the settings again, if these are right; start those of new venues, stop those of venues that are gone."""
        try:
            fresh = load(self._file)
            if not (venues := enabled(fresh)):
                raise SettingsError("venues: none is enabled and has instruments: there would be nothing to run")
        except SettingsError as exc:
            log.error("settings.refused", error="; ".join(str(exc).splitlines()))
            return
        self.children.hang_up()
        connectors = {service.name: service for service in map(self._connector, venues)}
        for name in self.children.names:
            if name.startswith(CONNECTOR) and name not in connectors:
                self.children.remove(name)
        for name in connectors.keys() - self.children.names:
            self.children.add(connectors[name])

    def _connector(self, venue: str) -> Service:
        return self._service(f"{CONNECTOR}{venue}", ("connector", "--venue", venue), reloads=True)

    def _service(self, name: str, arguments: tuple[str, ...], *, reloads: bool = False) -> Service:
        option = () if self._file is None else ("--settings", str(self._file))
        own = dict(self._environ)
        first = self._settings.telemetry.http_port
        if first:  # one that comes later has the next port, one that comes back its own
            own["CROSSTAPE_TELEMETRY__HTTP_PORT"] = str(self._ports.setdefault(name, first + len(self._ports)))
        return Service(name, crosstape(*arguments, *option), own, reloads=reloads)


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """The run directory, for this run alone: the services of two would take their venues from one another. Raises `StorageError`."""
    lock = DirectoryLock(directory / RUN_LOCK)
    try:
        lock.acquire()
    except OSError as exc:
        raise StorageError(f"run.dir = {directory}: cannot be locked: {exc.strerror}: {exc.filename or RUN_LOCK}") from exc
    try:
        yield
    finally:
        lock.release()


async def _keep(server: EmbeddedServer) -> None:
    """Start the embedded server again if it dies; what it had written to its file it still has, and the services wait for it."""
    while True:
        await asyncio.sleep(WATCH_S)
        if not server.running:
            log.error("server.died", log=str(server.log_path))
            await server.stop()
            await server.start(START_S)
            log.info("server.embedded", url=server.url)


def _print_hints(url: str) -> None:
    """Print how to look at the tape: for the person at the terminal, not for the log."""
    if sys.stderr.isatty():
        hints = (f"the tape is on {shown(url)}", f"  look at it:      {command()} watch", f"  by hand:         {shown(redis_cli(url))}")
        sys.stderr.write("\n".join((*hints, "  stop:            Ctrl-C", "")))
