"""A short rehearsal that is recorded and audited; `python -m tests.chaos.audited` runs a long one."""

from __future__ import annotations

import argparse

import pytest

from tests.chaos.audited import run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]


async def test_what_is_published_while_things_fail_follows_from_the_recording() -> None:
    """No value differs from what its recorded inputs give, and a changed input is found."""
    result = await run(argparse.Namespace(minutes=1.5, rate=60.0, seed=3, keep=None))

    assert result["differences"] == 0
    assert result["values"] > 100_000
    assert result["found_changes"] == {"quote": True, "book": True, "trade": True}
