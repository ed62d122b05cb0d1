"""The venues that tests of a real connector run on, from what the venues' tables say."""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.registry import VENUES
from crosstape_simulator.venues.registry import VENUES as SIMULATED

ALL: Final = tuple(name for name in VENUES if name in SIMULATED)
NUMBERED: Final = tuple(name for name in ALL if VENUES[name].trade_ids == "contiguous")
"""Venues whose trade ids show how many trades are missing."""
HALTS: Final = tuple((name, how) for name in ALL for how in (*SIMULATED[name].rest.halted, "gone"))
"""(venue, how one of its instruments can be halted)."""
