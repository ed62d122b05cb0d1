"""One side of a book, in integers."""

from __future__ import annotations

from bisect import bisect_left, insort


class BookSide:
    """Levels by key, best first. An ask's key is its price, a bid's its price negated: a smaller key is a better price on both."""

    __slots__ = ("keys", "sizes")

    def __init__(self) -> None:
        self.keys: list[int] = []
        """Keys of all levels, ascending."""
        self.sizes: dict[int, int] = {}

    def set(self, key: int, size: int) -> None:
        """Set the size of a level; zero removes it."""
        if size:
            if key not in self.sizes:
                insort(self.keys, key)
            self.sizes[key] = size
        elif key in self.sizes:
            del self.sizes[key]
            del self.keys[bisect_left(self.keys, key)]

    def levels(self, count: int | None = None) -> list[tuple[int, int]]:
        """(price, size) of the best `count` levels, or of all, best first."""
        return [(abs(key), self.sizes[key]) for key in self.keys[:count]]
