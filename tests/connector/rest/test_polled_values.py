"""Figures that a venue has only by REST: from a fake venue onto the tape."""

from __future__ import annotations

import msgspec
import pytest
from aiohttp import web

from crosstape_connector import backoff
from crosstape_connector.rest import polling_rules, worker
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import FeedState, Gap, OpenInterest, Status
from tests.connector.fake_venue import INTEREST, endpoint, fake, serving
from tests.connector.rig import QUICK, Rig, rigged
from tests.waiting import wait_until

FIGURES = msgspec.structs.replace(QUICK, kinds=("trade", "open_interest"))
NAME = "AAA-USD-PERP"
KIND = "open_interest"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses."""
    monkeypatch.setattr(polling_rules, "POLL_S", 0.02)
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "LOOK_S", 0.05)


def polled() -> Venue:
    """A venue that has its open interest only by REST."""
    return fake(endpoint(channels={"trade": "trades"}), polled=(INTEREST,))


def sizes(rig: Rig) -> list[str]:
    """Return the published sizes of the perpetual."""
    return [str(event.size) for event in rig.of(OpenInterest, NAME)]


async def test_figures_are_polled_all_the_time() -> None:
    """A figure that has not changed is not published again. Two symbols fit into one request; spot has no open interest."""
    async with serving() as server, rigged(server, polled(), FIGURES, ["AAAUSDP", "BBBUSDP", "CCCUSDP", "DDDUSD"]) as rig:
        server.interest = {"AAAUSDP": "12", "BBBUSDP": "3", "CCCUSDP": "4"}
        async with rig.supervised():
            await wait_until(lambda: len(rig.of(OpenInterest)) == 3, what="one of each")
            await wait_until(lambda: len(server.calls) > 6, what="asked again")
            server.interest["AAAUSDP"] = "13"
            await wait_until(lambda: len(rig.of(OpenInterest)) == 4, what="the change")

            assert sizes(rig) == ["12", "13"]
            assert rig.states(NAME, KIND) == [FeedState.LIVE]
            assert set(server.calls) == {"/interest?symbols=AAAUSDP,BBBUSDP", "/interest?symbols=CCCUSDP"}
            assert "DDD-USD" not in {event.instrument for event in rig.tape if isinstance(event, Status) and event.kind == KIND}


async def test_a_feed_whose_answers_fail_is_stale_then_down() -> None:
    """With the reason. When answers come again, a gap says that figures in between were not seen."""
    async with serving() as server, rigged(server, polled(), FIGURES, ["AAAUSDP"]) as rig, rig.supervised():
        server.interest = {"AAAUSDP": "12"}
        await wait_until(lambda: sizes(rig) == ["12"], what="the first")
        server.answers += [web.Response(status=500, text="broken") for _ in range(4)]
        server.interest = {"AAAUSDP": "14"}
        await wait_until(lambda: sizes(rig) == ["12", "14"], what="answers again")

        assert rig.states(NAME, KIND) == [FeedState.LIVE, FeedState.STALE, FeedState.DOWN, FeedState.LIVE]
        assert [event.reason.startswith("REST fails: ") for event in rig.of_status(NAME) if event.state is FeedState.DOWN] == [True]
        assert [gap.kind for gap in rig.of(Gap)] == [KIND]


async def test_a_symbol_that_the_answer_lacks_is_stale_alone() -> None:
    """The others stay live."""
    async with serving() as server, rigged(server, polled(), FIGURES, ["AAAUSDP", "BBBUSDP"]) as rig, rig.supervised():
        server.interest = {"AAAUSDP": "12", "BBBUSDP": "3"}
        await wait_until(lambda: len(rig.of(OpenInterest)) == 2, what="one of each")
        del server.interest["AAAUSDP"]
        await wait_until(lambda: rig.state(NAME, KIND) is FeedState.DOWN, what="down")

        assert rig.states(NAME, KIND) == [FeedState.LIVE, FeedState.STALE, FeedState.DOWN]
        assert rig.state("BBB-USD-PERP", KIND) is FeedState.LIVE


async def test_a_standby_replica_does_not_poll() -> None:
    """What it had is not repeated as the newest when it publishes again."""
    async with serving() as server, rigged(server, polled(), FIGURES, ["AAAUSDP"]) as rig, rig.supervised():
        server.interest = {"AAAUSDP": "12"}
        await wait_until(lambda: sizes(rig) == ["12"], what="the first")
        rig.active = False
        await wait_until(lambda: rig.state(NAME, KIND) is FeedState.DOWN, what="standby")
        calls, asked = len(server.calls), rig.asked
        await wait_until(lambda: rig.asked >= asked + 3, what="it has looked")
        assert len(server.calls) == calls
        assert not [event for event in rig.feeds.restate(1) if isinstance(event, OpenInterest)]

        server.interest = {"AAAUSDP": "15"}
        rig.active = True
        await wait_until(lambda: sizes(rig) == ["12", "15"], what="polled again")
        assert rig.state(NAME, KIND) is FeedState.LIVE
