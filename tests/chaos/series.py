"""Holds the rehearsals of a series one after another on one stand, because starting services takes longer than most of them.

After each rehearsal the tape of each venue is checked, and with an aggregator all of it: what is wrong and was not before is its failure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crosstape_schemas import CONSOLIDATED
from tests.chaos.cases import Case
from tests.chaos.checker import Bounds
from tests.chaos.place import served
from tests.chaos.rehearse import Audience, Watch, rehearse
from tests.chaos.stand import Stand, standing


class Found(NamedTuple):
    """The result of a rehearsal: everything that is wrong, as text, by venue; and the newest log lines of each service."""

    wrong: dict[str, list[str]]
    logged: str


class Checks:
    """Checks the tape as it grows: each venue's part by a checker of its own, and with an aggregator all of it by one more."""

    def __init__(self, stand: Stand, bounds: Bounds, *, is_quoted: bool) -> None:
        self._stand = stand
        self._follower = stand.follower()
        self._checkers = {venue: stand.checker(bounds, venue) for venue in (*stand.venues, *([""] if is_quoted else ()))}
        self._known: set[str] = set()

    async def more(self) -> dict[str, list[str]]:
        """Returns what is wrong and was not before, by venue; under "" what only shows with all venues at once."""
        found: dict[str, list[str]] = {venue: [] for venue in self._checkers}
        for _ in range(2):  # the second time what came while streams were read one after the other
            entries = await self._follower.more()
            await self._stand.market.more()  # after the tape: all that is on it has happened
            for venue, checker in self._checkers.items():
                part = [entry for entry in entries if not venue or entry.event.venue in (venue, CONSOLIDATED)]
                found[venue] += map(str, checker.take(part, self._follower.trimmed))
        for venue, checker in self._checkers.items():
            found[venue] += map(str, checker.done())
            found[venue] = [text for text in dict.fromkeys(found[venue]) if text not in self._known]
            self._known.update(found[venue])
        return found


async def hold(cases: Sequence[Case]) -> dict[str, Found]:
    """Hold the rehearsals of these cases, which are of one series. Returns by name of the case what each found."""
    first, is_quoted = cases[0], any(case.quoted for case in cases)
    venues = tuple(dict.fromkeys(venue for case in cases for venue in case.venues))
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as directory:
        async with served(Path(directory)) as (_, place), standing(Path(directory), place, venues=venues) as stand:
            watch = Watch(stand)
            audience = Audience(stand, watch)
            if not first.from_start:
                await stand.connectors()
                await audience.live(0)
            if is_quoted:
                await stand.start("aggregator")
                if not first.from_start:
                    await audience.quoted(0)
            checks = Checks(stand, first.bounds, is_quoted=is_quoted)
            for case in cases:
                if case is not first:
                    audience = Audience(stand, watch)
                found[case.name] = await _held(case, stand, audience, checks)
                if any(audience.wrong.values()) and not await _is_well(stand, watch):
                    reason = f"not held: {case.name!r} left a stand on which not all is live"
                    rest = cases[len(found) :]
                    return found | {one.name: Found({venue: [reason] for venue in one.venues}, "") for one in rest}
    return found


async def _is_well(stand: Stand, watch: Watch) -> bool:
    """Whether everything is live again after a rehearsal that failed."""
    audience = Audience(stand, watch)
    await audience.live(time.time_ns())
    return not any(audience.wrong.values())


async def _held(case: Case, stand: Stand, audience: Audience, checks: Checks) -> Found:
    """Hold one rehearsal. What is wrong at a venue that it is not about counts at each that it is about."""
    try:
        await rehearse(case, stand, audience)
    except AssertionError as exc:
        for wrong in audience.wrong.values():
            wrong.append(str(exc))
    by_checks = await checks.more()
    apart = [text for venue, texts in by_checks.items() if venue not in case.venues for text in texts]
    apart += [text for venue, texts in audience.wrong.items() if venue not in case.venues for text in texts]
    return Found({venue: [*audience.wrong[venue], *by_checks[venue], *apart] for venue in case.venues}, stand.newest_logged())
