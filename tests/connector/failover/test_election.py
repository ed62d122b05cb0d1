"""Which line publishes: what one of them does about the lease, by what it sees of it and of the others."""

from __future__ import annotations

import math

from crosstape.bus.lease.table import LeaseSnapshot, Want
from crosstape_connector.failover.election import PATIENCE, Election, PeerStatus

LIFE_S = 1.0
ME, OTHER = "a@host:1:x", "b@host:2:y"
BOTH = (ME, OTHER)


def status(replica: str, *, healthy: bool = True, feeds: int = 4) -> PeerStatus:
    """How a line is."""
    return PeerStatus(replica=replica, active=False, healthy=healthy, covered=False, live=feeds, feeds=feeds, connections=1, held=0, ts=0)


class Seen:
    """One line that asks again and again."""

    def __init__(self) -> None:
        self.line = Election(ME, LIFE_S)

    def table(
        self,
        now: float,
        holder: str | None,
        *,
        lasts_s: float = math.inf,
        alive: tuple[str, ...] = BOTH,
        well: bool = True,
        other: bool = True,
    ) -> Want:
        """It asked at `now` and saw this; what it wants then."""
        others = [status("b", healthy=other)] if OTHER in alive else []
        self.line.answered(LeaseSnapshot(alive, (holder,), lasts_s), now, status("a", healthy=well), others)
        return self.line.want


def test_a_lease_that_is_not_there_is_left_alone_for_a_life_of_it() -> None:
    """Whoever held it comes first, if the server has merely lost it; with nobody there it is taken then."""
    seen = Seen()
    assert [seen.table(now, None, alive=(ME,)) for now in (10.0, 10.4, 10.9)] == [Want.OBSERVE] * 3
    assert seen.table(11.0, None, alive=(ME,)) is Want.HOLD
    assert seen.line.taking
    assert not seen.line.active
    seen.table(11.0, ME, alive=(ME,))
    assert seen.line.active
    assert seen.line.want is Want.HOLD


def test_a_lease_that_ran_out_is_taken_at_once() -> None:
    """The server answered all the while: a kill costs what was left of the lease."""
    seen = Seen()
    assert seen.table(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert seen.table(10.4, OTHER, lasts_s=0.5) is Want.OBSERVE
    assert seen.table(10.91, None, alive=(ME,)) is Want.HOLD


def test_a_lease_that_is_gone_too_early_was_lost_by_the_server() -> None:
    """It has come back empty: its holder takes it again; if it does not, the lease would have run out."""
    seen = Seen()
    assert seen.table(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert seen.table(10.3, None, alive=(ME,)) is Want.OBSERVE
    assert seen.table(10.6, OTHER, lasts_s=0.9) is Want.OBSERVE


def test_after_an_outage_whoever_published_comes_first() -> None:
    """What has run out while nobody could renew it was not given up."""
    seen = Seen()
    assert seen.table(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert [seen.table(now, None, alive=(ME,)) for now in (15.0, 15.5, 15.9)] == [Want.OBSERVE] * 3
    assert seen.table(16.1, None, alive=(ME,)) is Want.HOLD


def test_a_lease_that_was_given_up_is_taken_at_once() -> None:
    """Its holder lives, and does not hold it."""
    seen = Seen()
    assert seen.table(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert seen.table(10.1, None) is Want.HOLD


def test_one_that_is_not_well_leaves_it_to_one_that_is() -> None:
    """But not for ever: a word may be out of date."""
    seen = Seen()
    seen.table(10.0, OTHER, lasts_s=0.9)
    times = [10.91 + 0.3 * step for step in range(1, 10)]
    assert [seen.table(now, None, well=False) for now in times] == [Want.OBSERVE] * len(times)
    assert seen.table(times[0] + PATIENCE * LIFE_S, None, well=False) is Want.HOLD


def test_none_that_is_well_is_no_reason_to_wait() -> None:
    """A tape that says that all is down is better than a silent one."""
    seen = Seen()
    seen.table(10.0, OTHER, lasts_s=0.9)
    assert seen.table(10.91, None, well=False, other=False) is Want.HOLD


def test_whoever_gave_it_up_lets_the_others_have_it() -> None:
    """For a life of it; at once if there is nobody else."""
    for alive, wanted in ((BOTH, Want.OBSERVE), ((ME,), Want.HOLD)):
        seen = Seen()
        seen.table(9.5, None, alive=(ME,))
        seen.table(10.0, ME)
        seen.line.active = True
        seen.line.resign()
        assert seen.line.want is Want.RELEASE
        assert seen.table(10.1, None, alive=alive) is wanted
        assert not seen.line.active
        assert seen.table(10.8, None, alive=alive) is wanted
        assert seen.table(11.2, None, alive=alive) is Want.HOLD


def test_giving_it_up_is_said_until_it_is_done() -> None:
    """An answer to what was asked before changes nothing."""
    seen = Seen()
    seen.table(9.5, ME)
    assert seen.line.active
    seen.line.resign()
    assert seen.table(10.0, ME) is Want.RELEASE
    assert seen.table(10.3, OTHER, lasts_s=1.0) is Want.OBSERVE


def test_another_that_has_it_has_it() -> None:
    """Ours was too slow to renew it."""
    seen = Seen()
    seen.table(10.0, ME)
    assert seen.table(11.5, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert not seen.line.active


def test_a_line_with_fewer_feeds_does_not_replace_one_with_more() -> None:
    """It has not read the settings anew yet."""
    assert not status("b", feeds=3).could_replace(4)
    assert status("b", feeds=4).could_replace(4)
    assert not status("b", healthy=False).could_replace(4)
