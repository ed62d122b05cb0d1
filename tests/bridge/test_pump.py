"""One stream of the library: what its errors mean, and how often it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from crosstape.errors import WrongTape
from crosstape_connector.bridge.failures import Meaning, meaning, ours, reason
from crosstape_connector.bridge.parking import PARKED_S, TRIES, Parking, Stream
from crosstape_connector.bridge.pump import Pump
from tests.waiting import wait_until

STREAM = ("trades", "BTC/USD")
TRADE = {"id": "7", "price": "61000.5", "amount": "0.25", "side": "buy", "timestamp": 1_767_225_600_123, "info": {}}


class BaseError(Exception):
    """Stands for the library's."""


class ExchangeError(BaseError):
    """Likewise."""


class BadSymbol(ExchangeError):
    """Likewise."""


class NetworkError(BaseError):
    """Likewise."""


class RateLimitExceeded(NetworkError):
    """Likewise."""


class ExchangeNotAvailable(NetworkError):
    """Likewise."""


class OnMaintenance(ExchangeNotAvailable):
    """Likewise."""


class ChecksumError(NetworkError):
    """Likewise."""


class UnsubscribeError(BaseError):
    """Likewise."""


class FakeExchange:
    """Answers each call with the next of these; then it waits for ever, as a quiet market does."""

    def __init__(self, *answers: object) -> None:
        self.calls = 0
        self._answers = iter(answers)

    async def watch_trades(self, symbol: str) -> Any:
        """Return or raise the next answer."""
        self.calls += 1
        answer = next(self._answers, None)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Run:
    """A pump, what it sent, and by which error the connection was lost."""

    def __init__(self, exchange: FakeExchange, parking: Parking) -> None:
        self.sent: list[dict[str, Any]] = []
        self.lost: list[BaseException] = []
        self.pauses: list[float] = []
        """How long it wanted to wait, in seconds; it is not made to."""
        self.pump = Pump(
            exchange, STREAM, depth=10, library_class="kraken", parking=parking,
            send=self._send, refuse=self._refuse, lost=self.lost.append, pause=self._pause,
        )  # fmt: skip

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def _refuse(self, stream: Stream, why: str) -> None:
        self.sent.append({"t": "refused", "channel": stream[0], "symbol": stream[1], "reason": why})

    def _send(self, frame: bytes) -> None:
        self.sent.append(msgspec.json.decode(frame))

    @property
    def tags(self) -> list[str]:
        """The kinds of the frames."""
        return [frame["t"] for frame in self.sent]


@asynccontextmanager
async def running(*answers: object, parking: Parking | None = None) -> AsyncIterator[tuple[Run, asyncio.Task[None]]]:
    """Run a pump during the block."""
    run = Run(FakeExchange(*answers), parking or Parking())
    task = asyncio.create_task(run.pump.run())
    try:
        yield run, task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_comes_is_passed_on_at_once() -> None:
    """Prices and sizes are the texts that the library has; times are ns."""
    async with running([TRADE]) as (run, _):
        await wait_until(lambda: run.sent, what="a frame")

    (frame,) = run.sent
    assert (frame["t"], frame["s"]) == ("trades", "BTC/USD")
    assert frame["rows"] == [{"price": "61000.5", "amount": "0.25", "id": "7", "ns": 1_767_225_600_123_000_000, "side": "buy"}]


async def test_the_librarys_cancelling_is_not_ours() -> None:
    """It ends all streams of a connection so. An ordinary `except Exception` would not see it, and the stream would end in silence."""
    async with running([TRADE], asyncio.CancelledError()) as (run, task):
        await asyncio.wait({task})

        assert not task.cancelled()
        assert [type(error) for error in run.lost] == [asyncio.CancelledError]


async def test_our_cancelling_ends_the_stream() -> None:
    """Nothing is reported as lost."""
    async with running([TRADE]) as (run, task):
        await wait_until(lambda: run.sent, what="a frame")
        task.cancel()
        await asyncio.wait({task})

        assert task.cancelled()
        assert not run.lost


@pytest.mark.parametrize("error", [NetworkError("closed"), RateLimitExceeded("429"), OnMaintenance("back soon")])
async def test_an_error_of_the_network_is_the_connections_end(error: Exception) -> None:
    """The stream does not connect by itself: the library would keep both connections."""
    async with running(error) as (run, task):
        await asyncio.wait({task})

    assert run.lost == [error]
    assert run.sent == []


async def test_a_stream_that_the_exchange_does_not_have_is_refused() -> None:
    """It is not asked for again."""
    async with running(BadSymbol("kraken does not have market symbol BTC/USD")) as (run, task):
        await asyncio.wait({task})

    assert run.sent == [{"t": "refused", "channel": "trades", "symbol": "BTC/USD", "reason": "kraken does not have market symbol BTC/USD"}]


async def test_a_stream_that_fails_alone_is_asked_for_again_after_a_pause() -> None:
    """What was missed is reported."""
    async with running(ExchangeError("odd"), ChecksumError("odd"), [TRADE]) as (run, _):
        await wait_until(lambda: "trades" in run.tags, what="a trade")

    assert run.tags == ["broken", "broken", "trades"]
    assert run.pauses == [1.0, 2.0]


async def test_a_stream_that_fails_again_and_again_ends_its_connection_and_is_parked() -> None:
    """Each try may close the connection of the others, so that the next connection does not try."""
    parking = Parking()
    async with running(*[ExchangeError("odd")] * TRIES, parking=parking) as (run, task):
        await asyncio.wait({task})

    assert run.tags == ["broken", "broken"]
    assert [str(error) for error in run.lost] == ["odd"]
    assert parking.parked_s(STREAM, time.monotonic()) > 0


async def test_a_parked_stream_stays_parked_on_the_next_connection() -> None:
    """Then it is tried now and then; when it works again, its subscription is confirmed."""
    parking = Parking()
    for _ in range(TRIES):
        parking.failed(STREAM, time.monotonic())

    async with running(ExchangeError("odd"), [TRADE], parking=parking) as (run, _):
        await wait_until(lambda: "trades" in run.tags, what="a trade")

    assert run.tags == ["refused", "ready", "trades"]
    assert not run.lost
    assert run.pauses[0] == pytest.approx(PARKED_S, abs=5)


async def test_a_stream_that_the_library_unsubscribes_is_asked_for_again() -> None:
    """We have unsubscribed another, or this one before it was subscribed again: the library ends both."""
    async with running(UnsubscribeError("trades"), [TRADE]) as (run, _):
        await wait_until(lambda: "trades" in run.tags, what="a trade")

    assert (run.tags, run.lost) == (["broken", "trades"], [])


async def test_a_stream_that_cannot_be_had_is_refused_at_once_the_next_time() -> None:
    """Its subscription may have been confirmed before the exchange said so: then only the next one can be refused."""
    parking = Parking()
    async with running(BadSymbol("no such market"), parking=parking) as (run, task):
        await asyncio.wait({task})
    again = Run(FakeExchange(), parking)

    assert run.tags == again.tags == ["refused"]
    assert again.sent[0]["reason"].startswith("no such market; asked for again in")


async def test_an_error_of_ours_within_the_librarys_is_ours() -> None:
    """A simulated venue on a live tape must end the service, and not be tried again."""
    refusal = WrongTape("not here")
    async with running(NetworkError(refusal)) as (run, task):
        await asyncio.wait({task})

    assert run.lost == [refusal]


def test_the_nearest_known_class_says_what_an_error_means() -> None:
    """An error of an unknown class concerns its stream."""
    errors: Iterable[tuple[BaseException, Meaning]] = (
        (OnMaintenance(), Meaning.MAINTENANCE),
        (ExchangeNotAvailable(), Meaning.CLOSED),
        (RateLimitExceeded(), Meaning.BUSY),
        (ChecksumError(), Meaning.AGAIN),
        (BadSymbol(), Meaning.PERMANENT),
        (KeyError("x"), Meaning.AGAIN),
        (asyncio.CancelledError(), Meaning.CLOSED),
    )

    for error, expected in errors:
        assert meaning(error) is expected, error


def test_a_reason_is_one_short_line() -> None:
    """An error may quote a page of what the exchange sent."""
    assert reason(ExchangeError("a\n  b")) == "a b"
    assert reason(ExchangeError()) == "ExchangeError"
    assert len(reason(ExchangeError("x" * 5_000))) == 301
    assert ours(ExchangeError("x")) is None


def test_pauses_grow_and_data_end_them() -> None:
    """Failures count only in a row."""
    parking = Parking()

    assert [parking.failed(STREAM, 0.0) for _ in range(TRIES)] == [1.0, 2.0, PARKED_S]
    assert parking.parked_s(STREAM, 100.0) == PARKED_S - 100
    assert parking.parked_s(STREAM, PARKED_S + 1) == 0

    parking.worked(STREAM)
    assert parking.failed(STREAM, 0.0) == 1.0
