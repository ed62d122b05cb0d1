"""Turns a coroutine into a process: event loop, signals, garbage collector, exit code. Nothing here is special to one service.

raise SystemExit(main(lambda: run(settings)))
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
import uvloop

from crosstape.errors import CrosstapeError
from crosstape.runtime.exit_codes import Exit, code_of, leaves

__all__ = ["ORPHAN_S", "SUPERVISED", "Exit", "code_of", "main", "on_hangup", "tune_gc"]

SUPERVISED: Final = "CROSSTAPE_SUPERVISED"
"""Set by a supervisor that holds the other end of our standard input. When the input ends, the supervisor has ended, and we stop."""

ORPHAN_S: Final = 30.0
"""How long a process may take to stop after its supervisor has died, when nobody is left to kill it."""

log = structlog.get_logger(__name__)


def main(factory: Callable[[], Coroutine[Any, Any, object]], *, short: bool = False) -> Exit:
    """Run the coroutine on uvloop until it is done. The first SIGTERM or SIGINT cancels it, a second one ends the process at once.

    The coroutine cleans up in `finally`. Errors are logged here, once: those that we raise on purpose in one line, others with a traceback.
    If the coroutine returns an `Exit`, that is the exit code.

    `short`: it is no service but a short command. What is raised on purpose is a line `crosstape: …` on standard error, and no log.
    """
    tune_gc()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_root(factory, short=short))


async def _root(factory: Callable[[], Coroutine[Any, Any, object]], *, short: bool) -> Exit:
    task = asyncio.current_task()
    assert task is not None
    stop = _Stop(task)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.by_signal, number)
    if os.environ.get(SUPERVISED):
        loop.add_reader(sys.stdin.fileno(), stop.by_orphaning)
    try:
        done = await factory()
    except asyncio.CancelledError:
        if not stop.asked:
            raise
        return Exit.OK
    except Exception as exc:
        return _report(exc, short=short)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if os.environ.get(SUPERVISED):
            loop.remove_reader(sys.stdin.fileno())
    return done if isinstance(done, Exit) else Exit.OK


class _Stop:
    """Turns the first reason to stop into one cancellation of the root task."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.asked = False
        self._task = task

    def by_signal(self, number: signal.Signals) -> None:
        if self.asked:
            os._exit(128 + number)  # the second signal: no cleanup; a supervised child sees our pipe close
        self._stop(number.name)

    def by_orphaning(self) -> None:
        """Stop if standard input has ended. A supervisor writes nothing to it, so readable means ended."""
        if os.read(sys.stdin.fileno(), 4096):
            return
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        killer = threading.Timer(ORPHAN_S, os._exit, [Exit.FAILED])  # a thread, which works even when the event loop is stuck
        killer.daemon = True
        killer.start()
        if not self.asked:
            self._stop("supervisor gone")

    def _stop(self, reason: str) -> None:
        self.asked = True
        log.info("process.stopping", reason=reason)
        self._task.cancel()


@contextmanager
def on_hangup(callback: Callable[[], object]) -> Iterator[None]:
    """Call this in the running loop at SIGHUP, for the length of the block. SIGHUP ends the process only if our terminal was closed."""
    loop = asyncio.get_running_loop()
    had_terminal = _has_terminal()

    def hung_up() -> None:
        if had_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            callback()

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _has_terminal() -> bool:
    """Whether there is a terminal that controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _report(exc: Exception, *, short: bool) -> Exit:
    code = code_of(exc)
    if code is Exit.FAILED and not all(isinstance(leaf, CrosstapeError) for leaf in leaves(exc)):
        log.error("process.failed", code=int(code), exc_info=exc)
    elif short:
        for leaf in leaves(exc):
            sys.stderr.write("".join(f"crosstape: {line}\n" for line in (str(leaf) or type(leaf).__name__).splitlines()))
    else:
        for leaf in leaves(exc):
            log.error("process.failed", code=int(code), error=str(leaf) or type(leaf).__name__)
    return code


def tune_gc() -> None:
    """Make the garbage collector run rarely, and never on what exists at the start.

    Events are structs that the collector does not track and that form no cycles: reference counts free them. Little remains for the
    collector, so its default of a pass for every 700 containers only costs time, and a full pass over all imported modules takes 5 to
    20 ms, for which no event should wait. Modules are excluded from it, and its thresholds are raised.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
