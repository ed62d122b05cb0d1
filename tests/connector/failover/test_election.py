"""Which replica becomes active: what one replica asks the lease server for, after each answer."""

from __future__ import annotations

import math

from crosstape.bus.lease.table import LeaseSnapshot, Want
from crosstape_connector.failover.election import WAIT_FOR_HEALTHY, Election, PeerStatus

LIFE_S = 1.0
ME, OTHER = "a@host:1:x", "b@host:2:y"
BOTH = (ME, OTHER)


def status(replica: str, *, healthy: bool = True, feeds: int = 4) -> PeerStatus:
    """The status of one standby replica."""
    return PeerStatus(replica=replica, active=False, healthy=healthy, covered=False, live=feeds, feeds=feeds, connections=1, held=0, ts=0)


class Observer:
    """The election of replica `a`, which a test feeds with the server's answers."""

    def __init__(self) -> None:
        self.election = Election(ME, LIFE_S)

    def ask(
        self,
        now: float,
        holder: str | None,
        *,
        lasts_s: float = math.inf,
        alive: tuple[str, ...] = BOTH,
        healthy: bool = True,
        other: bool = True,
    ) -> Want:
        """Apply an answer to a call sent at `now`, and return what the replica asks for next."""
        others = [status("b", healthy=other)] if OTHER in alive else []
        self.election.apply_answer(LeaseSnapshot(alive, (holder,), lasts_s), now, status("a", healthy=healthy), others)
        return self.election.want


def test_an_absent_lease_is_acquired_after_one_life() -> None:
    """The server may have lost it: then the former holder comes first. If no other replica acquires it, we do."""
    observer = Observer()
    assert [observer.ask(now, None, alive=(ME,)) for now in (10.0, 10.4, 10.9)] == [Want.OBSERVE] * 3
    assert observer.ask(11.0, None, alive=(ME,)) is Want.HOLD
    assert observer.election.may_acquire
    assert not observer.election.active
    observer.ask(11.0, ME, alive=(ME,))
    assert observer.election.active
    assert observer.election.want is Want.HOLD


def test_an_expired_lease_is_acquired_at_once() -> None:
    """The server answered all the time: after a kill, the tape is silent only until the lease expires."""
    observer = Observer()
    assert observer.ask(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert observer.ask(10.4, OTHER, lasts_s=0.5) is Want.OBSERVE
    assert observer.ask(10.91, None, alive=(ME,)) is Want.HOLD


def test_a_lease_that_disappears_too_early_was_lost_by_the_server() -> None:
    """The server restarted empty: the holder acquires the lease again."""
    observer = Observer()
    assert observer.ask(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert observer.ask(10.3, None, alive=(ME,)) is Want.OBSERVE
    assert observer.ask(10.6, OTHER, lasts_s=0.9) is Want.OBSERVE


def test_after_an_outage_the_former_active_replica_comes_first() -> None:
    """No replica could renew the lease during the outage, so its absence does not show that the holder is gone."""
    observer = Observer()
    assert observer.ask(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert [observer.ask(now, None, alive=(ME,)) for now in (15.0, 15.5, 15.9)] == [Want.OBSERVE] * 3
    assert observer.ask(16.1, None, alive=(ME,)) is Want.HOLD


def test_a_released_lease_is_acquired_at_once() -> None:
    """The former holder still runs, and does not hold the lease any more."""
    observer = Observer()
    assert observer.ask(10.0, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert observer.ask(10.1, None) is Want.HOLD


def test_one_that_is_not_well_leaves_it_to_one_that_is() -> None:
    """But not for ever: the status of the other replica may be out of date."""
    observer = Observer()
    observer.ask(10.0, OTHER, lasts_s=0.9)
    times = [10.91 + 0.3 * step for step in range(1, 10)]
    assert [observer.ask(now, None, healthy=False) for now in times] == [Want.OBSERVE] * len(times)
    assert observer.ask(times[0] + WAIT_FOR_HEALTHY * LIFE_S, None, healthy=False) is Want.HOLD


def test_none_that_is_well_is_no_reason_to_wait() -> None:
    """If no replica is healthy, one publishes all the same: a tape that reports feeds as down is better than a silent one."""
    observer = Observer()
    observer.ask(10.0, OTHER, lasts_s=0.9)
    assert observer.ask(10.91, None, healthy=False, other=False) is Want.HOLD


def test_a_replica_that_released_the_lease_leaves_it_to_the_others() -> None:
    """It waits for one life of the lease. If there is no other replica, it acquires the lease again at once."""
    for alive, wanted in ((BOTH, Want.OBSERVE), ((ME,), Want.HOLD)):
        observer = Observer()
        observer.ask(9.5, None, alive=(ME,))
        observer.ask(10.0, ME)
        observer.election.active = True
        observer.election.resign()
        assert observer.election.want is Want.RELEASE
        assert observer.ask(10.1, None, alive=alive) is wanted
        assert not observer.election.active
        assert observer.ask(10.8, None, alive=alive) is wanted
        assert observer.ask(11.2, None, alive=alive) is Want.HOLD


def test_a_release_is_requested_until_it_is_done() -> None:
    """The answer to an earlier request changes nothing."""
    observer = Observer()
    observer.ask(9.5, ME)
    assert observer.election.active
    observer.election.resign()
    assert observer.ask(10.0, ME) is Want.RELEASE
    assert observer.ask(10.3, OTHER, lasts_s=1.0) is Want.OBSERVE


def test_a_replica_ends_its_term_when_another_has_the_lease() -> None:
    """It was too slow to renew the lease."""
    observer = Observer()
    observer.ask(10.0, ME)
    assert observer.ask(11.5, OTHER, lasts_s=0.9) is Want.OBSERVE
    assert not observer.election.active


def test_a_replica_with_fewer_feeds_does_not_replace_one_with_more() -> None:
    """It has not reloaded its settings yet."""
    assert not status("b", feeds=3).could_replace(4)
    assert status("b", feeds=4).could_replace(4)
    assert not status("b", healthy=False).could_replace(4)
