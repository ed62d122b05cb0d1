"""Every fault on every venue that has it: the fault is reported, the connector survives it, and the tape stays right.

One rehearsal runs all venues at once, and those of one series follow each other on one stand, because starting services takes longer than
most faults. Each venue's part of each is a test of its own.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest
import uvloop

from crosstape_simulator.faults.table import FAULTS, missing
from crosstape_simulator.spec import VENUES
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from crosstape_simulator.venues.registry import find
from tests.chaos.cases import CASES, KNOWN, Case
from tests.chaos.series import Found, hold

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


class WrongError(AssertionError):
    """The errors that a rehearsal found."""


class Rehearsals:
    """Each series is held once, when one of its cases is first asked for; on the loop that the simulator runs on as a process."""

    def __init__(self, chosen: Collection[str]) -> None:
        """`chosen`: names of the cases that are asked for in this run."""
        self._chosen = [case for case in CASES if case.name in chosen]
        self._held: dict[str, Found] = {}

    def of(self, case: Case) -> Found:
        """Return what the rehearsal of a case found."""
        if case.name not in self._held:
            self._held |= uvloop.run(hold([one for one in self._chosen if one.held_with == case.held_with]))
        return self._held[case.name]


@pytest.fixture(scope="module")
def rehearsals(request: pytest.FixtureRequest) -> Rehearsals:
    """Yields the rehearsals of this run."""
    parameters = [item.callspec.params for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    return Rehearsals({case.name for one in parameters if isinstance(case := one.get("case"), Case)})


def _parts() -> list[object]:
    return [
        pytest.param(
            case,
            venue,
            id=f"{case.name.replace(' ', '-')}-{venue}",
            marks=[
                pytest.mark.xdist_group(case.held_with),  # they look at one series
                *([pytest.mark.rare] if case.rare else ()),
                *(
                    [pytest.mark.xfail(strict=True, raises=WrongError, reason=KNOWN[case.name, venue])]
                    if (case.name, venue) in KNOWN
                    else ()
                ),
            ],
        )
        for case in CASES
        for venue in case.venues
    ]


@pytest.mark.parametrize(("case", "venue"), _parts())
def test_the_tape_is_right_whatever_a_venue_does(case: Case, venue: str, rehearsals: Rehearsals) -> None:
    """The fault is reported while it lasts, everything is live again afterwards, and the checker finds nothing."""
    found = rehearsals.of(case)
    if wrong := found.wrong[venue]:
        raise WrongError("\n".join([f"{len(wrong)} things are wrong: {wrong[0]}", *wrong[1:20], found.logged]))


def test_every_fault_is_rehearsed_on_every_venue_that_has_it() -> None:
    """And what is known not to hold is among them."""
    rehearsed = {
        (fault.split()[0], venue)
        for case in CASES
        for fault in case.all_faults
        for venue in case.venues
        if venue in VENUES and (fault.endswith(f"={venue}") or " venue=" not in fault)
    }
    there = {(name, venue) for name, cls in FAULTS.items() for venue in VENUES if missing(cls, find(venue)) is None}

    assert rehearsed == there
    anywhere = {fault.split()[0] for case in CASES if not case.rare for fault in case.all_faults}
    assert anywhere == {name for name, cls in FAULTS.items() if any(missing(cls, venue) is None for venue in SIMULATED.values())}
    assert KNOWN.keys() <= {(case.name, venue) for case in CASES for venue in case.venues}


def test_a_series_can_be_held_on_one_stand() -> None:
    """Only its first case begins before the connectors do, and all are checked by the same bounds."""
    series: dict[str, list[Case]] = {}
    for case in CASES:
        series.setdefault(case.held_with, []).append(case)

    assert not [case.name for cases in series.values() for case in cases[1:] if case.from_start]
    assert not [name for name, cases in series.items() if len({case.bounds for case in cases}) > 1]
