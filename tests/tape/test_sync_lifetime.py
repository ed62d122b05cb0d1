"""The life of a blocking tape: closing, interrupts, forks, the death of its server."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from crosstape import BusError, SettingsError, Start, Trade, UnknownName
from crosstape.settings import BusSettings
from crosstape.tape.sync import SyncTape
from tests.bus.tape import BTC, quote, trade
from tests.engines import StartServer
from tests.tape.writing import Writer, numbers, run_program, threads, wait_for

BEGINNING = Start.BEGINNING


def test_close_ends_what_waits_on_other_threads(sync_tape: SyncTape, writer: Writer) -> None:
    """A loop ends, `read` has nothing, `get` returns None; all in time."""
    sync_tape.follow("trade", BTC)
    ended: dict[str, object] = {}
    waiting = [
        threading.Thread(target=lambda: ended.update(loop=list(sync_tape.trades(BTC)))),
        threading.Thread(target=lambda: ended.update(read=sync_tape.quotes(BTC).read())),
        threading.Thread(target=lambda: ended.update(get=sync_tape.get())),
    ]
    for one in waiting:
        one.start()
    wait_for(lambda: sum(len(info["cmd"]) for info in writer.redis.client_list() if info["cmd"] == "xread") >= 10, what="they read")
    sync_tape.close()
    for one in waiting:
        one.join(20)
    assert ended == {"loop": [], "read": [], "get": None}
    assert threads("crosstape") == []


def test_calls_after_close_say_so(valkey: str, writer: Writer) -> None:
    """And calls before it was opened. Closing again does no harm; a loop over what was there before ends."""
    tape = SyncTape(valkey)
    with pytest.raises(BusError, match="with SyncTape"):
        tape.trades(BTC)
    tape.close()
    with tape:
        trades = tape.trades(BTC)
        with pytest.raises(BusError, match="opened before"):
            tape.open()
    tape.close()
    assert list(trades) == []
    assert trades.closed
    trades.close()
    closed: list[Any] = [
        lambda: tape.trades(BTC), lambda: tape.last("trade", BTC), lambda: tape.get(timeout_s=0), lambda: tape.follow("trade", BTC),
        lambda: tape.run(seconds=0), lambda: tape.on("trade", BTC)(print), tape.instruments, lambda: tape.history("trade", BTC),
    ]  # fmt: skip
    for call in closed:
        with pytest.raises(BusError, match="the tape is closed: make another one"):
            call()
    with pytest.raises(BusError, match="opened before"):
        tape.open()


def test_a_subscription_can_end_alone(sync_tape: SyncTape, writer: Writer) -> None:
    """Its connection is closed, also when it is only forgotten; others go on."""
    writer.write(trade(1))
    with sync_tape.trades(BTC, start=BEGINNING) as trades:
        assert numbers([next(trades)]) == [1]
    assert list(trades) == []
    others = [sync_tape.trades(BTC, start=BEGINNING) for _ in range(3)]
    assert [numbers([next(one)]) for one in others] == [[1]] * 3
    assert len(sync_tape._tape.connection.sources) == 3
    del others[1:]
    gc.collect()
    wait_for(lambda: len(sync_tape._tape.connection.sources) == 1, what="the connections of the forgotten ones are closed")
    writer.write(trade(2))
    assert numbers([next(others[0])]) == [2]


def test_a_call_on_the_tapes_own_thread_is_refused(sync_tape: SyncTape, writer: Writer) -> None:
    """It would wait for itself without end."""
    errors: list[Exception] = []

    @sync_tape.on("trade", BTC, start=BEGINNING)
    async def asking(event: Trade) -> None:
        try:
            sync_tape.last("trade", BTC)
        except BusError as exc:
            errors.append(exc)

    writer.write(trade(1))
    while not errors:
        sync_tape.run(seconds=0.05)
    assert "would wait for itself" in str(errors[0])


def test_wrong_names_and_settings_are_errors_at_once(valkey: str, writer: Writer) -> None:
    """As of `Tape`; no thread is left."""
    with SyncTape(valkey) as tape:
        with pytest.raises(UnknownName, match="did you mean 'BTC-USDT'"):
            tape.trades("btc/usdt")
        with pytest.raises(UnknownName, match="did you mean 'trade'"):
            tape.events("traids", BTC)
    with pytest.raises(SettingsError, match="ftp"), SyncTape("ftp://nowhere"):
        pass
    assert threads("crosstape") == []


def test_a_wrong_password_is_an_error_of_the_first_read(tmp_path: Any, valkey: str, writer: Writer) -> None:
    """Waiting would not help."""
    with (
        SyncTape(BusSettings(url=valkey, username="nobody", password="wrong")) as tape,
        pytest.raises(BusError, match=r"WRONGPASS|password"),
    ):
        next(tape.trades(BTC))


@pytest.mark.slow
async def test_it_survives_the_death_of_the_server(start_server: StartServer) -> None:
    """Each event once, those before and those after; meanwhile it waits, and single calls fail with a clear error."""
    server = await start_server(persist=True, options={"appendfsync": "always"})
    writer = Writer(server.url)
    with SyncTape(BusSettings(url=server.url, timeout_s=0.5, backoff_s=0.2)) as tape:
        trades = tape.trades(BTC, start=BEGINNING)
        found: list[Trade] = []
        reading = threading.Thread(target=lambda: found.extend(tape.collect(trades, n=400, seconds=60)))
        reading.start()
        writer.write_all(trade(number) for number in range(200))
        await asyncio.to_thread(wait_for, lambda: trades.positions, what="it reads")
        await server.kill()
        with pytest.raises(BusError):
            await asyncio.to_thread(tape.last, "trade", BTC)
        await server.start()
        writer.write_all(trade(number) for number in range(200, 400))
        await asyncio.to_thread(reading.join, 60)
        assert numbers(found) == list(range(400))
        assert trades.missed == 0
        await server.kill()
        await asyncio.to_thread(tape.close)
    assert threads("crosstape") == []
    writer.redis.close()


def interrupted(wait: Callable[[], object]) -> None:
    """Waits, and is interrupted meanwhile; on a busy machine even before."""
    threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    wait()


def test_an_interrupt_ends_a_loop_and_loses_nothing(sync_tape: SyncTape, writer: Writer) -> None:
    """Ctrl-C while it waits: the error is raised in the loop, which may be entered again."""
    trades = sync_tape.trades(BTC, start=BEGINNING)
    sync_tape.follow("quote", BTC, start=BEGINNING)
    for wait in (lambda: next(trades), sync_tape.get):
        with pytest.raises(KeyboardInterrupt):
            interrupted(wait)
    writer.write(*(trade(number) for number in range(3)), quote(7))
    assert numbers([next(trades), next(trades), next(trades)]) == [0, 1, 2]
    assert numbers([sync_tape.get(timeout_s=20)]) == [7]


def test_ctrl_c_ends_a_program_cleanly(valkey: str, writer: Writer) -> None:
    """With the usual traceback and nothing else: no thread, no warning, no message of asyncio."""
    writer.write(trade(1))
    code, output = run_program(
        """
        import sys, threading
        from crosstape import Start
        from crosstape.tape.sync import SyncTape
        try:
            with SyncTape(sys.argv[1]) as tape:
                for event in tape.trades("BTC-USDT", start=Start.BEGINNING):
                    print(event.seq, flush=True)
        except KeyboardInterrupt:
            print("interrupted", threading.active_count())
        """,
        valkey,
        interrupt_at="1",
    )
    assert (code, output) == (0, "1\ninterrupted 1\n")


def test_a_program_that_forgets_to_close_ends(valkey: str, writer: Writer) -> None:
    """The thread does not hold it."""
    writer.write(trade(1))
    code, output = run_program(
        """
        import sys
        from crosstape import Start
        from crosstape.tape.sync import SyncTape
        tape = SyncTape(sys.argv[1]).open()
        trades = tape.trades("BTC-USDT", start=Start.BEGINNING)
        print(next(trades).seq)
        """,
        valkey,
    )
    assert (code, output) == (0, "1\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gets_a_clear_error(valkey: str, writer: Writer) -> None:
    """Instead of a wait without end; the parent goes on, and the child may open a tape of its own."""
    writer.write(trade(1), trade(2))
    code, output = run_program(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
        from crosstape import BusError, Start
        from crosstape.tape.sync import SyncTape
        with SyncTape(sys.argv[1]) as tape:
            trades = tape.trades("BTC-USDT", start=Start.BEGINNING)
            print(next(trades).seq, flush=True)
            child = os.fork()
            if child == 0:
                for call in (lambda: tape.trades("BTC-USDT"), lambda: trades.next(), lambda: tape.last("trade", "BTC-USDT")):
                    try:
                        call()
                    except BusError as exc:
                        print(exc, flush=True)
                tape.close()
                with SyncTape(sys.argv[1]) as own:
                    print(next(own.trades("BTC-USDT", start=Start.BEGINNING)).seq, flush=True)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            print(next(trades).seq)
        """,
        valkey,
    )
    refused = "this tape was opened by the parent process, and its thread is not in this one: open another tape here\n"
    assert (code, output) == (0, "1\n" + 3 * refused + "1\n0\n2\n")
