"""Children are kept running, stopped in order, and gone when their supervisor is: real processes throughout."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import msgspec
import pytest

from crosstape.runtime.lifecycle import Exit
from crosstape_cli import supervise as supervision
from crosstape_cli.supervise import Children, Service, supervise
from tests.waiting import wait_until

ENVIRON = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

CHILD = """
import asyncio, os, pathlib, sys
from crosstape.runtime.lifecycle import main
folder = pathlib.Path(sys.argv[1])
async def run():
    (folder / f"started.{os.getpid()}").touch()
    try:
        await asyncio.Event().wait()
    finally:
        (folder / f"drained.{os.getpid()}").touch()
sys.exit(main(run))
"""

STUBBORN = """
import pathlib, os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(pathlib.Path(sys.argv[1]) / f"started.{os.getpid()}").touch()
while True:
    time.sleep(60)
"""

SUPERVISOR = """
import asyncio, os, sys
from crosstape_cli.supervise import Children, Service, supervise
service = Service("child", (sys.executable, "-c", sys.argv[1], sys.argv[2]), dict(os.environ))
asyncio.run(supervise([service], drain_s=5.0))
"""


def child(folder: Path, body: str = CHILD, name: str = "child", log_file: Path | None = None) -> Service:
    """A service that leaves a file named after its process when it starts, and one when it drains."""
    return Service(name, (sys.executable, "-c", body, str(folder)), ENVIRON, log_file)


def pids(folder: Path, what: str = "started") -> set[int]:
    """Returns the ids of the processes that left such files."""
    return {int(path.suffix[1:]) for path in folder.glob(f"{what}.*")}


def gone(pid: int) -> bool:
    """Whether no such process runs; one that nobody waited for does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_what_dies_is_started_again(tmp_path: Path) -> None:
    """It is restarted after a pause; the others continue."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    task = asyncio.create_task(supervise([child(tmp_path / "a"), child(tmp_path / "b")], drain_s=5.0))
    await wait_until(lambda: pids(tmp_path / "a") and pids(tmp_path / "b"), what="both run")

    os.kill(next(iter(pids(tmp_path / "a"))), signal.SIGKILL)
    await wait_until(lambda: len(pids(tmp_path / "a")) == 2, what="a second life of the killed one")

    assert len(pids(tmp_path / "b")) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(gone(pid) for pid in pids(tmp_path / "a") | pids(tmp_path / "b"))


async def test_children_drain_when_it_is_cancelled(tmp_path: Path) -> None:
    """Each is asked with SIGTERM and waited for."""
    task = asyncio.create_task(supervise([child(tmp_path), child(tmp_path)], drain_s=20.0))
    await wait_until(lambda: len(pids(tmp_path)) == 2, what="both run")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pids(tmp_path, "drained") == pids(tmp_path)


async def test_one_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end takes no longer than the drain."""
    monkeypatch.setattr(supervision, "MARGIN_S", 0.1)
    task = asyncio.create_task(supervise([child(tmp_path, STUBBORN)], drain_s=0.1))
    await wait_until(lambda: pids(tmp_path), what="it runs")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)

    assert all(gone(pid) for pid in pids(tmp_path))


@pytest.mark.parametrize("code", [Exit.USAGE, Exit.SUPERSEDED])
async def test_what_cannot_help_is_not_tried_again(tmp_path: Path, code: Exit) -> None:
    """A wrong setting stays wrong; when nothing is left to run, that code is the answer."""
    body = f"import os, pathlib, sys; (pathlib.Path(sys.argv[1]) / f'started.{{os.getpid()}}').touch(); sys.exit({int(code)})"

    assert await asyncio.wait_for(supervise([child(tmp_path, body)], drain_s=1.0), 30) == code
    assert len(pids(tmp_path)) == 1


async def test_a_service_that_is_added_again_starts_when_the_former_one_has_ended(tmp_path: Path) -> None:
    """Both may listen on the same port. One that is removed while it waits for that end is waited for, too."""
    children = Children()
    service = child(tmp_path, CHILD.replace("    finally:\n", "    finally:\n        await asyncio.sleep(0.5)\n"))
    task = asyncio.create_task(supervise([service], drain_s=20.0, children=children))
    await wait_until(lambda: pids(tmp_path), what="it runs")
    (first,) = pids(tmp_path)

    for _ in range(3):
        children.remove(service.name)
        children.add(service)
        await asyncio.sleep(0)  # so that its task begins to wait
    await wait_until(lambda: len(pids(tmp_path)) == 2, what="another runs")

    (second,) = pids(tmp_path) - {first}
    assert (tmp_path / f"drained.{first}").stat().st_mtime_ns < (tmp_path / f"started.{second}").stat().st_mtime_ns
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pids(tmp_path, "drained") == {first, second}


async def test_logs_can_go_to_a_file(tmp_path: Path) -> None:
    """Output too: a child's standard output is nobody's data."""
    body = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(2)"

    await supervise([child(tmp_path, body, log_file=tmp_path / "log")], drain_s=1.0)

    assert (tmp_path / "log").read_text() == "out\nerr\n"


async def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    """Even SIGKILL leaves nothing behind: the pipe closes, and the child drains."""
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, CHILD, str(tmp_path), env=ENVIRON, stdout=DEVNULL, stderr=PIPE
    )
    await wait_until(lambda: pids(tmp_path), what="the child runs")

    supervisor.kill()

    await wait_until(lambda: pids(tmp_path, "drained") == pids(tmp_path), what="the child drained")
    await wait_until(lambda: all(gone(pid) for pid in pids(tmp_path)), what="the child is gone")
    await supervisor.communicate()


def test_pauses_grow_to_a_cap_and_vary() -> None:
    """Jitter: children that died together are not restarted together."""
    delays = supervision._delays()
    first = [next(delays) for _ in range(12)]

    assert 0.25 <= first[0] <= 0.5
    assert 15 <= first[-1] <= 30
    assert len({json.dumps(next(supervision._delays())) for _ in range(5)}) > 1


HEEDFUL = CHILD.replace("from crosstape.runtime.lifecycle import main", "from crosstape.runtime.lifecycle import main, on_hangup").replace(
    "        await asyncio.Event().wait()",
    '        with on_hangup((folder / f"hungup.{os.getpid()}").touch):\n'
    '            (folder / f"ready.{os.getpid()}").touch()\n'
    "            await asyncio.Event().wait()",
)


async def test_a_hangup_is_passed_to_those_that_reload(tmp_path: Path) -> None:
    """And to nobody else, whom it would end."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    children = Children()
    heedful = msgspec.structs.replace(child(tmp_path / "a", HEEDFUL), reloads=True)
    task = asyncio.create_task(supervise([heedful, child(tmp_path / "b")], drain_s=20.0, children=children))
    await wait_until(lambda: pids(tmp_path / "a", "ready") and pids(tmp_path / "b"), what="both run")

    children.send_sighup()
    await wait_until(lambda: pids(tmp_path / "a", "hungup"), what="it was told")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(pids(tmp_path / "a")), len(pids(tmp_path / "b"))) == (1, 1)
    assert pids(tmp_path / "b", "drained") == pids(tmp_path / "b")
    children.send_sighup()  # nobody is there
