"""`CandleProvider`: the newest of each open candle and every closed one, by callbacks or polling, whatever the symbol looks like."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from crosstape import Bar, BusError, BusSettings, Candle, Entry, SettingsError, UnknownName
from crosstape.tape.candle_provider import CandleProvider
from tests.engines import StartServer
from tests.tape.candles import bar, candle
from tests.tape.writing import Writer, run_program, threads, wait_for


@pytest.fixture
def provider(valkey: str, writer: Writer) -> Iterator[CandleProvider]:
    """A provider that leaves no thread behind."""
    provider = CandleProvider(valkey)
    yield provider
    provider.stop()
    assert threads("crosstape") == []


def polled(provider: CandleProvider, count: int) -> list[Bar | Candle]:
    """The next updates, at least so many."""
    found: list[Bar | Candle] = []

    def enough() -> bool:
        found.extend(provider.get_candle_updates(0.05))
        return len(found) >= count

    wait_for(enough, what=f"{count} updates")
    return found


def closes(updates: list[Bar | Candle]) -> list[int]:
    """By which they are told apart here."""
    return [close(update) for update in updates]


def close(update: Bar | Candle) -> int:
    """Its close."""
    assert update.close is not None
    return int(update.close)


def following(provider: CandleProvider, count: int = 1) -> bool:
    """Whether so many feeds are read."""
    return sum(map(bool, provider._follower.instruments.values())) >= count


@pytest.mark.parametrize("symbol", ["BTC-USD", "BTCUSD", "BTC/USD", "btc_usd", "XBTUSD"])
def test_any_spelling_of_a_symbol(provider: CandleProvider, writer: Writer, symbol: str) -> None:
    """First the last candle that the tape has, then each update."""
    writer.write(bar(1, 10), bar(1, 11))
    provider.subscribe(symbol, "1m")
    provider.start()
    assert closes(polled(provider, 1)) == [11]
    writer.write(bar(1, 12, closed=True))
    (update,) = polled(provider, 1)
    assert (close(update), update.closed, update.instrument, update.venue) == (12, True, "BTC-USD", "consolidated")
    assert isinstance(update, Bar)


def test_the_candles_of_a_venue(valkey: str, provider: CandleProvider, writer: Writer) -> None:
    """By subscription, or for all of them; those of other venues on the same stream are left out."""
    writer.write(candle(1, 10), candle(1, 20, venue="binance"), bar(1, 30))
    provider.subscribe("BTCUSD", "1m", venue="kraken")
    with CandleProvider(valkey, venue="binance") as other:
        other.subscribe("BTCUSD", "1m")
        provider.start()
        assert [(one.venue, close(one)) for one in polled(provider, 1)] == [("kraken", 10)]
        assert [(one.venue, close(one)) for one in polled(other, 1)] == [("binance", 20)]
    writer.write(candle(1, 21, venue="binance"), candle(1, 11))
    assert [(one.venue, close(one), type(one)) for one in polled(provider, 1)] == [("kraken", 11, Candle)]


def test_callbacks_before_and_after_the_start(provider: CandleProvider, writer: Writer) -> None:
    """Each of them gets every update once, on one thread of the provider's own; one that is added later begins with the last candle."""
    called: list[tuple[str, int, str]] = []

    def noting(name: str) -> Any:
        return lambda update: called.append((name, close(update), threading.current_thread().name))

    async def coroutine(update: Bar | Candle) -> None:
        await asyncio.sleep(0)
        noting("coroutine")(update)

    def failing(update: Bar | Candle) -> None:
        noting("failing")(update)
        raise ValueError("ours")

    writer.write(bar(1, 10))
    first, second = noting("first"), noting("second")
    provider.subscribe("BTCUSD", "1m", failing)
    provider.subscribe("BTC/USD", "1m", first)
    provider.subscribe("BTC/USD", "1m", first)
    with capture_logs() as logs:
        provider.start()
        provider.start()
        wait_for(lambda: len(called) == 2, what="the last candle")
        provider.subscribe("BTC-USD", "1m", second)
        provider.subscribe("BTC-USD", "1m", coroutine)
        wait_for(lambda: len(called) == 4, what="the last candle, for the new ones")
        writer.write(bar(1, 11))
        wait_for(lambda: len(called) == 8, what="the next one")
        provider.unsubscribe("btcusd", "1m", first)
        provider.unsubscribe("btcusd", "1m", failing)
        writer.write(bar(1, 12))
        wait_for(lambda: len(called) == 10, what="the one after it")
    assert [(name, close) for name, close, _ in called] == [
        *(("failing", 10), ("first", 10), ("second", 10), ("coroutine", 10)),
        *(("failing", 11), ("first", 11), ("second", 11), ("coroutine", 11)),
        *(("second", 12), ("coroutine", 12)),
    ]
    assert {thread for _, _, thread in called} == {"crosstape.candles.callbacks"}
    assert {log["event"] for log in logs} == {"tape.callback_failed"}
    assert provider.get_candle_updates(0) == []  # they have callbacks


def test_several_symbols_and_timeframes(provider: CandleProvider, writer: Writer) -> None:
    """Over one connection, and without those that nobody wants any more."""
    writer.write(bar(1, 1), bar(1, 2, instrument="ETH-USD"), candle(1, 3, instrument="ETH-USD"))
    provider.subscribe("BTCUSD", "1m")
    provider.subscribe("ETHUSD", "1m")
    provider.subscribe("ETHUSD", "1m", venue="kraken")
    provider.subscribe("ETHUSD", "5m")
    provider.start()
    assert {*closes(polled(provider, 3))} == {1, 2, 3}
    provider.unsubscribe("ETH/USD", "1m")
    provider.unsubscribe("SOLUSD", "1m")
    writer.write(bar(1, 4, instrument="ETH-USD"), candle(1, 5, instrument="ETH-USD"), bar(1, 6))
    assert {*closes(polled(provider, 2))} == {5, 6}


def test_a_slow_program_gets_the_newest_open_candle_and_each_closed_one(provider: CandleProvider, writer: Writer) -> None:
    """In order; what it did not see of open candles is not lost, it is old."""
    provider.subscribe("BTCUSD", "1m")
    writer.write(bar(0))
    provider.start()
    polled(provider, 1)
    for minute in range(1, 31):
        writer.write_all(bar(minute, close) for close in range(1, 11))
        writer.write(bar(minute, 11, closed=True))
    writer.write(bar(31, 1), bar(31, 2))
    wait_for(lambda: peeked(provider)[-1].open_ts == bar(31).open_ts and peeked(provider)[-1].close == 2, what="all of them")
    updates = provider.get_candle_updates()
    assert [one.open_ts for one in updates if one.closed] == [bar(minute).open_ts for minute in range(1, 31)]
    assert updates[-1].close == 2
    assert len(updates) < 100
    assert provider.missed == 0


def peeked(provider: CandleProvider) -> list[Any]:
    """What waits to be polled."""
    return [item.event for item in list(provider._polled._queue._items.values()) if isinstance(item, Entry)]


def test_the_queue_is_bounded(valkey: str, writer: Writer) -> None:
    """The oldest closed candles are dropped, counted and logged."""
    with CandleProvider(valkey, queue_candles=10) as provider:
        provider.subscribe("BTCUSD", "1m")
        writer.write(bar(0, closed=True))
        polled(provider, 1)
        writer.write_all(bar(minute, closed=True) for minute in range(1, 101))
        wait_for(lambda: bar(100).open_ts in [one.open_ts for one in peeked(provider)], what="all of them")
        with capture_logs() as logs:
            updates = provider.get_candle_updates()
    assert [one.open_ts for one in updates] == [bar(minute).open_ts for minute in range(91, 101)]
    assert [(log["event"], log["count"]) for log in logs] == [("candles.dropped", 90)]
    assert provider.missed == 90


def test_a_symbol_that_the_tape_does_not_have_yet(provider: CandleProvider, writer: Writer) -> None:
    """It is waited for, and logged once; then it begins with its first candle."""
    writer.write(bar(1, instrument="ETH-USD"))
    with capture_logs() as logs:
        provider.subscribe("ETHUSDT", "1m")
        provider.start()
        wait_for(lambda: logs, what="a warning")
        assert not following(provider)
        writer.write(*(bar(minute, minute, closed=True, instrument="ETH-USDT") for minute in range(1, 6)))
        assert closes(polled(provider, 5)) == [1, 2, 3, 4, 5]
    assert [(log["event"], log["instrument"]) for log in logs] == [("tape.unknown_instrument", "ETHUSDT")]


def test_an_ambiguous_symbol_is_not_guessed(provider: CandleProvider, writer: Writer) -> None:
    """An error is logged once, with the names that it may mean; the others go on."""
    writer.write(bar(1, instrument="AB-CD"), bar(1, instrument="A-BCD"), bar(1, 7))
    with capture_logs() as logs:
        provider.subscribe("ABCD", "1m")
        provider.subscribe("BTCUSD", "1m")
        provider.start()
        assert closes(polled(provider, 1)) == [7]
    assert [(log["event"], log["instruments"]) for log in logs] == [("tape.ambiguous_symbol", ["A-BCD", "AB-CD"])]


def test_wrong_names_are_errors_at_once(provider: CandleProvider) -> None:
    """They say what is right."""
    with pytest.raises(UnknownName, match="'1d'"):
        provider.subscribe("BTCUSD", "1D")
    with pytest.raises(UnknownName, match="did you mean 'kraken'"):
        provider.subscribe("BTCUSD", "1m", venue="Kraken")
    with pytest.raises(UnknownName, match="is no symbol"):
        provider.subscribe("/", "1m")
    with pytest.raises(BusError, match=r"call start\(\) first"):
        provider.get_candle_updates()


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
