"""Child processes that are kept running, and are gone when we are.

Each has a pipe from us as its standard input: when we end, however that happens, the pipe closes and the child stops in order
(`crosstape.runtime.lifecycle`). Each is in a session of its own, so that Ctrl-C at a terminal reaches only us, and we stop them in order.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from crosstape.runtime.exit_codes import NOT_RESTARTED, Exit
from crosstape.runtime.lifecycle import SUPERVISED

BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
HEALTHY_S: Final = 30.0
"""A child that lived this long starts with the shortest pause again."""

MARGIN_S: Final = 2.0
"""Beyond its own drain, before a child that was asked to stop is killed."""

log = structlog.get_logger(__name__)


class Service(msgspec.Struct, frozen=True):
    """One child process: its name in our logs, its command line, and where its own logs go."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    """Its complete environment."""
    log_file: Path | None = None
    """Standard error and output are appended there; None: they go to our standard error."""
    reloads: bool = False
    """It reads its settings again at SIGHUP."""


class Children:
    """The services that are kept running, by name; those of `supervise`, to which others may be added while it runs."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Service, Process]] = {}  # by process id
        self._keepers: dict[str, asyncio.Task[Exit]] = {}
        self._keep: Callable[[Service], asyncio.Task[Exit]] | None = None

    @contextmanager
    def holding(self, service: Service, process: Process) -> Iterator[None]:
        """Note that the process of this service runs, for the length of the block."""
        self._running[process.pid] = service, process
        try:
            yield
        finally:
            del self._running[process.pid]

    def begin(self, services: Sequence[Service], keep: Callable[[Service], asyncio.Task[Exit]]) -> None:
        """Keep these services running; `keep` returns the task that does it for one."""
        self._keep = keep
        for service in services:
            self.add(service)

    def add(self, service: Service) -> None:
        """Keep this service running, too."""
        assert self._keep is not None, "supervise runs"
        self._keepers[service.name] = self._keep(service)

    def remove(self, name: str) -> None:
        """Ask the service to stop, and do not restart it."""
        self._keepers.pop(name).cancel()

    @property
    def names(self) -> list[str]:
        """Names of the services that are kept running."""
        return list(self._keepers)

    @property
    def worst(self) -> Exit:
        """The worst code that one was given up for, when all have ended."""
        return max((task.result() for task in self._keepers.values() if not task.cancelled()), default=Exit.OK)

    def hang_up(self) -> None:
        """Send SIGHUP to each service that reloads."""
        for service, process in self._running.values():
            if service.reloads:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGHUP)


def crosstape(*arguments: str) -> tuple[str, ...]:
    """The command line that runs a subcommand with the interpreter and code that we run with."""
    return (sys.executable, "-m", "crosstape_cli", *arguments)


async def supervise(services: Sequence[Service], *, drain_s: float, children: Children | None = None) -> Exit:
    """Keep every service running until cancelled; then ask them all to stop, and kill those that take longer than `drain_s` and a margin.

    One that ends is started again after a jittered, growing pause, except after a code that says that this cannot help. Returns, with the
    worst such code, only when there is none left to run.
    """
    held = children or Children()
    async with asyncio.TaskGroup() as tasks:
        held.begin(services, lambda service: tasks.create_task(_keep(service, drain_s, held), name=f"supervise {service.name}"))
    return held.worst


async def _keep(service: Service, drain_s: float, children: Children) -> Exit:
    delays = _delays()
    while True:
        started = time.monotonic()
        code = await _run(service, drain_s, children)
        if code in NOT_RESTARTED:
            log.error("service.given_up", name=service.name, code=code)
            return Exit(code)
        if time.monotonic() - started >= HEALTHY_S:
            delays = _delays()
        delay = next(delays)
        log.warning("service.ended", name=service.name, code=code, restart_in_s=round(delay, 2))
        await asyncio.sleep(delay)


async def _run(service: Service, drain_s: float, children: Children) -> int:
    """From start to end of one process; its exit code, negative for a signal."""
    with ExitStack() as files:
        output = sys.stderr.fileno() if service.log_file is None else files.enter_context(service.log_file.open("ab")).fileno()
        environ = {**service.environ, SUPERVISED: "1"}
        process = await asyncio.create_subprocess_exec(
            *service.command, stdin=PIPE, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    log.info("service.started", name=service.name, pid=process.pid)
    try:
        with children.holding(service, process):
            return await process.wait()  # for as long as it lives: that it does its work is for its own health to say
    finally:
        if process.returncode is None:
            await _stop(process, service.name, drain_s)


async def _stop(process: Process, name: str, drain_s: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(drain_s + MARGIN_S):
            code = await process.wait()
    except TimeoutError:
        log.warning("service.killed", name=name, after_s=drain_s + MARGIN_S)
        with suppress(ProcessLookupError):
            process.kill()
        code = await process.wait()  # SIGKILL is not refused
    log.info("service.stopped", name=name, code=code)


def _delays() -> Iterator[float]:
    """Pauses before starts: doubling to a cap, half of each at random, so that children that died together do not start together."""
    delay = BACKOFF_MIN_S
    while True:
        yield random.uniform(delay / 2, delay)  # noqa: S311
        delay = min(delay * 2, BACKOFF_MAX_S)
