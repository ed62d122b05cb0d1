"""Any user, as container platforms start us: a number without a name or a home, in a group that may write to the volume."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from crosstape.lifecycle import Exit
from crosstape.run_dir import REMEDY
from tests.cli.running import Done, crosstape, started, stopped
from tests.waiting import wait_until

USER = 1_000_680_000
GROUP = 1_000_680_000
STRANGER = 10_001
NO_VENUE = {
    "CROSSTAPE_VENUES__KRAKEN__REST_URL": "http://127.0.0.1:1",
    "CROSSTAPE_VENUES__KRAKEN__WS_URL": "ws://127.0.0.1:1",
    "CROSSTAPE_VENUES__BINANCE__ENABLED": "false",
    "CROSSTAPE_VENUES__COINBASE__ENABLED": "false",
    "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
}

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root, with setpriv, can begin a process of another user"
)


def anybody(home: str | None = None, user: int = USER) -> tuple[str, ...]:
    """What a command begins with: OpenShift's user, group 0 and the volume's group. It may read all that root may, as an interpreter in
    root's home asks for, and write nothing that a user of this number could not.
    """
    allowed = "-all,+dac_read_search"
    where = ("-u", "HOME") if home is None else (f"HOME={home}",)
    return (
        "setpriv", f"--reuid={user}", "--regid=0", f"--groups={GROUP}", f"--bounding-set={allowed}", f"--inh-caps={allowed}",
        f"--ambient-caps={allowed}", "--no-new-privs", "env", "-u", "XDG_STATE_HOME", *where,
    )  # fmt: skip


def volume(path: Path, owner: int, group: int, mode: int) -> Path:
    """A directory as a platform hands it over. The temporary directory of a test is for root only: others may pass through it."""
    path.mkdir()
    os.chown(path, owner, group)
    path.chmod(mode)
    for parent in path.parents:
        if parent.stat().st_uid == os.geteuid() and parent.name.startswith(("pytest-", "test_")):
            parent.chmod(parent.stat().st_mode | 0o011)
    return path


def failure(done: Done) -> str:
    """The one line that says why; there is no traceback."""
    assert "Traceback" not in done.err
    (line,) = done.err.splitlines()
    return line.removeprefix("crosstape: ") if line.startswith("crosstape: ") else str(json.loads(line)["error"])


@pytest.mark.parametrize("home", [None, "/", "/nowhere"])
@pytest.mark.parametrize(
    ("owner", "group", "mode"),
    [
        pytest.param(0, GROUP, 0o2775, id="fsGroup"),
        pytest.param(STRANGER, 0, 0o770, id="the image's own"),
        pytest.param(USER, USER, 0o700, id="of the user alone"),
        pytest.param(0, 0, 0o777, id="emptyDir"),
    ],
)
async def test_up_works_where_it_may_write(tmp_path: Path, owner: int, group: int, mode: int, home: str | None) -> None:
    """With its server and its services; `watch` of the same user finds it."""
    path = volume(tmp_path / "run", owner, group, mode)
    variables = NO_VENUE | {"CROSSTAPE_RUN__DIR": str(path)}
    async with started("up", variables=variables, prefix=anybody(home)) as process:
        await wait_until(lambda: list(path.rglob("bus.url")), what="the server is announced")
        async with started("watch", variables=variables, prefix=anybody(home)) as watch:
            assert watch.stdout is not None
            assert b"instruments on unix://" in await watch.stdout.readline()
            await stopped(watch)
        if owner == 0 and mode != 0o777:
            refused = await crosstape("watch", variables=variables, prefix=anybody(home, user=USER + 1))
            assert refused.code == Exit.UNREACHABLE
            assert failure(refused) == f"the server of `crosstape up` in {path} is only for user {USER}, and we are {USER + 1}"
        await wait_until(lambda: list(path.rglob("spool")) or list(path.rglob("appendonlydir")), what="there are data")
        done = await stopped(process)

    assert done.code == Exit.OK
    assert "Traceback" not in done.err
    assert stat.S_IMODE(path.stat().st_mode) == mode


async def test_another_user_of_the_group_goes_on_with_the_volume(tmp_path: Path) -> None:
    """As when a volume comes to another namespace: the platform gives its files to the group. Where it does not, the error names a file."""
    path = volume(tmp_path / "run", 0, GROUP, 0o2775)
    variables = NO_VENUE | {"CROSSTAPE_RUN__DIR": str(path)}
    async with started("up", variables=variables, prefix=anybody()) as process:
        await wait_until((path / "bus.url").exists, what="the server is announced")
        await stopped(process)

    refused = await crosstape("up", prefix=anybody(user=USER + 1), variables=variables)
    assert refused.code == Exit.STORAGE
    assert failure(refused) == f"run.dir = {path}: the embedded server cannot be started there: Permission denied: {path / 'run.lock'}"

    for file in path.rglob("*"):
        os.chown(file, -1, GROUP)
        file.chmod(file.stat().st_mode | (0o2770 if file.is_dir() else 0o660))
    async with started("up", variables=variables, prefix=anybody(user=USER + 1)) as process:
        await wait_until((path / "bus.url").exists, what="the server is announced again")
        assert (await stopped(process)).code == Exit.OK


@pytest.mark.parametrize("command", [("up",), ("connector", "--venue", "kraken"), ("aggregator",), ("watch",)])
@pytest.mark.parametrize(
    ("home", "error"),
    [
        (None, f"run.dir is not set, and this user has no home directory (HOME): {REMEDY}"),
        ("/", f"run.dir = /.local/state/crosstape: cannot be made: Permission denied; {REMEDY}"),
        ("/proc", f"run.dir = /proc/.local/state/crosstape: cannot be made: No such file or directory; {REMEDY}"),
    ],
)
async def test_without_a_place_it_says_what_to_set(command: tuple[str, ...], home: str | None, error: str) -> None:
    """In one line, whatever there is for a home."""
    done = await crosstape(*command, prefix=anybody(home), variables=NO_VENUE)

    assert done.code == (Exit.USAGE if home is None else Exit.STORAGE)
    assert failure(done) == error


async def test_a_volume_that_may_not_be_written_says_whose_it_is(tmp_path: Path) -> None:
    """And who we are: the platform's settings need both."""
    path = volume(tmp_path / "run", 0, 0, 0o755)
    done = await crosstape("up", prefix=anybody(), variables=NO_VENUE, CROSSTAPE_RUN__DIR=str(path))

    assert done.code == Exit.STORAGE
    assert failure(done) == f"run.dir = {path}: belongs to another user (0; we are {USER}, group 0); {REMEDY}"


async def test_what_needs_no_run_directory_needs_no_home() -> None:
    """Nor does `demo`, whose server lives among the temporary files; without a place for these it says so."""
    assert (await crosstape("schema", prefix=anybody())).code == Exit.OK
    assert (await crosstape("--version", prefix=anybody("/"))).code == Exit.OK
    assert "not the first line of a capture" in failure(await crosstape("normalize", "kraken", prefix=anybody()))
    async with started("simulate", "--venue", "kraken", prefix=anybody()) as process:
        assert process.stdout is not None
        assert b"[venues." in await process.stdout.readline()
        assert (await stopped(process)).code == Exit.OK

    code = (
        "import sys, tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc'];"
        "from crosstape_cli.main import main; sys.exit(main(['demo']))"
    )
    done = await crosstape("demo", prefix=(*anybody(), "sh", "-c", 'exec "$0" -c "$CODE"'), CODE=code)
    assert done.code == Exit.STORAGE
    (line,) = done.err.splitlines()
    assert "no directory for temporary files can be written: No usable temporary directory found in ['/proc']; set TMPDIR to one" in line


@pytest.mark.slow
async def test_a_demo_of_anybody() -> None:
    """The whole tape, as a user that nobody knows."""
    done = await crosstape("demo", "--seconds", "20", "--json", prefix=anybody(), timeout_s=90)

    assert (done.code, done.err) == (Exit.OK, "")
