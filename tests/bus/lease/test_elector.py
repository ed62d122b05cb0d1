"""When an elector calls, and how it passes on the answers. The policy here only takes notes; real ones start and stop work."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosstape.bus.lease.elector import CALLS, Elector
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseSnapshot
from tests.waiting import wait_until

LONG_S = 600.0
"""A lease of which no second call is due during a test."""
FREE = LeaseSnapshot(("me",), (None,), math.inf)


class Notes:
    """A policy that writes down what it is asked for. `answers` come first, then always the last of them."""

    def __init__(self, *answers: LeaseSnapshot | Exception, takes: int = 0) -> None:
        self.seen: list[str] = []
        self.answers = list(answers) or [FREE]
        self.takes = takes
        """How many answers leave a lease to take."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def prepare(self) -> None:
        """See `Policy`."""
        self.seen.append("prepare")

    async def ask(self) -> LeaseSnapshot:
        """See `Policy`."""
        self.seen.append("ask")
        await self.may_answer.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def apply(self, leases: LeaseSnapshot, sent_at: float) -> bool:
        """See `Policy`."""
        assert sent_at <= time.monotonic()
        self.seen.append("apply")
        self.takes -= 1
        return self.takes >= 0

    def unanswered(self, reason: str) -> None:
        """See `Policy`."""
        self.seen.append(f"unanswered: {reason}")

    def mismatched(self, theirs: int) -> None:
        """See `Policy`."""
        self.seen.append(f"mismatched: {theirs}")
        if theirs > 9:
            raise ValueError(theirs)

    def count(self, what: str) -> int:
        """How often this was noted."""
        return self.seen.count(what)


@asynccontextmanager
async def running(policy: Notes, life_s: float = LONG_S, longest_s: float = math.inf) -> AsyncIterator[Elector]:
    """An elector that runs, for the length of the block."""
    elector = Elector(policy, life_s, longest_s=longest_s)
    task = asyncio.create_task(elector.run())
    try:
        yield elector
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_while_there_is_a_lease_to_take_the_next_call_follows_at_once() -> None:
    """And then none, until it is due or the elector is woken."""
    policy = Notes(takes=2)
    async with running(policy) as elector:
        await wait_until(lambda: policy.count("apply") == 3, what="three calls")
        assert policy.seen == ["prepare", "ask", "apply"] * 3
        assert elector.every_s == LONG_S / CALLS
        elector.wake()
        await wait_until(lambda: policy.count("apply") == 4, what="one more")


async def test_calls_come_thrice_in_the_life_of_a_lease_or_more_often() -> None:
    """Sooner if the policy's owner sets a bound, or when the lease of another instance expires."""
    policy = Notes()
    async with running(policy, life_s=0.03):
        await wait_until(lambda: policy.count("apply") > 3, what="calls by a short life")
    policy = Notes()
    async with running(policy, longest_s=0.01):
        await wait_until(lambda: policy.count("apply") > 3, what="calls by a short bound")
    policy = Notes(LeaseSnapshot(("me", "other"), ("other",), 0.01), FREE)
    async with running(policy):
        await wait_until(lambda: policy.count("apply") == 2, what="a call when the other's lease has expired")


async def test_an_outage_is_said_once_and_again_after_an_answer() -> None:
    """Neither each attempt, nor only the first outage of all."""
    policy = Notes(OSError("away"), OSError("away"), FREE, OSError(), FREE)
    async with running(policy, life_s=0.09) as elector:
        assert elector.answered_at == -math.inf
        await wait_until(lambda: policy.count("apply") >= 2, what="two answers")
        assert elector.answered_at > 0
    assert [note for note in policy.seen if note.startswith("unanswered")] == ["unanswered: away", "unanswered: OSError"]


async def test_no_answer_in_time_is_no_answer() -> None:
    """A server that hangs is asked again."""
    policy = Notes()
    policy.may_answer.clear()
    async with running(policy, life_s=0.03):
        await wait_until(lambda: policy.count("ask") >= 2, what="a second attempt")
        policy.may_answer.set()
        await wait_until(lambda: policy.count("apply") > 0, what="an answer")
    assert policy.count("unanswered: TimeoutError") == 1


async def test_another_number_of_leases_is_said_each_time_and_may_end_it() -> None:
    """It is no outage: the policy decides how long to continue."""
    policy = Notes(LeaseCountMismatch(4), LeaseCountMismatch(4), LeaseCountMismatch(10))
    with pytest.raises(ValueError, match="10"):
        await Elector(policy, 0.03).run()
    assert policy.count("mismatched: 4") == 2
    assert policy.count("apply") == 0


async def test_once_stopped_it_calls_no_more() -> None:
    """The block begins when the call that is under way is done, with what follows from it."""
    policy = Notes(takes=5)
    policy.may_answer.clear()
    async with running(policy) as elector:
        await wait_until(lambda: policy.count("ask") == 1, what="a call under way")
        stopping = asyncio.create_task(elector.stopped().__aenter__())
        await asyncio.wait([stopping], timeout=0.02)
        assert not stopping.done()
        policy.may_answer.set()
        await stopping
        assert policy.seen == ["prepare", "ask", "apply"]
        elector.wake()
        await asyncio.sleep(0)
        assert policy.count("ask") == 1
