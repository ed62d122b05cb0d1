"""Every fault on every venue that has it: the fault is reported, the connector survives it, and the tape stays right.

One rehearsal runs all venues at once, because starting services takes longer than most faults. Each venue's part is a test of its own.
"""

from __future__ import annotations

import pytest
import uvloop

from crosstape_simulator.faults.table import FAULTS, missing
from crosstape_simulator.spec import VENUES
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from crosstape_simulator.venues.registry import find
from tests.chaos.cases import CASES, KNOWN, SOMETIMES, Case
from tests.chaos.rehearse import Found, rehearse

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


class WrongError(AssertionError):
    """The errors that a rehearsal found."""


class Rehearsals:
    """Each is held once, when it is first asked for; on the loop that the simulator runs on as a process."""

    def __init__(self) -> None:
        self._held: dict[str, Found] = {}

    def of(self, case: Case) -> Found:
        """Return what the rehearsal of a case found."""
        if case.name not in self._held:
            self._held[case.name] = uvloop.run(rehearse(case))
        return self._held[case.name]


@pytest.fixture(scope="module")
def rehearsals() -> Rehearsals:
    """Yields the rehearsals of this run."""
    return Rehearsals()


def _parts() -> list[object]:
    return [
        pytest.param(
            case,
            venue,
            id=f"{case.name.replace(' ', '-')}-{venue}",
            marks=[
                pytest.mark.xdist_group(case.name),  # they look at one rehearsal
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
        begins, reason = SOMETIMES.get((case.name, venue), ("", ""))
        if begins and len(wrong) == 1 and str(wrong[0]).startswith(begins):
            pytest.xfail(reason)
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
