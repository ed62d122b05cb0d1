"""Reading the rows of a frame or an answer one by one: one that cannot be read takes no other with it. For venues."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venue import Odd

T = TypeVar("T")
ROW = "row"
"""The kind of an `Odd` that is a row."""


def readable(raws: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T], what: str, odd: list[Odd]) -> list[T]:
    """What `read` makes of the rows that can be read, in order. For each other one an `Odd` is added to `odd`, which begins with `what`."""
    good: list[T] = []
    for raw in raws:
        try:
            good.append(read(raw))
        except FRAME_ERRORS as exc:
            odd.append(Odd(ROW, f"{what}: {exc}"))
    return good
