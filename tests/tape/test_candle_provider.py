"""`CandleProvider`: the newest of each open candle and every closed one, by callbacks or polling, whatever the symbol looks like."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from crosstape import Bar, BusError, Candle, UnknownName
from crosstape.tape.candle_provider import CandleProvider
from tests.tape.candles import bar, candle, close, closes, following, peeked, polled
from tests.tape.writing import Writer, wait_for


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
    assert [log["event"] for log in logs] == ["tape.callback_failed"]  # once a minute
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
