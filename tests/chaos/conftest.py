"""What the rehearsals share, and how they are divided into parts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cases import Case


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which part of them."""
    parser.addoption("--part", default="", metavar="I/N", help="of the rehearsals, the Ith of N parts")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep those of one part. All tests that look at one rehearsal are in the same."""
    if not (part := config.getoption("--part", "")):
        return
    number, parts = map(int, part.split("/"))
    rehearsals = list(dict.fromkeys(map(_rehearsal, items)))
    kept = [item for item in items if rehearsals.index(_rehearsal(item)) % parts == number - 1]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _rehearsal(item: pytest.Item) -> str:
    """Of a test."""
    case = item.callspec.params.get("case") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return case.name if isinstance(case, Case) else item.nodeid.partition("[")[0]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for a socket in it, which then stays the same when its server is started again."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as directory:
        yield Path(directory)
