"""The life of a `CandleProvider`: starts and stops, threads, forks, the death of its server."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from structlog.testing import capture_logs

from crosstape import Bar, BusError, BusSettings, Candle, SettingsError
from crosstape.tape.candle_provider import CandleProvider
from tests.engines import StartServer
from tests.tape.candles import bar, close, closes, following, peeked, polled
from tests.tape.writing import Writer, run_program, threads, wait_for


def test_it_can_be_stopped_and_started_again(provider: CandleProvider, writer: Writer) -> None:
    """Subscriptions stay, and so does what was not polled; a last candle that was seen is not repeated."""
    provider.subscribe("BTCUSD", "1m")
    provider.stop()
    writer.write(bar(1, 1, closed=True))
    provider.start()
    wait_for(lambda: peeked(provider), what="an update")
    provider.stop()
    provider.stop()
    assert not provider.is_running
    assert closes(provider.get_candle_updates()) == [1]
    assert provider.get_candle_updates() == []
    provider.start()
    assert provider.is_running
    wait_for(lambda: following(provider), what="it reads")
    writer.write(bar(2, 2, closed=True))
    assert closes(polled(provider, 1)) == [2]


def test_stop_ends_a_poll_that_waits(provider: CandleProvider) -> None:
    """On another thread, at once."""
    provider.subscribe("BTCUSD", "1m")
    provider.start()
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(provider.get_candle_updates(None)))
    waiting.start()
    provider.stop()
    waiting.join(20)
    assert found == [[]]


def test_a_callback_may_stop_and_subscribe(provider: CandleProvider, writer: Writer) -> None:
    """All methods may be called from any thread, that of the callbacks included."""
    done = threading.Event()

    def second(_update: Bar | Candle) -> None:
        provider.stop()
        done.set()

    provider.subscribe("BTCUSD", "1m", lambda _: provider.subscribe("ETHUSD", "1m", second))
    writer.write(bar(1), bar(1, instrument="ETH-USD"))
    provider.start()
    assert done.wait(20)
    wait_for(lambda: threads("crosstape") == [], what="the end of its threads")


def test_many_threads_subscribe_at_once(provider: CandleProvider, writer: Writer) -> None:
    """Before, while and after it starts."""
    names = [f"A{number}-USD" for number in range(40)]
    writer.write(*(bar(1, number + 1, instrument=name) for number, name in enumerate(names)))

    def subscribe(some: list[str]) -> None:
        for name in some:
            provider.subscribe(name, "1m")

    workers = [threading.Thread(target=subscribe, args=[names[place::4]]) for place in range(4)]
    for worker in workers:
        worker.start()
    provider.start()
    for worker in workers:
        worker.join(20)
    assert sorted(closes(polled(provider, 40))) == list(range(1, 41))


def test_an_error_that_waiting_cannot_help(valkey: str, writer: Writer) -> None:
    """It is logged, and raised by the next poll; one that waits ends."""
    provider = CandleProvider(BusSettings(url=valkey, username="nobody", password="wrong"))
    provider.subscribe("BTC-USD", "1m")
    with capture_logs() as logs:
        provider.start()
        with pytest.raises(BusError):
            provider.get_candle_updates(60)
    assert "tape.follower_failed" in [log["event"] for log in logs]
    assert not provider.is_running
    provider.stop()
    with pytest.raises(SettingsError), CandleProvider("ftp://nowhere"):
        pass
    assert threads("crosstape") == []


@pytest.mark.slow
async def test_it_connects_again_by_itself(start_server: StartServer) -> None:
    """After the server was killed: each closed candle once, those from before and those from after."""
    server = await start_server(persist=True, options={"appendfsync": "always"})
    writer = Writer(server.url)
    called: list[int] = []
    writer.write(bar(0, 0, closed=True))
    with CandleProvider(BusSettings(url=server.url, timeout_s=0.5, backoff_s=0.2)) as provider:
        provider.subscribe("BTCUSD", "1m", lambda update: called.append(close(update)))
        await asyncio.to_thread(wait_for, lambda: called, what="the last candle")
        for turn in range(2):
            writer.write(*(bar(minute, minute, closed=True) for minute in range(1 + 10 * turn, 6 + 10 * turn)))
            await server.kill()
            await server.start()
            writer.write(*(bar(minute, minute, closed=True) for minute in range(6 + 10 * turn, 11 + 10 * turn)))
            await asyncio.to_thread(wait_for, lambda: len(called) >= 11 + 10 * turn, what="all candles")  # noqa: B023
        assert called == list(range(21))
        assert provider.missed == 0
    writer.redis.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gets_a_clear_error(valkey: str, writer: Writer) -> None:
    """Instead of updates that never come."""
    code, output = run_program(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
        from crosstape import BusError, CandleProvider
        with CandleProvider(sys.argv[1]) as provider:
            child = os.fork()
            if child == 0:
                for call in (provider.get_candle_updates, lambda: provider.subscribe("BTCUSD", "1m")):
                    try:
                        call()
                    except BusError as exc:
                        print(exc, flush=True)
                provider.stop()
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        """,
        valkey,
    )
    assert (code, output.count("opened by the parent process"), output.splitlines()[-1]) == (0, 2, "0")
