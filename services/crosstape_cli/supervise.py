"""Runs services as child processes: starts each again when it ends, and stops all of them when this process ends.

The standard input of each child is a pipe from this process. When this process ends, even by SIGKILL, the pipe closes, and the child stops
gracefully (`crosstape.runtime.lifecycle`). Each child has its own session, so that Ctrl-C at a terminal reaches only this process, which
then stops the children.
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
"""A child that ran at least this long is restarted after the shortest pause again."""

MARGIN_S: Final = 2.0
"""A child that was asked to stop is killed this long after its own `drain_s`."""

log = structlog.get_logger(__name__)


class Service(msgspec.Struct, frozen=True):
    """One child process: its name in our logs, its command line, and where its own logs go."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    """All environment variables of the child; it inherits none of ours."""
    log_file: Path | None = None
    """The child's standard output and standard error are appended to this file; None: both go to our standard error."""
    reloads: bool = False
    """Whether the child reads its settings again at SIGHUP."""


CreateTask = Callable[[Service, asyncio.Task[Exit] | None], asyncio.Task[Exit]]
"""Creates the task that keeps a service running, from the end of another task on if one is given. Its result is an exit code."""


class Children:
    """The services that `supervise` keeps running, by name. Others may be added and removed while it runs."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[Service, Process]] = {}  # process id → the process, and its service
        self._tasks: dict[str, asyncio.Task[Exit]] = {}  # name of a service → the task that keeps it running
        self._leaving: dict[str, asyncio.Task[Exit]] = {}  # name → the task of a removed service, which may not have ended yet
        self._create_task: CreateTask | None = None

    @contextmanager
    def tracked(self, service: Service, process: Process) -> Iterator[None]:
        """Within `with`, the process counts as running, and receives the signal of `send_sighup`."""
        self._running[process.pid] = service, process
        try:
            yield
        finally:
            del self._running[process.pid]

    def start(self, services: Sequence[Service], create_task: CreateTask) -> None:
        """Start the first services."""
        self._create_task = create_task
        for service in services:
            self.add(service)

    def add(self, service: Service) -> None:
        """Start one more service. `supervise` must be running.

        If a service of this name was removed, this one starts when that one has ended: both may listen on the same port.
        """
        assert self._create_task is not None, "supervise runs"
        self._tasks[service.name] = self._create_task(service, self._leaving.pop(service.name, None))

    def remove(self, name: str) -> None:
        """Ask the service to stop; it is not started again."""
        self._leaving[name] = self._tasks.pop(name)
        self._leaving[name].cancel()

    @property
    def names(self) -> list[str]:
        """The names of the services that are kept running."""
        return list(self._tasks)

    @property
    def worst(self) -> Exit:
        """The greatest exit code for which a service is not started again. Read it only when all tasks have ended."""
        return max((task.result() for task in self._tasks.values() if not task.cancelled()), default=Exit.OK)

    def send_sighup(self) -> None:
        """Send SIGHUP to each running process whose service reads its settings again (`reloads`)."""
        for service, process in self._running.values():
            if service.reloads:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGHUP)


def crosstape(*arguments: str) -> tuple[str, ...]:
    """Returns the command line that runs a subcommand with our own interpreter and code."""
    return (sys.executable, "-m", "crosstape_cli", *arguments)


async def supervise(services: Sequence[Service], *, drain_s: float, children: Children | None = None) -> Exit:
    """Keep every service running until cancelled; then ask all to stop, and kill those that take longer than `drain_s` plus `MARGIN_S`.

    A service that ends is started again after a jittered, growing pause, unless its exit code is one of `NOT_RESTARTED`: then another start
    cannot help. Returns only when no service is left to run, with the greatest of these codes.
    """
    kept = children or Children()
    async with asyncio.TaskGroup() as tasks:
        kept.start(
            services,
            lambda service, before: tasks.create_task(_keep_running(service, drain_s, kept, before), name=f"supervise {service.name}"),
        )
    return kept.worst


async def _keep_running(service: Service, drain_s: float, children: Children, before: asyncio.Task[Exit] | None) -> Exit:
    """Run one service again and again, from the end of `before` on. Returns the exit code after which it is not started again."""
    if before is not None:
        try:
            await asyncio.wait([before])  # it was cancelled: its process is killed after `drain_s` and a margin at the latest
        finally:
            await asyncio.wait([before])  # removed meanwhile: whoever comes next waits for this task, and so for that one
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
    """Run one process from its start to its end. Returns its exit code; negative: the number of the signal that ended it."""
    with ExitStack() as files:
        output = sys.stderr.fileno() if service.log_file is None else files.enter_context(service.log_file.open("ab")).fileno()
        environ = {**service.environ, SUPERVISED: "1"}
        process = await asyncio.create_subprocess_exec(
            *service.command, stdin=PIPE, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    log.info("service.started", name=service.name, pid=process.pid)
    try:
        with children.tracked(service, process):
            return await process.wait()  # without a limit: whether it works is shown by its own health check
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
        code = await process.wait()  # a process cannot ignore SIGKILL
    log.info("service.stopped", name=name, code=code)


def _delays() -> Iterator[float]:
    """Yields the pauses before restarts, in seconds: doubling up to a cap, with jitter, so that children that died together start apart."""
    delay = BACKOFF_MIN_S
    while True:
        yield random.uniform(delay / 2, delay)  # noqa: S311
        delay = min(delay * 2, BACKOFF_MAX_S)
