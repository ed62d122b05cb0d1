"""The REST side of a venue whose recordings are played."""

from __future__ import annotations

from collections.abc import Mapping

from crosstape_simulator.recordings.history import RecordedMarketData
from crosstape_simulator.recordings.recording import Recording, RestKey, rest_key
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues.spec import SimulatedVenue


class RecordedRest:
    """The REST side of a venue that is played: the first request gets the first recorded answer, the next the next, then the last again.

    Answers about trades and best prices are made from what has been played, even where answers were recorded: those are of other moments.
    """

    def __init__(self, venue: SimulatedVenue, recordings: tuple[Recording, ...]) -> None:
        self.asked: dict[RestKey, int] = {}
        self.passed: dict[RestKey, int] = {}
        self.past = RecordedMarketData(venue, recordings)
        self._venue = venue
        self._answers: dict[RestKey, list[bytes]] = {}
        for recording in recordings:
            for key, bodies in recording.rest.items():
                self._answers.setdefault(key, []).extend(bodies)
        venue.rest.complete(self._answers)

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """An answer made from what was played, the recorded body, or the venue's error for what it does not know."""
        if (answer := self._venue.rest.history(self.past, path, query, now)) is not None:
            return answer
        symbol = rest_key(f"?{'&'.join(f'{name}={value}' for name, value in query.items())}")[1]
        key = next((key for key in ((path.rstrip("/"), symbol), (path.rstrip("/"), "")) if key in self._answers), None)
        if key is None:
            return self._venue.rest.unknown
        bodies = self._answers[key]
        index = self.asked.get(key, 0)
        self.asked[key] = index + 1
        return Answer(bodies[min(index, len(bodies) - 1)])
