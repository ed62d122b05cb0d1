"""The reference of the Python library names everything that users can import, and says something about it."""

from __future__ import annotations

from pathlib import Path

import crosstape
from docs import library

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "library.md").read_text()


def test_every_public_name_is_on_the_page() -> None:
    """Under a heading of its own."""
    assert [name for name in crosstape.__all__ if f"\n### {name}\n" not in PAGE] == []


def test_everything_public_has_a_docstring() -> None:
    """Names, and the methods and properties of classes."""
    assert library.missing() == []


def test_a_signature_is_as_it_is_called() -> None:
    """Defaults as Python writes them, no modules, no `self`."""
    assert "`Keys(prefix: str = 'tape', partitions: int = 1)`" in PAGE
    assert "`async with connect(settings: BusSettings) as Client`" in PAGE
    assert "`await read(*, timeout_s: float \\| None) -> Sequence[Entry]`" in PAGE
    assert "`publish(event: Event)`" in PAGE
    assert "| `trades(*instruments: str, venue: str \\| None = None, start: Starts = Start.NOW, " in PAGE
    assert "ForwardRef" not in PAGE


def test_an_example_of_a_docstring_is_a_block() -> None:
    """With its lines and their indentation."""
    assert '\n```\nasync with Tape("redis://localhost:6379") as tape:\n    async for quote in tape.cbbo("BTC-USDT"):\n' in PAGE
