"""A mistake in the settings that one value does not show by itself: what the loader names with the file or variable it came from."""

from __future__ import annotations

from typing import NamedTuple

Path = tuple[str, ...]


class Mistake(NamedTuple):
    """One mistake."""

    path: Path
    """Path of the key: `("aggregator", "bars")`."""
    text: str
    """What is wrong, and what is allowed."""
    needs: Path = ()
    """Path of a key whose value must be known for this to be a mistake: if that, or an item of it, is refused itself, this is not said."""
