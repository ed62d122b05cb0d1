"""A worker makes the requests of its kind when they are due, and pauses after a failure."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosstape_connector import backoff
from crosstape_connector.errors import RestFailed
from crosstape_connector.rest import worker
from crosstape_connector.rest.worker import RequestWorker, RestRequest
from tests.waiting import wait_until


class Kind:
    """Has the requests, and the waits between them, that a test puts in."""

    def __init__(self) -> None:
        self.worker = RequestWorker(self.next_request)
        self.requests: list[float | Exception | None] = []
        """How the next requests end: with this error, or (None) an answer. A number is a wait before the next one, in seconds."""
        self.looks = 0
        self.made = 0
        self.failures: list[int] = []

    def next_request(self) -> RestRequest | float:
        """Return the next request; without any, wait to be woken."""
        self.looks += 1
        if not self.requests:
            return math.inf
        if isinstance(wait_s := self.requests[0], float):
            del self.requests[0]
            return wait_s
        return self.make

    async def make(self) -> None:
        """Make one request."""
        self.made += 1
        self.failures.append(self.worker.failures)
        outcome = self.requests.pop(0)
        if isinstance(outcome, Exception):
            raise outcome


@asynccontextmanager
async def working(monkeypatch: pytest.MonkeyPatch, look_s: float = 3600.0) -> AsyncIterator[Kind]:
    """Run a worker; it must not end."""
    monkeypatch.setattr(worker, "LOOK_S", look_s)
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    kind = Kind()
    task = asyncio.create_task(kind.worker.run())
    try:
        yield kind
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_worker_without_requests_sleeps_until_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks once, and once more for each `wake`; a request that is due in a moment is made then."""
    async with working(monkeypatch) as kind:
        await wait_until(lambda: kind.looks == 1, what="the first look")
        kind.worker.wake()
        await wait_until(lambda: kind.looks == 2, what="the second")
        kind.requests += [0.01, None, None]
        kind.worker.wake()
        await wait_until(lambda: kind.made == 2, what="both requests")
        assert kind.looks == 6, "woken, 0.01 s later, after each request"


async def test_a_request_that_nobody_announced_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within `LOOK_S`."""
    async with working(monkeypatch, look_s=0.01) as kind:
        await wait_until(lambda: kind.looks > 3, what="looks")
        kind.requests.append(None)
        await wait_until(lambda: kind.made == 1, what="the request")


async def test_a_pause_after_a_failure_is_not_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures in a row are counted until a request is answered; a wait that the venue asks for is kept."""
    async with working(monkeypatch) as kind:
        kind.requests += [RestFailed("one"), 0.0, RestFailed("two"), None, RestFailed("three", retry_after_s=3600.0), None]
        kind.worker.wake()
        await wait_until(lambda: len(kind.requests) == 1, what="the last pause")
        assert kind.failures == [0, 1, 2, 0]
        looks = kind.looks
        for _ in range(10):
            kind.worker.wake()
            await asyncio.sleep(0)
        assert (kind.looks, kind.made) == (looks, 4)
