"""Readers of few streams wait for these, readers of many for a bell. What a reader promises holds for both."""

from __future__ import annotations

import pytest

from crosstape.bus.read import poller


@pytest.fixture(params=["streams", "bell"])
def waits_for(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let readers of any number of streams wait for what is named."""
    if request.param == "bell":
        monkeypatch.setattr(poller, "LISTEN", 0)
    return str(request.param)
