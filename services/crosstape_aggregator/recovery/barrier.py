"""Keeps checkpoints from being taken while events that were read are only partly applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TypeVar

P = TypeVar("P")


class Barrier:
    """Held, within `with`, while events that were read are not all applied. A checkpoint taken then would pair new stream ids with old
    state:
    wait for `free`. A block that fails leaves the barrier held for ever; one that is cancelled must have applied all, as `apply` does.
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
        """Wait until all events that were read are applied, however long that takes: readers get there again and again. It stays so until
        the
        caller awaits something.
        """
        while self._held:
            await self._free.wait()

    async def apply(self, parts: Iterable[P], apply: Callable[[P], None], after: Callable[[P], Awaitable[None]]) -> None:
        """Apply the parts, calling `after` behind each. If that is cancelled, the remaining parts are applied at once."""
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
        self._free.clear()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or kind is asyncio.CancelledError:
            self._held -= 1
            if not self._held:
                self._free.set()
