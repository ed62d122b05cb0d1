"""Whether events that have been read are still to be taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TypeVar

P = TypeVar("P")


class Barrier:
    """Full, within `with`, while some of what was read has not been taken: then what the board holds, and where its readers stand, are not
    of one moment. A block that fails leaves them full for ever; one that is cancelled must have taken all, as `take` does.
    """

    def __init__(self) -> None:
        self._held = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def full(self) -> bool:
        """Whether it is so now."""
        return self._held > 0

    async def empty(self) -> None:
        """Until it is not so, however long that takes: readers come to an end of what they have read again and again. It holds until the
        caller awaits something.
        """
        while self._held:
            await self._empty.wait()

    async def apply(self, parts: Iterable[P], apply: Callable[[P], None], after: Callable[[P], Awaitable[None]]) -> None:
        """Take the parts, with `after` following each. If that is cancelled, the rest is taken at once."""
        left = iter(parts)
        with self:
            try:
                for part in left:
                    apply(part)
                    await after(part)
            except asyncio.CancelledError:
                for part in left:
                    apply(part)
                raise

    def __enter__(self) -> None:
        self._held += 1
        self._empty.clear()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or kind is asyncio.CancelledError:
            self._held -= 1
            if not self._held:
                self._empty.set()
