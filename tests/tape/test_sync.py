"""`SyncTape`: every event once and in order, for blocking code on any thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from crosstape import BusError, Missed, Start, Trade
from crosstape.tape.by_kind import ByKind
from crosstape.tape.subscription import Subscription
from crosstape.tape.sync import SyncTape
from crosstape.tape.sync_by_kind import SyncByKind
from crosstape.tape.sync_subscription import SyncSubscription
from crosstape.tape.tape import Tape
from tests.bus.tape import BTC, ETH, TRADES, quote, trade
from tests.tape.writing import Writer, end_of, numbers, wait_for

BEGINNING = Start.BEGINNING
SHORT_S = 0.05


def test_a_loop_gets_each_event_once_and_in_order(sync_tape: SyncTape, writer: Writer) -> None:
    """A plain iterator, over more than one answer of the server."""
    writer.write_all(trade(number) for number in range(6_000))
    found = []
    for event in sync_tape.trades(BTC, start=BEGINNING):
        found.append(event)
        if len(found) == 6_000:
            break
    assert numbers(found) == list(range(6_000))
    assert isinstance(found[0], Trade)


def test_a_slow_loop_leaves_events_on_the_server(sync_tape: SyncTape, writer: Writer) -> None:
    """Beyond one answer nothing waits in memory: what is trimmed meanwhile is missed, and an exact count says so."""
    missed: list[Missed] = []
    writer.write_all(trade(number) for number in range(1, 10_001))
    trades = sync_tape.trades(BTC, start=BEGINNING, on_missed=missed.append)
    first = next(trades)
    writer.redis.xtrim(TRADES, minid=end_of(writer, TRADES))
    last = [next(trades)]
    while last[-1].seq < 10_000:
        last.append(next(trades))
    assert first.seq == 1
    (one,) = missed
    assert one.count == 10_000 - 1 - len(last) > 5_000
    assert trades.missed == one.count


def test_missed_events_are_reported_on_the_thread_that_reads(sync_tape: SyncTape, writer: Writer) -> None:
    """Before the event that follows; a callback that fails ends nothing."""
    writer.write(trade(1))
    writer._numbers[TRADES, "binance"] += 2
    writer.write(trade(4))
    seen: list[object] = []

    def on_missed(missed: Missed) -> None:
        seen.extend((missed.count, threading.current_thread()))
        raise ValueError("ours")

    with capture_logs() as logs:
        for event in sync_tape.trades(BTC, start=BEGINNING, on_missed=on_missed):
            seen.append(event.seq)
            if event.seq == 4:
                break
    assert seen == [2, threading.current_thread(), 1, 4]
    assert [log["event"] for log in logs] == ["tape.callback_failed"]


def test_positions_follow_the_loop_and_not_the_answers(sync_tape: SyncTape, writer: Writer) -> None:
    """Another subscription that starts there gets exactly the rest."""
    writer.write_all(trade(number) for number in range(100))
    first = sync_tape.trades(BTC, start=BEGINNING)
    some = [next(first) for _ in range(30)]
    rest = sync_tape.trades(BTC, start=first.positions)
    assert numbers(some + sync_tape.collect(rest, n=70, seconds=20)) == list(range(100))
    assert rest.positions == {TRADES: end_of(writer, TRADES)}


def test_newest_returns_only_the_newest_state(sync_tape: SyncTape, writer: Writer) -> None:
    """To a loop that is behind."""
    writer.write_all(quote(number) for number in range(5_000))
    quotes = sync_tape.quotes(BTC, start=BEGINNING, newest=True)
    assert numbers([next(quotes)]) == [4_999]
    writer.write_all(quote(number) for number in range(5_000, 5_010))
    assert numbers([next(quotes)]) == [5_009]


def test_threads_share_a_subscription(sync_tape: SyncTape, writer: Writer) -> None:
    """Each event goes to one of them."""
    writer.write_all(trade(number) for number in range(8_000))
    trades = sync_tape.trades(BTC, start=BEGINNING)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: [trades.next(timeout_s=20) for _ in range(2_000)], range(4)))
    assert sorted(number for part in parts for number in numbers(part)) == list(range(8_000))


def test_each_thread_reads_its_own_subscription(sync_tape: SyncTape, writer: Writer) -> None:
    """At the same time, over one sync_tape."""
    writer.write_all(trade(number, instrument) for number in range(3_000) for instrument in (BTC, ETH))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda name: sync_tape.collect(sync_tape.trades(name, start=BEGINNING), n=3_000, seconds=30), [BTC, ETH] * 2))
    assert [numbers(part) for part in parts] == [list(range(3_000))] * 4


def test_a_read_that_finds_nothing_returns_in_time(sync_tape: SyncTape, writer: Writer) -> None:
    """And what comes later is there for the next one."""
    trades = sync_tape.trades(BTC)
    assert trades.next(timeout_s=0.05) is None
    assert trades.read(timeout_s=0) == []
    wait_for(lambda: trades.read(timeout_s=0.01) or trades.positions, what="the place where it starts")
    writer.write(trade(1))
    assert numbers(trades.read(timeout_s=20)) == [1]


def test_last_values_history_and_frames(sync_tape: SyncTape, writer: Writer) -> None:
    """As of `Tape`."""
    writer.write(*(trade(number) for number in range(5)), quote(9))
    assert numbers([sync_tape.last("quote", BTC)["binance"]]) == [9]
    assert numbers(sync_tape.history("trade", BTC, limit=3)) == [2, 3, 4]
    assert sync_tape.frame("trade", BTC)["size"].to_list() == list(range(5))
    assert list(sync_tape.frame("trade", BTC, library="pandas", decimals="float")["size"]) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert sync_tape.instruments() == [BTC]
    assert sync_tape.venues() == []
    assert not sync_tape.is_current(quote(9))


def test_polling_gets_what_is_followed(sync_tape: SyncTape, writer: Writer) -> None:
    """From any thread."""
    with pytest.raises(BusError, match="nothing is followed"):
        sync_tape.get(timeout_s=1)
    sync_tape.follow("trade", BTC, start=BEGINNING)
    assert sync_tape.get(timeout_s=0.05) is None
    writer.write_all(trade(number) for number in range(200))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: sync_tape.get(timeout_s=20), range(200)))
    assert sorted(numbers(found)) == list(range(200))
    sync_tape.unfollow("trade", BTC)


def test_callbacks_run_on_the_thread_that_calls_run(sync_tape: SyncTape, writer: Writer) -> None:
    """In order; an error of one is logged, and the others are called all the same. A coroutine is awaited on the tape's thread."""
    called: list[tuple[str, int, threading.Thread]] = []

    @sync_tape.on("trade", BTC, start=BEGINNING)
    def failing(event: Trade) -> None:
        called.append(("failing", event.seq, threading.current_thread()))
        raise ValueError(event.seq)

    @sync_tape.on("trade", BTC, start=BEGINNING)
    async def waiting(event: Trade) -> None:
        await asyncio.sleep(0)
        called.append(("waiting", event.seq, threading.current_thread()))
        if event.seq == 3:
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            done.set()

    done = threading.Event()
    writer.write(*(trade(number) for number in range(3)))
    with capture_logs() as logs:
        runner = threading.Thread(target=sync_tape.run, name="ours")
        runner.start()
        assert done.wait(20)
        with pytest.raises(BusError, match="another thread runs the callbacks"):
            sync_tape.run()
        sync_tape.close()
        runner.join(20)
    assert not runner.is_alive()
    assert [(name, seq) for name, seq, _ in called] == [(name, seq) for seq in (1, 2, 3) for name in ("failing", "waiting")]
    assert {(name, thread.name) for name, _, thread in called} == {("failing", "ours"), ("waiting", "crosstape.tape")}
    assert [log["event"] for log in logs] == ["tape.callback_failed"]


def test_run_ends_after_its_time_and_continues_behind(sync_tape: SyncTape, writer: Writer) -> None:
    """Between two callbacks: no event is lost or repeated."""
    seen: list[int] = []
    with pytest.raises(BusError, match="no callback is registered"):
        sync_tape.run(seconds=0.1)

    @sync_tape.on("trade", BTC, start=BEGINNING)
    def note(event: Trade) -> None:
        seen.append(event.seq)
        threading.Event().wait(2 * SHORT_S)  # from now on its time is over, however busy the machine is

    def called(count: int) -> bool:
        sync_tape.run(seconds=SHORT_S)
        return len(seen) >= count

    writer.write_all(trade(number) for number in range(5))
    for count in range(1, 6):
        wait_for(lambda count=count: called(count), what="one more call")  # type: ignore[misc]
        assert seen == list(range(1, count + 1))


def test_callbacks_can_be_registered_before_it_is_open(valkey: str, writer: Writer) -> None:
    """At the top of a module, say. One stream has one start for all callbacks."""
    tape = SyncTape(valkey)
    seen: list[int] = []
    tape.on("trade", BTC, start=BEGINNING)(lambda event: seen.append(event.seq))
    with pytest.raises(ValueError, match="one stream has one start"):
        tape.on("trade", BTC, start="5-0")(print)
    with pytest.raises(TypeError, match="function of one argument"):
        tape.on("trade", BTC)(7)  # type: ignore[type-var]
    writer.write(trade(1), trade(2))
    with tape:
        with pytest.raises(ValueError, match="one stream has one start"):
            tape.on("trade", BTC, start="5-0")(print)
        while len(seen) < 2:
            tape.run(seconds=0.05)
    assert seen == [1, 2]


async def test_it_works_where_a_loop_runs(sync_tape: SyncTape, writer: Writer) -> None:
    """As in a cell of a notebook, which runs within the notebook's own loop."""
    writer.write(trade(1))
    assert asyncio.get_running_loop().is_running()
    assert numbers([next(sync_tape.trades(BTC, start=BEGINNING))]) == [1]


def _face(cls: type) -> dict[str, list[str]]:
    """Public methods and their parameters."""
    return {
        name: [str(one).replace("Sync", "") for one in inspect.signature(member).parameters.values()]
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def test_it_has_the_face_of_the_tape() -> None:
    """The same methods with the same parameters and defaults; only `aclose` is `close`, and `open` is new."""
    tape, sync = _face(Tape), _face(SyncTape)
    assert sync.pop("close") == tape.pop("aclose")
    assert sync.pop("open") == ["self"]
    assert sync == tape
    subscription, plain = _face(Subscription), _face(SyncSubscription)
    assert plain.pop("close") == subscription.pop("aclose")
    assert plain == subscription
    assert {name: getattr(SyncByKind, name).__doc__ for name in _face(SyncByKind)} == {
        name: getattr(ByKind, name).__doc__ for name in _face(ByKind)
    }
    assert str(inspect.signature(SyncTape)) == str(inspect.signature(Tape))
