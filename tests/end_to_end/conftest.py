"""Fixtures that tests of complete processes share with the rehearsals, and on which venues these tests run each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstape_simulator.spec import VENUES
from tests.chaos.conftest import short_path

__all__ = ["short_path"]

OFTEN = {*VENUES, "kucoin"}
"""The usual venues, and the one with most other parts of the seam: binary frames, tokens, a welcome, two protocols."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that run a connector on a server are `rare` for the other venues: what they would show is the machinery's, not the venue's."""
    here = Path(__file__).parent
    for item in (item for item in items if here in item.path.parents):  # a hook is called with the tests of all folders
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        named = {value for value in (parameters.get("name"), parameters.get("venue")) if isinstance(value, str)}
        if "valkey" in getattr(item, "fixturenames", ()) and named - OFTEN:
            item.add_marker(pytest.mark.rare)
