"""`Follower`: an error that is not expected ends it, and is not hidden."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from crosstape import BusError
from crosstape.tape.feed_reader import Feed, Hooks
from crosstape.tape.follower import Follower, candle_feed
from crosstape_schemas import AnyEvent
from tests.tape.candles import bar
from tests.tape.writing import Writer, threads, wait_for


@pytest.mark.parametrize("failing", ["receive", "fill"])
def test_an_unexpected_error_ends_it_and_is_raised(valkey: str, writer: Writer, failing: str) -> None:
    """Whether it comes from what reads or from what fetches the past; it is logged with its traceback, and whoever waits learns of it."""
    ended = threading.Event()

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError("ours")

    def fill(_feed: Feed, _events: list[AnyEvent]) -> None:
        if failing == "fill":
            fail()

    writer.write(bar(1))
    receive = fail if failing == "receive" else lambda _entry: None
    follower = Follower(valkey, "crosstape.test", Hooks(receive, fill, past=5), ended.set)
    follower.add(candle_feed("BTCUSD", "1m", None), "BTCUSD")
    with capture_logs() as logs:
        follower.start()
        assert ended.wait(20)
    assert not follower.running
    with pytest.raises(BusError, match="ours") as raised:
        follower.check()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert [(log["event"], type(log["exc_info"])) for log in logs] == [("tape.follower_failed", ZeroDivisionError)]
    follower.stop()
    assert threads("crosstape") == []


def test_a_new_feed_does_not_wait_for_the_past_of_others(valkey: str, writer: Writer) -> None:
    """The first values of many feeds come at once; each past is fetched once."""
    names = [f"A{number}-USD" for number in range(20)]
    writer.write(*(bar(minute, instrument=name, closed=True) for name in names for minute in range(3)))
    received: list[str] = []
    filled: list[tuple[str, int]] = []
    follower = Follower(
        valkey,
        "crosstape.test",
        Hooks(
            lambda entry: received.append(entry.event.instrument), lambda feed, events: filled.append((feed.symbol, len(events))), past=2
        ),
        lambda: None,
    )
    for name in names:
        follower.add(candle_feed(name.replace("-", "/"), "1m", None), name.replace("-", "/"))
    follower.start()
    wait_for(lambda: len(filled) == 20 and len(received) == 20, what="all of them")
    follower.stop()
    assert sorted(received) == sorted(names)
    assert sorted(filled) == sorted((name.replace("-", ""), 2) for name in names)
