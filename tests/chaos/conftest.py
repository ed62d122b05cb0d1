"""Fixtures that the rehearsals share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for a socket in it, which then stays the same when its server is started again."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as directory:
        yield Path(directory)
