"""How a coroutine becomes a process with an exit code, tested with real processes and real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosstape.errors import BusError, CrosstapeError, SettingsError, Superseded
from crosstape.runtime.lifecycle import SUPERVISED, Exit, code_of

PROLOGUE = """
import asyncio, gc, sys
from crosstape.errors import *
from crosstape.runtime.lifecycle import Exit, main
from crosstape.settings import TelemetrySettings
from crosstape.runtime.telemetry import configure_logging
configure_logging(TelemetrySettings(log_format="json"), service="test")
"""

WAITS = """
async def run():
    print("running", type(asyncio.get_running_loop()).__module__, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("drained", flush=True)
sys.exit(main(run))
"""

STUCK = """
async def run():
    print("running", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("draining", flush=True)
        await asyncio.Event().wait()
sys.exit(main(run))
"""


@asynccontextmanager
async def program(body: str, **environ: str) -> AsyncIterator[Process]:
    """A Python process with `crosstape` to import; killed at the end if it still runs."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environ
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROLOGUE + body, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environ)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def says(process: Process, word: str) -> str:
    """Returns the next line of the process's output, which must begin with `word`."""
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    assert line.startswith(word), line
    return line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_it_drain(number: signal.Signals) -> None:
    """The root task is cancelled once; to stop as asked is success."""
    async with program(WAITS) as process:
        assert "uvloop" in await says(process, "running")
        process.send_signal(number)
        await says(process, "drained")

        assert await asyncio.wait_for(process.wait(), 30) == Exit.OK


async def test_a_second_signal_ends_it_at_once() -> None:
    """Whoever asks twice does not want to wait for the drain."""
    async with program(STUCK) as process:
        await says(process, "running")
        process.terminate()
        await says(process, "draining")
        process.send_signal(signal.SIGINT)

        assert await asyncio.wait_for(process.wait(), 30) == 128 + signal.SIGINT


async def test_a_supervised_process_ends_with_its_supervisor() -> None:
    """However that ended: the pipe closes, and the child drains."""
    async with program(WAITS, **{SUPERVISED: "1"}) as process:
        await says(process, "running")
        assert process.stdin is not None
        process.stdin.close()
        await says(process, "drained")

        assert await asyncio.wait_for(process.wait(), 30) == Exit.OK


async def test_a_process_by_itself_does_not_mind_its_input() -> None:
    """A shell's `</dev/null` is not a reason to stop."""
    async with program(WAITS) as process:
        assert process.stdin is not None
        process.stdin.close()
        await says(process, "running")
        process.terminate()
        await says(process, "drained")


@pytest.mark.parametrize(
    ("raised", "code", "logged"),
    [
        ("SettingsError('bus.x: no')", Exit.USAGE, b'"error":"bus.x: no"'),
        ("BusError('away')", Exit.UNREACHABLE, b'"error":"away"'),
        ("Superseded('newer')", Exit.SUPERSEDED, b'"error":"newer"'),
        ("CrosstapeError('known')", Exit.FAILED, b'"error":"known"'),
        ("ExceptionGroup('tasks', [Superseded('newer')])", Exit.SUPERSEDED, b'"error":"newer"'),
        ("ZeroDivisionError('oh')", Exit.FAILED, b"ZeroDivisionError: oh"),
    ],
)
async def test_an_error_becomes_a_code_and_one_line(raised: str, code: Exit, logged: bytes) -> None:
    """An unexpected error has a traceback; an error that we raise on purpose has none."""
    async with program(f"async def run():\n    raise {raised}\nsys.exit(main(run))") as process:
        _, err = await asyncio.wait_for(process.communicate(), 30)

        assert process.returncode == code
        assert logged in err
        assert len(err.splitlines()) == 1
        assert (b"Traceback" in err) == (raised.startswith("Zero"))


@pytest.mark.parametrize(("done", "code"), [("None", Exit.OK), ("Exit.UNPROVEN", Exit.UNPROVEN), ("3", Exit.OK)])
async def test_a_coroutine_that_ends_says_its_code(done: str, code: Exit) -> None:
    """Or none, which is success."""
    async with program(f"async def run():\n    return {done}\nsys.exit(main(run))") as process:
        assert await asyncio.wait_for(process.wait(), 30) == code


async def test_the_collector_is_told_to_be_quiet() -> None:
    """No full collection over all modules runs during the work."""
    async with program("async def run():\n    print(gc.get_threshold()[0], gc.get_freeze_count() > 1000)\nsys.exit(main(run))") as process:
        await says(process, "50000 True")


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (ExceptionGroup("", [CrosstapeError(), Superseded()]), Exit.SUPERSEDED),
        (ExceptionGroup("", [BusError(), ExceptionGroup("", [SettingsError()])]), Exit.USAGE),
        (ConnectionError(), Exit.FAILED),
    ],
)
def test_of_several_errors_the_one_that_cannot_be_retried_counts(exc: Exception, code: Exit) -> None:
    """A supervisor must not start again what would only fail again."""
    assert code_of(exc) is code


HEEDS = """
from crosstape.runtime.lifecycle import on_hangup
async def run():
    with on_hangup(lambda: print("hung up", flush=True)):
        print("running", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("drained", flush=True)
sys.exit(main(run))
"""
ON_A_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""


async def test_a_hangup_is_a_word_and_not_the_end() -> None:
    """It works each time that SIGHUP comes."""
    async with program(HEEDS) as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"running\n"
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert await process.stdout.readline() == b"hung up\n"
        process.terminate()
        assert await process.stdout.readline() == b"drained\n"
        assert await process.wait() == Exit.OK


async def test_the_end_of_its_terminal_is_the_end() -> None:
    """The process ends gracefully, as by SIGTERM: a tape should not run on after its window was closed. SIGHUP by `kill` is a reload."""
    ours, theirs = os.openpty()
    try:
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ON_A_TERMINAL + PROLOGUE + HEEDS,
            stdin=theirs, stdout=PIPE, stderr=PIPE, env=environ, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(theirs)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGHUP)
    assert await process.stdout.readline() == b"hung up\n"
    os.close(ours)
    assert await process.stdout.readline() == b"drained\n"
    assert await process.wait() == Exit.OK
    await process.communicate()
