"""The server lives, and is slow, refuses, forgets or hangs up, under three connectors and an aggregator.

One stand is for all faults, one after another, because starting services takes longer than most of them; each is a test of its own.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import pytest

from tests.chaos.place import reached
from tests.chaos.rehearse import Audience
from tests.chaos.server_faults import FAULTS, OPTIONS, PASSWORD, Fault, noticing
from tests.chaos.stand import Stand, standing
from tests.chaos.test_server import BOUNDS, lost

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300), pytest.mark.xdist_group("server faults")]  # they look at one rehearsal


async def _again(stand: Stand, since: int) -> list[str]:
    """Returns everything that is not live, not quoted, lost or wrong on the tape, although it should be healthy again."""
    audience = Audience(stand)
    await audience.live(since)
    await audience.quoted(since)
    wrong = [f"{venue}: {text}" for venue, texts in audience.wrong.items() for text in texts]
    wrong += [f"{kind}: {count} are told as lost" for kind, count in (await lost(stand)).items()]
    return wrong + [str(violation) for violation in await stand.violations(BOUNDS)]


async def _rehearsed() -> dict[str, list[str]]:
    """Returns, by the name of the fault, the errors after each fault that were not there before."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as name:
        directory = Path(name)
        async with reached(directory, password=PASSWORD, options=OPTIONS) as at, standing(directory, at.place) as stand:
            variables = {"CROSSTAPE_BUS__PASSWORD": PASSWORD, "CROSSTAPE_BUS__TIMEOUT_S": "2"}
            await stand.connectors(**variables)
            await stand.start("aggregator", **variables)
            before = set(await _again(stand, 0))
            found = {"": sorted(before)}
            for fault in FAULTS:
                wrong = []
                try:
                    await fault.act(at, noticing(stand.logged, fault.logged))
                except AssertionError as exc:
                    wrong.append(str(exc))
                wrong += await _again(stand, time.time_ns())
                found[fault.name] = [one for one in wrong if one not in before]
                before.update(wrong)
            return found


@pytest.fixture(scope="module")
def rehearsed() -> dict[str, list[str]]:
    """Runs all faults once, for all tests of this module."""
    return asyncio.run(_rehearsed())


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_the_tape_is_right_whatever_its_server_does(fault: Fault, rehearsed: dict[str, list[str]]) -> None:
    """Every service notices and goes on by itself; nothing is lost, doubled or held to be live too long."""
    assert rehearsed[""] == [], "before any fault"
    assert rehearsed[fault.name] == []
