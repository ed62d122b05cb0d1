"""Who serves which share: the rules, and a model of many instances that crash, stall, lose answers and have wrong clocks."""

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
    """Instances and holders by their letter; a dot is nobody."""
    return LeaseSnapshot(tuple(instances), tuple(None if one == "." else one for one in holders), math.inf)


@given(st.text(min_size=1), st.integers(1, 50))
def test_every_instrument_is_in_exactly_one_share(instrument: str, of: int) -> None:
    """However many shares there are."""
    assert [Shard(number, of).has(instrument) for number in range(of)].count(True) == 1


def test_one_share_keeps_the_old_name() -> None:
    """So that its predecessor of an earlier version is refused; several have a name each."""
    assert Shard().producer == "aggregator"
    assert {Shard(number, 3).producer for number in range(3)} == {"aggregator.0", "aggregator.1", "aggregator.2"}


def test_free_shares_go_to_whoever_has_the_fewest() -> None:
    """All of them to one that is alone."""
    assert moves(table("a", "...."), "a") == Moves(acquire=(0, 1, 2, 3))
    assert moves(table("ab", "...."), "a") == Moves(acquire=(0, 2))
    assert moves(table("ab", "...."), "b") == Moves(acquire=(1, 3))
    assert moves(table("ab", "aa.."), "a") == Moves()
    assert moves(table("ab", "aa.."), "b") == Moves(acquire=(2, 3))


def test_the_one_with_the_most_gives_one_back_at_a_time() -> None:
    """While another has two fewer and nothing is free: so none comes back."""
    assert moves(table("ab", "aaaa"), "a") == Moves(release=3)
    assert moves(table("ab", "aaa."), "a") == Moves()
    assert moves(table("ab", "aaab"), "a") == Moves(release=2)
    assert moves(table("ab", "aabb"), "a") == Moves()
    assert moves(table("abc", "aabb"), "b") == Moves(release=3)
    assert moves(table("abc", "aabb"), "a") == Moves()
    assert moves(table("ab", "a"), "a") == moves(table("ab", "a"), "b") == Moves()


def test_a_share_is_given_back_after_it_has_been_stopped() -> None:
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


def test_a_share_that_only_begins_is_not_given_back_yet() -> None:
    """Another instance has come while all leases were held: one is released with the next answer."""
    one = Assignment("a", 2, LIFE_S)
    one.apply(table("a", ".."), 0)
    assert one.apply(table("ab", "aa"), 1) == ((0, 1), None, ())
    assert one.apply(table("ab", "aa"), 2) == ((), 1, ())


def test_a_share_that_another_holds_is_lost() -> None:
    """And one whose service ended by itself was not given back."""
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


def test_after_an_outage_the_others_may_speak_up_first() -> None:
    """Whoever hears the server again first does not take what the others still hold themselves for theirs."""
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
    """Does what the two scripts do, with time as a value."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.alive: dict[str, float] = {}
        self.leases: dict[int, tuple[str, float]] = {}
        self.epochs: Counter[int] = Counter()
        self.written: list[tuple[int, int, str]] = []

    def exchange(self, me: str, wants: list[Want]) -> LeaseSnapshot:
        """As `lease_table.EXCHANGE`."""
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
        """As `crosstape.bus.lease.fencing`."""
        self.epochs[number] = max(clock, self.epochs[number] + 1)
        return self.epochs[number]

    def write(self, number: int, epoch: int, who: str) -> bool:
        """Refuse an epoch that is not the newest, as the bus does."""
        if epoch != self.epochs[number]:
            return False
        self.written.append((number, epoch, who))
        return True


class Instance:
    """One aggregator: its leases, a clock of its own, the epochs it serves under (None: not claimed yet)."""

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
        """Its own time."""
        return self.server.now * self.rate + self.offset

    def sure(self) -> set[int]:
        """The shares that it holds itself allowed to publish for."""
        return set(self.epochs) if self.clock() < self.leases.sure_until else set()

    def ask(self) -> None:
        """The server does what it is asked; the answer is under way."""
        self.asked = self.clock(), self.server.exchange(self.name, self.leases.wants())

    def hear(self) -> None:
        """The answer comes."""
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
        """Claim what is not claimed, write for all it serves, stop what is to be given back."""
        for number, epoch in list(self.epochs.items()):
            if epoch is None:
                self.epochs[number] = self.server.claim(number, int(self.clock()))
            elif not self.server.write(number, epoch, self.name) or number in self.leaving:
                del self.epochs[number]
                self.leaving.discard(number)
                self.leases.stopped(number)


class Model(RuleBasedStateMachine):
    """Anything may happen, to any instance, in any order."""

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
        """Nothing is said to anybody."""
        self.running.remove(one)
        return multiple()

    @rule(seconds=st.sampled_from([0.01, 0.9, 1.1, 2.9, 3.1, 10.0]))
    def wait(self, seconds: float) -> None:
        """Whoever does nothing meanwhile is stalled."""
        self.server.now += seconds

    @rule(one=instances)
    def ask(self, one: Instance) -> None:
        """An answer that has not come yet is lost thereby."""
        one.ask()

    @rule(one=instances)
    def hear(self, one: Instance) -> None:
        """However late."""
        one.hear()

    @rule(one=instances)
    def beat(self, one: Instance) -> None:
        """All is well with it."""
        one.ask()
        one.hear()
        one.hear()
        one.work()

    @rule(one=instances)
    def work(self, one: Instance) -> None:
        """Whether it may or not: what is in its sockets goes out after a stall."""
        one.work()

    @rule()
    def lose_the_servers_data(self) -> None:
        """Of the leases; the tape itself has its own protocol for that."""
        self.server.alive.clear()
        self.server.leases.clear()
        self.lost_at = self.server.now

    @invariant()
    def two_are_never_sure_of_one_share(self) -> None:
        """Of those whose clock does not run slow, and of leases that the server has not lost."""
        sure = Counter(number for one in self.running if one.rate >= 1 for number in one.sure())
        assert self.server.now < self.lost_at + LIFE_S or all(count == 1 for count in sure.values())

    @invariant()
    def no_two_epochs_interleave_and_none_has_two_writers(self) -> None:
        """The epochs that a reader of the tape sees."""
        for number in range(SHARES):
            written = [(epoch, who) for at, epoch, who in self.server.written if at == number]
            assert all(before <= after for (before, _), (after, _) in pairwise(written))
            assert len(set(written)) == len({epoch for epoch, _ in written})

    def teardown(self) -> None:
        """When all that still run do well, every share is served again, by one, within four lives of a lease; and it stays so."""
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
