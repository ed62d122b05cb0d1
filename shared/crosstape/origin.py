"""Where the events of a tape come from, and how a simulated venue says that it is one."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

SIMULATED_HEADER: Final = "X-Crosstape-Simulated"
"""A simulated venue has it in each HTTP answer, handshakes of WebSockets included."""


class Origin(StrEnum):
    """Of a tape, set by the first venue that was heard of."""

    LIVE = "live"
    SIMULATED = "simulated"
