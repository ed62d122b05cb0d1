"""`crosstape up`: runs everything on one machine: live venues, the aggregator, the gateway, and a server if no other is set."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
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
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings, shown
from crosstape.settings.environment import ignored_variables
from crosstape_cli.keep_server import START_S, keep_running
from crosstape_cli.options import IMeanIt, SettingsFile, begin_logging, load
from crosstape_cli.server import announced, check_embedded, command, redis_cli
from crosstape_cli.supervise import supervise
from crosstape_cli.up_services import ConfiguredServices, check_gateway, check_recorder, enabled
from crosstape_schemas import Keys

PRODUCER: Final = "up"
"""Producer name for the check at the start whether the server lets us publish. `up` itself publishes nothing."""

log = structlog.get_logger(__name__)


def up(*, settings: SettingsFile = None, i_mean_it: IMeanIt = False) -> Exit:
    """Run a connector for each enabled venue of the settings, the aggregator and the gateway, each as its own process, until Ctrl-C.

    At SIGHUP the settings are read again: venues and instruments are added and removed; all others continue without a break. The gateway is
    started again if its section has changed. gateway.enabled = false leaves it out. recorder.enabled = true adds a recorder, likewise.

    A process that dies is started again, after a growing pause. At Ctrl-C or SIGTERM all processes publish their pending events and end.
    If bus.url is not set, an embedded Valkey is started. It keeps its data in the run directory, and listens on a unix socket that only
    you can open.
    """
    loaded = load(settings)
    if not enabled(loaded):
        raise SettingsError("venues: none is enabled and has instruments: there is nothing to run")
    if not loaded.bus.url:
        check_embedded(loaded)
    check_gateway(loaded)
    check_recorder(loaded)
    begin_logging(loaded, service="up")
    return main(lambda: _up(loaded, settings, i_mean_it=i_mean_it))


async def _up(settings: Settings, file: Path | None, *, i_mean_it: bool) -> Exit:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        ignored = set(ignored_variables())  # already logged here: without them no child logs them again
        environ = {name: value for name, value in os.environ.items() if name not in ignored}
        if i_mean_it:
            environ["CROSSTAPE_CONNECTOR__ANY_ORIGIN"] = "true"
        url = settings.bus.url
        server_task: asyncio.Task[None] | None = None
        directory = run_dir(settings.run)
        if not url:
            server = EmbeddedServer(directory, persist=True)
            await server.start(START_S)
            stack.push_async_callback(server.stop)
            stack.enter_context(announced(directory, server.url))
            server_task = tasks.create_task(keep_running(server), name="keep the server")
            url = environ["CROSSTAPE_BUS__URL"] = server.url
            log.info("server.embedded", url=url, data=str(directory))
        else:
            stack.enter_context(_locked(directory))
            async with connect(settings.bus) as client:  # check once here: else each service would fail and log the same, again and again
                await wait_until_usable(client, Keys(settings.bus.prefix, settings.bus.partitions), settings.bus, producer=PRODUCER)
        configured = ConfiguredServices(settings, file, environ)
        configured.check_ports()
        _print_hints(url, configured.page_url)
        with on_hangup(configured.reload):
            code = await supervise(configured.services(), drain_s=settings.run.drain_s, children=configured.children)
        if server_task is not None:
            server_task.cancel()
        return code


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the run directory for the length of the block. Raises `StorageError` if another `up` has it, or if it cannot be written.

    Two runs would start two connectors for each venue, and each would supersede the other again and again.
    """
    lock = DirectoryLock(directory / RUN_LOCK)
    try:
        lock.acquire()
    except OSError as exc:
        raise StorageError(f"run.dir = {directory}: cannot be locked: {exc.strerror}: {exc.filename or RUN_LOCK}") from exc
    try:
        yield
    finally:
        lock.release()


def _print_hints(url: str, page_url: str | None) -> None:
    """Print how to look at the tape, if standard error is a terminal: hints are for people, not for logs."""
    if sys.stderr.isatty():
        hints = [f"the tape is on {shown(url)}", f"  look at it:      {command()} watch", f"  by hand:         {shown(redis_cli(url))}"]
        hints += [f"  in a browser:    {page_url}"] if page_url else []
        sys.stderr.write("\n".join((*hints, "  stop:            Ctrl-C", "")))
