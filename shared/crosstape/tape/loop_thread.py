"""A thread with an event loop of its own, where blocking code runs coroutines."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, TypeVar

from crosstape.errors import BusError
from crosstape.log import get_log

T = TypeVar("T")
R = TypeVar("R")

JOIN_S: Final = 30.0
"""How long `close` waits for the thread. It has only connections to close; nothing but a coroutine of the user's can hold it longer."""

log = get_log(__name__)


class TapeClosed(BusError):
    """The tape was closed, before the call or during it."""

    def __init__(self) -> None:
        super().__init__("the tape is closed: make another one")


class LoopThread(Generic[T]):
    """An event loop on a thread of its own, which enters a context, `opened`, and leaves it on `close`.

    Its methods may be called from any other thread. The thread is a daemon: a program ends even if it forgot to close.
    """

    def __init__(self, name: str, context: AbstractAsyncContextManager[T]) -> None:
        """Returns when the context is entered. Raises what that raises; the thread has ended then."""
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self._stop = asyncio.Event()
        self._started: Future[T] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(context,), name=name, daemon=True)
        self._thread.start()
        try:
            self.opened: T = self._started.result()  # without a timeout: the context has its own
        except BaseException:  # a KeyboardInterrupt, too
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether it has ended, or is ending."""
        return self._closed

    def check_process(self) -> None:
        """Raises `BusError` in a process that was forked off since."""
        if self._pid != os.getpid():
            raise BusError("this tape was opened by the parent process, and its thread is not in this one: open another tape here")

    def check(self) -> None:
        """Raises `TapeClosed`; or `BusError` as `check_process`, and on the thread itself, which would wait for itself."""
        self.check_process()
        if threading.current_thread() is self._thread:
            raise BusError("a call on the thread that reads the tape would wait for itself: use Tape in coroutines")
        if self._closed:
            raise TapeClosed

    def submit(self, coroutine: Coroutine[Any, Any, R]) -> Future[R]:
        """Begins to run a coroutine, and returns its future. Raises as `check`."""
        try:
            self.check()
            with self._lock:
                if self._closed:
                    raise TapeClosed
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except BusError:
            coroutine.close()
            raise

    def call(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Runs a coroutine and returns its result; an interrupted call cancels it. Raises as `submit`, and as the coroutine does."""
        future = self.submit(coroutine)
        try:
            return self.result(future)
        except BaseException:  # a KeyboardInterrupt, too
            future.cancel()
            raise

    def result(self, future: Future[R], timeout_s: float | None = None) -> R:
        """Waits for a future of `submit`, without a timeout as long as its coroutine does. Raises `TimeoutError` or `TapeClosed`."""
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise TapeClosed from None

    def close(self) -> None:
        """Cancel what runs, leave the context and join the thread. More than once does no harm.

        In a forked process it does nothing: neither thread nor connections are its own.
        """
        if self._pid != os.getpid():
            self._closed = True
            return
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                log.error("tape.thread_busy", thread=self._thread.name, waited_s=JOIN_S, hint="a coroutine of a callback does not end")

    def _run(self, context: AbstractAsyncContextManager[T]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main(context))

    async def _main(self, context: AbstractAsyncContextManager[T]) -> None:
        try:
            async with context as opened:
                self._started.set_result(opened)
                await self._stop.wait()  # without end: until `close`
        except BaseException as exc:
            if self._started.done():
                raise
            with self._lock:
                self._closed = True
            self._started.set_exception(exc)
