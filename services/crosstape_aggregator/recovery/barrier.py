"""Makes checkpoints wait while the events that were read are only partly applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TypeVar

P = TypeVar("P")


class Barrier:
    """Is held, by a `with` block, while some of the events that were read are not applied yet.

    A checkpoint made during this time would pair new stream ids with old state, so its writer waits for `free`. If a block fails, the
    barrier stays held for ever: the state is not usable. If a block is cancelled, it must apply all events first, as `apply` does.
    """

    def __init__(self) -> None:
        self._held = 0
        self._free = asyncio.Event()
        self._free.set()

    @property
    def held(self) -> bool:
        """Whether events are partly applied now."""
        return self._held > 0

    async def free(self) -> None:
        """Wait, without a time limit, until all events that were read are applied. This stays true until the caller awaits something."""
        while self._held:
            await self._free.wait()

    async def apply(self, parts: Iterable[P], apply: Callable[[P], None], after: Callable[[P], Awaitable[None]]) -> None:
        """Apply the parts in order, and await `after` with each. If that is cancelled, apply the remaining parts at once."""
        remaining = iter(parts)
        with self:
            try:
                for part in remaining:
                    apply(part)
                    await after(part)
            except asyncio.CancelledError:
                for part in remaining:
                    apply(part)
                raise

    def __enter__(self) -> None:
        self._held += 1
        self._free.clear()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or kind is asyncio.CancelledError:
            self._held -= 1
            if not self._held:
                self._free.set()
