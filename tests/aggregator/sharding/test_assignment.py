"""Tests which instance serves which shard: the rules, and a model of instances that crash, stall, lose answers or have wrong clocks."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from crosstape.bus.lease.table import LeaseSnapshot, Want
from crosstape_aggregator.sharding.assignment import Assignment, Moves, Shard, moves

LIFE_S = 3.0
BEAT_S = LIFE_S / 3
SHARES = 4


def table(instances: str, holders: str) -> LeaseSnapshot:
    """Make a snapshot. Each letter is an instance, or the holder of a lease; a dot is a free lease."""
    return LeaseSnapshot(tuple(instances), tuple(None if one == "." else one for one in holders), math.inf)


@given(st.text(min_size=1), st.integers(1, 50))
def test_every_instrument_is_in_exactly_one_shard(instrument: str, of: int) -> None:
    """The number of shards does not matter."""
    assert [Shard(number, of).has(instrument) for number in range(of)].count(True) == 1


def test_a_single_shard_keeps_the_old_name() -> None:
    """So a predecessor of an earlier version is refused. If there are several shards, each has its own name."""
    assert Shard().producer == "aggregator"
    assert {Shard(number, 3).producer for number in range(3)} == {"aggregator.0", "aggregator.1", "aggregator.2"}


def test_free_shards_go_to_the_instance_with_the_fewest() -> None:
    """A single instance gets all shards."""
    assert moves(table("a", "...."), "a") == Moves(acquire=(0, 1, 2, 3))
    assert moves(table("ab", "...."), "a") == Moves(acquire=(0, 2))
    assert moves(table("ab", "...."), "b") == Moves(acquire=(1, 3))
    assert moves(table("ab", "aa.."), "a") == Moves()
    assert moves(table("ab", "aa.."), "b") == Moves(acquire=(2, 3))


def test_the_instance_with_the_most_releases_one_at_a_time() -> None:
    """It does so only if another has two fewer and none is free, so that the shard does not come back."""
    assert moves(table("ab", "aaaa"), "a") == Moves(release=3)
    assert moves(table("ab", "aaa."), "a") == Moves()
    assert moves(table("ab", "aaab"), "a") == Moves(release=2)
    assert moves(table("ab", "aabb"), "a") == Moves()
    assert moves(table("abc", "aabb"), "b") == Moves(release=3)
    assert moves(table("abc", "aabb"), "a") == Moves()
    assert moves(table("ab", "a"), "a") == moves(table("ab", "a"), "b") == Moves()


def test_a_shard_is_released_after_it_has_been_stopped() -> None:
    """Until then its lease is renewed."""
    one = Assignment("a", 2, LIFE_S)
    one.apply(table("a", ".."), 0)
    assert one.wants() == [Want.HOLD, Want.HOLD]
    assert one.apply(table("a", "aa"), 1).start == (0, 1)
    assert one.apply(table("ab", "aa"), 2).release == 1
    assert one.wants() == [Want.HOLD, Want.HOLD]
    assert one.apply(table("ab", "aa"), 3).release is None
    assert not one.stopped(1)
    assert one.wants() == [Want.HOLD, Want.RELEASE]
    assert one.apply(table("ab", "a."), 4) == ((), None, ())
    assert one.wants() == [Want.HOLD, Want.OBSERVE]
    assert not one.acquiring


def test_a_shard_that_only_starts_is_not_released_yet() -> None:
    """A new instance arrives while all leases are held: a shard is released with the next answer only."""
    one = Assignment("a", 2, LIFE_S)
    one.apply(table("a", ".."), 0)
    assert one.apply(table("ab", "aa"), 1) == ((0, 1), None, ())
    assert one.apply(table("ab", "aa"), 2) == ((), 1, ())


def test_a_shard_that_another_instance_holds_is_lost() -> None:
    """`stopped` returns True if a service ended without a request, and its lease is released."""
    one = Assignment("a", 2, LIFE_S)
    one.apply(table("a", ".."), 0)
    one.apply(table("a", "aa"), 0)
    assert one.apply(table("ab", "ab"), 5).lost == (1,)
    assert one.sure_until == 5 + LIFE_S
    assert one.stopped(0)
    assert not one.stopped(0)
    assert one.wants() == [Want.RELEASE, Want.OBSERVE]
    assert not one.is_standby
    one.apply(table("ab", "bb"), 6)
    assert one.is_standby


def test_after_an_outage_other_instances_may_renew_first() -> None:
    """The first instance after an outage does not acquire shards that others still serve."""
    one = Assignment("a", 2, LIFE_S)
    one.apply(table("a", ".."), 0)
    one.apply(table("ab", "ab"), 0)
    one.apply(table("a", "a."), 2 * LIFE_S)
    assert not one.acquiring
    one.apply(table("a", "a."), 3 * LIFE_S - BEAT_S)
    assert not one.acquiring
    one.apply(table("a", "a."), 3 * LIFE_S)
    assert one.acquiring == {1}


class Server:
    """Behaves like the server with its two scripts; the caller passes the time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.alive: dict[str, float] = {}
        self.leases: dict[int, tuple[str, float]] = {}
        self.epochs: Counter[int] = Counter()
        self.written: list[tuple[int, int, str]] = []

    def exchange(self, me: str, wants: list[Want]) -> LeaseSnapshot:
        """Answer a call as the script `EXCHANGE` of `crosstape.bus.lease.table` does."""
        self.alive = {name: until for name, until in self.alive.items() if until > self.now} | {me: self.now + LIFE_S}
        self.leases = {number: lease for number, lease in self.leases.items() if lease[1] > self.now}
        for number, want in enumerate(wants):
            holder = self.leases.get(number, (None,))[0]
            if want is Want.HOLD and holder in {None, me}:
                self.leases[number] = me, self.now + LIFE_S
            elif want is Want.RELEASE and holder == me:
                del self.leases[number]
        return LeaseSnapshot(tuple(sorted(self.alive)), tuple(self.leases.get(number, (None,))[0] for number in range(SHARES)), math.inf)

    def claim(self, number: int, clock: int) -> int:
        """Claim an epoch as `crosstape.bus.lease.fencing` does."""
        self.epochs[number] = max(clock, self.epochs[number] + 1)
        return self.epochs[number]

    def write(self, number: int, epoch: int, who: str) -> bool:
        """Write with an epoch. Like the bus, refuse one that is not the newest."""
        if epoch != self.epochs[number]:
            return False
        self.written.append((number, epoch, who))
        return True


class Instance:
    """One aggregator: its leases, its own clock, and the epoch of each shard that it serves (None: not claimed yet)."""

    def __init__(self, name: str, server: Server, rate: float, offset: float) -> None:
        self.name = name
        self.server = server
        self.rate = rate
        self.offset = offset
        self.leases = Assignment(name, SHARES, LIFE_S)
        self.epochs: dict[int, int | None] = {}
        self.leaving: set[int] = set()
        self.asked: tuple[float, LeaseSnapshot] | None = None

    def clock(self) -> float:
        """Return the time of its own clock."""
        return self.server.now * self.rate + self.offset

    def sure(self) -> set[int]:
        """Return the shards that it would publish for."""
        return set(self.epochs) if self.clock() < self.leases.sure_until else set()

    def ask(self) -> None:
        """Send a call. The server applies it, and its answer is on the way."""
        self.asked = self.clock(), self.server.exchange(self.name, self.leases.wants())

    def hear(self) -> None:
        """Receive the answer."""
        if self.asked is None:
            return
        (sent_at, found), self.asked = self.asked, None
        changes = self.leases.apply(found, sent_at)
        for number in changes.lost:
            del self.epochs[number]
            self.leaving.discard(number)
        self.epochs.update(dict.fromkeys(changes.start))
        if changes.release is not None:
            self.leaving.add(changes.release)
        if self.leases.acquiring:
            self.ask()

    def work(self) -> None:
        """Claim shards that are not claimed, write for all that it serves, and stop those to release."""
        for number, epoch in list(self.epochs.items()):
            if epoch is None:
                self.epochs[number] = self.server.claim(number, int(self.clock()))
            elif not self.server.write(number, epoch, self.name) or number in self.leaving:
                del self.epochs[number]
                self.leaving.discard(number)
                self.leases.stopped(number)


class Model(RuleBasedStateMachine):
    """Many instances and one server: anything may happen to any instance, in any order."""

    instances = Bundle("instances")

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.running: list[Instance] = []
        self.started = 0
        self.lost_at = -LIFE_S

    @rule(target=instances, rate=st.sampled_from([0.5, 1.0, 1.0, 2.0]), offset=st.floats(-1e3, 1e3))
    def start(self, rate: float, offset: float) -> Instance:
        """Start another instance with a clock of its own."""
        self.started += 1
        self.running.append(Instance(f"i{self.started}", self.server, rate, offset))
        return self.running[-1]

    @rule(target=instances, one=consumes(instances))
    def crash(self, one: Instance) -> object:
        """Let an instance crash, without any message."""
        self.running.remove(one)
        return multiple()

    @rule(seconds=st.sampled_from([0.01, 0.9, 1.1, 2.9, 3.1, 10.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass. An instance that does nothing meanwhile is stalled."""
        self.server.now += seconds

    @rule(one=instances)
    def ask(self, one: Instance) -> None:
        """Let an instance send a call. An earlier answer that is still on the way is lost."""
        one.ask()

    @rule(one=instances)
    def hear(self, one: Instance) -> None:
        """Let an instance receive its answer, however late."""
        one.hear()

    @rule(one=instances)
    def beat(self, one: Instance) -> None:
        """Let an instance make one call and receive the answer without any fault."""
        one.ask()
        one.hear()
        one.hear()
        one.work()

    @rule(one=instances)
    def work(self, one: Instance) -> None:
        """Let an instance write, allowed or not: after a stall, it sends what is still in its sockets."""
        one.work()

    @rule()
    def lose_the_servers_data(self) -> None:
        """Let the server lose the leases. (For a loss of the tape, the bus has its own protocol.)"""
        self.server.alive.clear()
        self.server.leases.clear()
        self.lost_at = self.server.now

    @invariant()
    def two_are_never_sure_of_one_share(self) -> None:
        """No two instances would publish for one shard, if their clocks do not run slow and the server has not lost leases."""
        sure = Counter(number for one in self.running if one.rate >= 1 for number in one.sure())
        assert self.server.now < self.lost_at + LIFE_S or all(count == 1 for count in sure.values())

    @invariant()
    def no_two_epochs_interleave_and_none_has_two_writers(self) -> None:
        """On the tape epochs never go back, and each has one writer."""
        for number in range(SHARES):
            written = [(epoch, who) for at, epoch, who in self.server.written if at == number]
            assert all(before <= after for (before, _), (after, _) in pairwise(written))
            assert len(set(written)) == len({epoch for epoch, _ in written})

    def teardown(self) -> None:
        """When faults end, each shard is served by exactly one instance within four lives of a lease, and this does not change."""
        if not self.running:
            return
        for _ in range(12):
            self._all_beat()
        self.server.written.clear()
        self._all_beat()
        writers = {number: who for number, _, who in self.server.written}
        assert len(self.server.written) == len(writers) == SHARES
        for _ in range(3 * SHARES):
            self._all_beat()
        counts = Counter(writers.values())
        settled = [set(one.epochs) for one in self.running]
        sizes = [len(one) for one in settled]
        assert sum(sizes) == SHARES, counts
        assert max(sizes) - min(sizes) <= 1
        for _ in range(6):
            self._all_beat()
        assert [set(one.epochs) for one in self.running] == settled

    def _all_beat(self) -> None:
        for one in self.running:
            self.beat(one)
        self.server.now += BEAT_S


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
