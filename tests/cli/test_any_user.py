"""Any user, as container platforms start us: a number without a name or a home, in a group that may write to the volume."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections import Counter
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.bus.spool.directory import SUFFIX
from crosstape.bus.spool.format import HEADER_BYTES, parse_frames
from crosstape.runtime.lifecycle import Exit
from crosstape.runtime.run_dir import REMEDY
from crosstape_schemas import Event, Trade, decode
from tests.cli.running import NO_VENUE, Done, crosstape, started, stopped
from tests.proxy import proxy
from tests.rare import rare_but
from tests.waiting import wait_until

USER = 1_000_680_000
GROUP = 1_000_680_000
STRANGER = 10_001

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root, with setpriv, can begin a process of another user"
)


def anybody(home: str | None = None, user: int = USER) -> tuple[str, ...]:
    """Returns how a command line begins that runs as OpenShift's user, with group 0 and the volume's group.

    The user may read all that root may, as an interpreter in root's home needs, and write nothing that such a user could not.
    """
    allowed = "-all,+dac_read_search"
    where = ("-u", "HOME") if home is None else (f"HOME={home}",)
    return (
        "setpriv", f"--reuid={user}", "--regid=0", f"--groups={GROUP}", f"--bounding-set={allowed}", f"--inh-caps={allowed}",
        f"--ambient-caps={allowed}", "--no-new-privs", "env", "-u", "XDG_STATE_HOME", *where,
    )  # fmt: skip


def volume(path: Path, owner: int, group: int, mode: int) -> Path:
    """Makes a directory as a platform provides it. The temporary directory of a test is for root only: others may pass through it."""
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


RUN_DIRS = {
    "fsGroup": (0, GROUP, 0o2775),
    "the image's own": (STRANGER, 0, 0o770),
    "of the user alone": (USER, USER, 0o700),
    "emptyDir": (0, 0, 0o777),
}
HOMES = (None, "/", "/nowhere")


@pytest.mark.parametrize(
    ("place", "home"),
    rare_but(
        product(RUN_DIRS, HOMES),
        ("fsGroup", None),
        ("the image's own", "/"),
        ("of the user alone", "/nowhere"),
        ("emptyDir", None),
    ),
)
async def test_up_works_where_it_may_write(tmp_path: Path, place: str, home: str | None) -> None:
    """It runs with its server and its services; `watch` of the same user finds the server."""
    owner, group, mode = RUN_DIRS[place]
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


def left(run_dir: Path) -> list[Event]:
    """Returns the events in the spools of a run directory, in order."""
    found: list[Event] = []
    for segment in sorted((run_dir / "spool").rglob(f"*{SUFFIX}")):
        data = segment.read_bytes()
        found += map(decode, parse_frames(data, most=len(data), at=HEADER_BYTES).payloads)
    return found


VOLUMES = {"fsGroup": (GROUP, 0o2775), "OpenShift": (0, 0o775), "a group that is not our first": (GROUP, 0o775)}


@pytest.mark.parametrize(
    ("place", "umask"),
    rare_but(
        product(VOLUMES, ("022", "077")),
        ("fsGroup", "022"),
        ("OpenShift", "022"),
        ("a group that is not our first", "077"),
        ("fsGroup", "077"),
    ),
)
async def test_another_user_of_the_group_goes_on_with_the_volume(tmp_path: Path, place: str, umask: str) -> None:
    """Each start may be of another user: the tape goes on, also after a kill, which leaves everything as it was."""
    group, mode = VOLUMES[place]
    path = volume(tmp_path / "run", 0, group, mode)
    variables = NO_VENUE | {"CROSSTAPE_RUN__DIR": str(path)}
    shell = "sh", "-c", f'umask {umask}; exec "$0" "$@"'
    for start in range(3):
        user = USER + start
        async with started("up", variables=variables, prefix=(*anybody(user=user), *shell)) as process:
            await wait_until(partial(owns, user, path / "bus.url"), what="the server is announced")
            async with Redis(unix_socket_path=str(path / "valkey.sock")) as server:
                assert await server.rpush("starts", f"start-{start}") == start + 1
            await wait_until(lambda: f"start-{start}".encode() in aof(path), what="it is in the file")  # noqa: B023
            if start == 1:
                process.kill()
                await process.wait()
            else:
                assert (await stopped(process)).code == Exit.OK
    for file in path.rglob("*"):
        assert file.stat().st_gid == group, file
        assert not file.stat().st_mode & (0o007 if file.is_relative_to(path / "appendonlydir") else 0o002), file


def owns(user: int, path: Path) -> bool:
    """Whether this user has made the file."""
    return path.exists() and path.stat().st_uid == user


def aof(run_dir: Path) -> bytes:
    """Returns the data that the embedded server has written to disk."""
    return b"".join(file.read_bytes() for file in (run_dir / "appendonlydir").glob("*.aof"))


@pytest.mark.parametrize("place", rare_but(zip(VOLUMES, strict=True), ("a group that is not our first",)))
async def test_a_spool_goes_to_the_tape_by_another_user_of_the_group(valkey: str, tmp_path: Path, place: str) -> None:
    """The connector of one user leaves a spool, because its server is away; the connector of the next user publishes all of it."""
    group, mode = VOLUMES[place]
    path, file = volume(tmp_path / "run", 0, group, mode), tmp_path / "simulator.toml"
    async with started("simulate", "--venue", "kraken", "--rate", "100", "--write", str(file)), proxy(valkey) as net:
        variables = {
            "CROSSTAPE_SETTINGS": str(file),
            "CROSSTAPE_RUN__DIR": str(path),
            "CROSSTAPE_RUN__DRAIN_S": "0.5",
            "CROSSTAPE_BUS__URL": net.url,
            "CROSSTAPE_BUS__PREFIX": tmp_path.name,
            "CROSSTAPE_BUS__PENDING": "50",
            "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
        }
        await wait_until(file.exists, what="the venue's addresses")
        async with started("connector", "--venue", "kraken", variables=variables, prefix=anybody()) as process:
            await wait_until(lambda: len(list(path.glob("instruments/*.json"))) == 1, what="the venue is known")
            async with Redis.from_url(valkey) as client:
                await wait_until(partial(on_tape, client, tmp_path.name), what="there are trades on the tape")
            net.refusing = True
            net.cut()
            await wait_until(lambda: len(left(path)) > 100, what="there is a spool")
            await stopped(process)
        spooled = {(event.instrument, event.trade_id) for event in left(path) if isinstance(event, Trade)}
        assert spooled

        net.refusing = False
        async with started("connector", "--venue", "kraken", variables=variables, prefix=anybody(user=USER + 1)) as process:
            async with Redis.from_url(valkey) as client:

                async def is_published() -> bool:
                    found = await on_tape(client, tmp_path.name)
                    assert max(Counter(found).values(), default=0) <= 1
                    return spooled <= set(found)

                await wait_until(is_published, what="what was spooled is on the tape", timeout_s=30)
            done = await stopped(process)
    for event in ("bus.spool_failed", "instruments.not_cached", "bus.data_lost", "overflow"):
        assert event not in done.err


async def on_tape(client: Redis, prefix: str) -> list[tuple[str, str]]:
    """Instrument and id of each trade of the venue."""
    found = []
    async for key in client.scan_iter(f"{prefix}:*trade:*", _type="stream"):
        entries: Any = await client.xrange(key)
        for _, fields in entries:
            event = decode(fields[b"d"])
            if isinstance(event, Trade):
                found.append((event.instrument, event.trade_id))
    return found


@pytest.mark.parametrize("name", ["run.lock", "valkey.lock", "valkey.conf", "valkey.log", "appendonlydir"])
async def test_a_server_whose_files_may_not_be_used_says_what_to_set(tmp_path: Path, name: str) -> None:
    """Files that a volume got from elsewhere: which one it is, and what helps."""
    path = volume(tmp_path / "run", 0, GROUP, 0o2775)
    if name == "appendonlydir":
        (path / name).mkdir()
        (path / name).chmod(0o755)
    else:
        (path / name).touch(mode=0o600)

    refused = await crosstape("up", prefix=anybody(), variables=NO_VENUE, CROSSTAPE_RUN__DIR=str(path))
    assert refused.code == Exit.STORAGE
    assert failure(refused).startswith(f"run.dir = {path}: ")
    assert str(path / name) in failure(refused)
    assert f"chgrp -R {GROUP} and chmod -R g+rwX" in failure(refused)


@pytest.mark.parametrize("name", ["spool", "spool/connector.kraken", "spool/connector.kraken/0-of-1", "instruments"])
async def test_a_connector_that_may_not_use_what_it_finds_says_what_to_set(tmp_path: Path, name: str) -> None:
    """It fails at its start, not when the server is away: an earlier release made files that only their maker can use."""
    path = volume(tmp_path / "run", 0, GROUP, 0o2775)
    for part in reversed(Path(name).parents[:-1]):
        (path / part).mkdir()
        (path / part).chmod(0o2775)
    (path / name).mkdir(mode=0o755)
    (path / name).chmod(0o755)

    variables = NO_VENUE | {"CROSSTAPE_RUN__DIR": str(path), "CROSSTAPE_BUS__URL": "redis://127.0.0.1:1"}
    refused = await crosstape("connector", "--venue", "kraken", prefix=anybody(), variables=variables)
    assert refused.code == Exit.STORAGE
    assert failure(refused) == (
        f"run.dir = {path}: {path / name} belongs to another user (0, group {GROUP}; we are {USER}, group 0), and we may not write to it; "
        f"let its group use what is in it (chgrp -R {GROUP} and chmod -R g+rwX), or set run.dir (CROSSTAPE_RUN__DIR) to another directory"
    )


PLACELESS = {
    None: f"run.dir is not set, and this user has no home directory (HOME): {REMEDY}",
    "/": f"run.dir = /.local/state/crosstape: cannot be made: Permission denied; {REMEDY}",
    "/proc": f"run.dir = /proc/.local/state/crosstape: cannot be made: No such file or directory; {REMEDY}",
}


@pytest.mark.parametrize(
    ("command", "home"),
    rare_but(
        product(("up", "connector --venue kraken", "aggregator", "watch"), PLACELESS),
        *(("up", home) for home in PLACELESS),
        ("connector --venue kraken", "/"),
        ("aggregator", None),
        ("watch", "/proc"),
    ),
)
async def test_without_a_place_it_says_what_to_set(command: str, home: str | None) -> None:
    """One line, whether a home directory exists or not."""
    done = await crosstape(*command.split(), prefix=anybody(home), variables=NO_VENUE)

    assert done.code == (Exit.USAGE if home is None else Exit.STORAGE)
    assert failure(done) == PLACELESS[home]


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
    """The demo runs as a user that is not in the user database."""
    done = await crosstape("demo", "--seconds", "20", "--json", prefix=anybody(), timeout_s=90)

    assert (done.code, done.err) == (Exit.OK, "")
