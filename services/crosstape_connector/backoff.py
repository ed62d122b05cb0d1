"""How long to wait after failures, in seconds: one formula for requests, one for connections. Pure: who waits reads the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tenacity import RetryCallState, Retrying, wait_random_exponential

PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0


def pause_s(failures: int) -> float:
    """Return how long to wait after this number of failures in a row: twice as long after each, capped.

    Not random: the requests of one process to one venue already wait for each other.
    """
    # 0s, 0.5s, 1s, 2s, 4s, … 30s
    return min(PAUSE_MAX_S, PAUSE_S * 2.0 ** min(failures - 1, 16)) if failures > 0 else 0.0


def delays(min_s: float, max_s: float) -> Iterator[float]:
    """Yield how long to wait after the first, the second … failure: at random, in a window that doubles up to `max_s`.

    Random, so that the clients that a venue lost at the same moment do not all come back at the same moment. Endless.
    """
    # delays(0.5, 30): 0.5-1s, 0.5-2s, 0.5-4s, … 0.5-30s
    wait = wait_random_exponential(multiplier=2 * min_s, min=min_s, max=max_s)
    state = RetryCallState(Retrying(), None, (), {})
    while True:
        yield wait(state)
        state.prepare_for_next_attempt()
