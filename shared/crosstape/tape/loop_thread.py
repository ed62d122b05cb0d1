"""A thread with an event loop of its own, where blocking code runs coroutines."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from crosstape.errors import BusError

T = TypeVar("T")

JOIN_S: Final = 30.0
"""How long `close` waits for the thread. It has nothing to do but to close connections; only code of the user's can hold it longer."""


class LoopThread:
    """One event loop on one thread, from the start to `close`. All methods may be called from any other thread.

    The thread is a daemon, so that a program that never closes it can end; `close` ends it in order. Whoever makes one owns it.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self._stop = asyncio.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name=name, daemon=True)
        self._thread.start()
        self._loop = started.result()

    @property
    def closed(self) -> bool:
        """Whether it has ended, or is ending."""
        return self._closed

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begins to run a coroutine, and returns its future.

        Raises `BusError` if it is closed, in a process that was forked off since, and on the thread itself, which would wait for itself.
        """
        try:
            with self._lock:
                self._check()
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except BusError:
            coroutine.close()
            raise

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine and returns its result. An interrupted call cancels it. Raises as `submit`, and as the coroutine does."""
        future = self.submit(coroutine)
        try:
            return self.result(future)
        except BaseException:  # a KeyboardInterrupt, above all
            future.cancel()
            raise

    def result(self, future: Future[T]) -> T:
        """Waits for a future of `submit`. Raises `BusError` if it was closed meanwhile. Without end: the coroutine has the timeout."""
        try:
            return future.result()
        except CancelledError:
            raise BusError(CLOSED) from None

    def close(self) -> None:
        """Cancel what runs, and join the thread. More than once does no harm. In a forked process it does nothing: the thread is not there."""
        if self._pid != os.getpid():
            self._closed = True
            return
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main(started))

    async def _main(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        started.set_result(asyncio.get_running_loop())
        await self._stop.wait()  # without end: until `close`

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise BusError("this tape was opened in the parent process, and its thread is not in this one: open another one here")
        if self._closed:
            raise BusError(CLOSED)
        if threading.current_thread() is self._thread:
            raise BusError("this is the thread that reads the tape: a call here would wait for itself. Use Tape within coroutines")


CLOSED: Final = "the tape is closed: make another one"
