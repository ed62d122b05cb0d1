"""What a recording shows of the venue's connections: acknowledgements, silence, endings, and answers by REST."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from crosstape_connector.capture.reader import CaptureLine
from crosstape_connector.evidence.finding import Finding, Verdict, millis
from crosstape_connector.venues.spec import Venue

SECTION: Final = "Connections"


class _Connection:
    """One connection of the recording. Times are ns."""

    def __init__(self, url: str, opened_ts: int | None) -> None:
        self.url = url
        self.opened_ts = opened_ts
        self.received = 0
        self.sent = 0
        self.unread = 0
        self.first_ts: int | None = None
        self.newest_ts: int | None = opened_ts
        self.silence = 0
        self.ended = ""

    def frame(self, ts: int | None) -> None:
        """Count a frame from the venue."""
        self.received += 1
        if ts is None:
            return
        if self.first_ts is None:
            self.first_ts = ts
        if self.newest_ts is not None:
            self.silence = max(self.silence, ts - self.newest_ts)
        self.newest_ts = ts


class ConnectionEvidence:
    """Gathers what the lines of a recording say of its connections."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._connections: dict[int, _Connection] = {}
        self._answers: Counter[tuple[str, bool]] = Counter()
        self.first_ts: int | None = None
        self.last_ts: int | None = None

    def add(self, line: CaptureLine) -> None:
        """Count one line."""
        if line.t is not None:
            self.first_ts = line.t if self.first_ts is None else min(self.first_ts, line.t)
            self.last_ts = line.t if self.last_ts is None else max(self.last_ts, line.t)
        match line.d:
            case "open" if not line.repeated:
                self._connections[line.c] = _Connection(line.u, line.t)
            case "in":
                one = self._connections.setdefault(line.c, _Connection("", None))
                one.frame(line.t)
                one.unread += bool(line.bad)
            case "out":
                self._connections.setdefault(line.c, _Connection("", None)).sent += 1
            case "close":
                self._connections.setdefault(line.c, _Connection("", None)).ended = line.f or "closed"
            case "rest":
                self._answers[urlsplit(line.u).path, bool(line.bad)] += 1
            case _:
                pass

    def findings(self) -> Iterator[Finding]:
        """Yield a row for each connection, then one for each REST path."""
        silences = {endpoint.url: endpoint.silence_s for endpoint in self._venue.endpoints}
        usual = max(silences.values(), default=0.0)
        for number, one in self._connections.items():
            limit = silences.get(one.url, usual)
            waited = "" if one.first_ts is None or one.opened_ts is None else f", the first after {millis(one.first_ts - one.opened_ts)}"
            ended = one.ended and one.ended != "stopped"
            yield Finding(
                SECTION,
                f"connection {number}",
                f"{one.received} frames{waited}; {one.sent} sent; {one.unread} not understood; longest silence {millis(one.silence)}"
                + (f"; ended: {one.ended}" if ended else ""),
                f"never silent for {limit:g} s",
                Verdict.NOT_SEEN if not one.received else Verdict.BROKEN if one.silence > limit * 1e9 or one.unread else Verdict.HOLDS,
            )
        for path in sorted({path for path, _ in self._answers}):
            good, bad = self._answers[path, False], self._answers[path, True]
            yield Finding(SECTION, f"REST {path}", f"{good} answers, {bad} refused")
