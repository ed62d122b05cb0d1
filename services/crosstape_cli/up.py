"""`crosstape up`: the whole tape on one machine, with live venues."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import structlog

from crosstape.bus import connect
from crosstape.bus.usable import usable
from crosstape.embedded import EmbeddedServer
from crosstape.errors import SettingsError
from crosstape.lifecycle import Exit, main, on_hangup
from crosstape.run_dir import run_dir
from crosstape.settings import Settings, shown
from crosstape.telemetry import configure_logging
from crosstape_cli.options import SettingsFile, load
from crosstape_cli.server import announced, check_embedded, redis_cli
from crosstape_cli.supervise import Children, Service, crosstape, supervise
from crosstape_schemas import Keys

START_S: Final = 120.0
"""Longest start of the embedded server: it reads back what it kept."""

WATCH_S: Final = 1.0
"""How often it is looked whether the embedded server still lives."""

PRODUCER: Final = "up"
"""Publishes nothing; the name under which it looks whether one could."""

log = structlog.get_logger(__name__)


def up(*, settings: SettingsFile = None) -> Exit:
    """Run a connector for each enabled venue of the settings, and the aggregator, each as a process of its own, until Ctrl-C.

    SIGHUP has the connectors read the settings again: instruments come and go, without a break of those that stay.

    What dies is started again, after a growing pause; Ctrl-C or SIGTERM lets all of them publish what is pending. With no bus.url set, an
    embedded Valkey is started, keeps its data in the run directory, and listens on a unix socket that only you can open.
    """
    loaded = load(settings)
    if not enabled(loaded):
        raise SettingsError("venues: none is enabled and has instruments: there is nothing to run")
    if not loaded.bus.url:
        check_embedded(loaded)
    configure_logging(loaded.telemetry, service="up")
    return main(lambda: _up(loaded, settings))


def enabled(settings: Settings) -> list[str]:
    """The venues to run, in the order of the settings."""
    return [name for name, venue in settings.venues.items() if venue.enabled and venue.instruments]


async def _up(settings: Settings, file: Path | None) -> Exit:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        environ = dict(os.environ)
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
            async with connect(settings.bus) as client:  # or each service would say the same, again and again
                await usable(client, Keys(settings.bus.prefix, settings.bus.partitions), settings.bus, producer=PRODUCER)
        _tell(url)
        children = Children()
        with on_hangup(lambda: _reload(settings, file, children)):
            code = await supervise(_services(settings, file, environ), drain_s=settings.run.drain_s, children=children)
        if keeper is not None:
            keeper.cancel()
        return code


def _services(settings: Settings, file: Path | None, environ: dict[str, str]) -> list[Service]:
    option = () if file is None else ("--settings", str(file))
    runs = [(f"connector.{venue}", ("connector", "--venue", venue)) for venue in enabled(settings)] + [("aggregator", ("aggregator",))]
    services = []
    for number, (name, arguments) in enumerate(runs):
        own = dict(environ)
        if settings.telemetry.http_port:
            own["CROSSTAPE_TELEMETRY__HTTP_PORT"] = str(settings.telemetry.http_port + number)
        services.append(Service(name, crosstape(*arguments, *option), own, reloads=name.startswith("connector.")))
    return services


def _reload(settings: Settings, file: Path | None, children: Children) -> None:
    """Have the connectors read their settings again, if these are right. Which of them run is fixed until the next start."""
    try:
        fresh = load(file)
    except SettingsError as exc:
        log.error("settings.refused", error="; ".join(str(exc).splitlines()))
        return
    others = sorted(set(enabled(settings)).symmetric_difference(enabled(fresh)))
    if others:
        log.warning("settings.not_applied", changed=[f"venues.{name}.enabled" for name in others], until="the next start")
    children.hang_up()


async def _keep(server: EmbeddedServer) -> None:
    """Start the embedded server again if it dies; what it had written to its file it still has, and the services wait for it."""
    while True:
        await asyncio.sleep(WATCH_S)
        if not server.running:
            log.error("server.died", log=str(server.log_path))
            await server.stop()
            await server.start(START_S)
            log.info("server.embedded", url=server.url)


def _tell(url: str) -> None:
    """How to look at the tape: for the person at the terminal, not for the log."""
    if sys.stderr.isatty():
        hints = (f"the tape is on {shown(url)}", "  look at it:      crosstape watch", f"  by hand:         {shown(redis_cli(url))}")
        sys.stderr.write("\n".join((*hints, "  stop:            Ctrl-C", "")))
