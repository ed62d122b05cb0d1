"""Every program that README, docs and examples show does what the page says, in quiet times and through a restart of the server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from crosstape_schemas import encode
from tests.docs import following, shown
from tests.docs.following import Outcome, Program, Tape
from tests.docs.shown import ADDRESS, ROOT, SHOWN, Block, Follows, NotRun, Prints, RunBy
from tests.engines import Embedded, running
from tests.waiting import wait_until

BLOCKS: Final = {block.name: block for block in shown.blocks()}
PACKAGES: Final = ("redis@6.3.1", "lossless-json@4.3.3")
"""Packages of npm that the programs in JavaScript need."""

FOLLOWERS: Final = [name for name, how in SHOWN.items() if isinstance(how, Follows)]
QUICK_QUIETS_S: Final = (2.5, 2.5)
QUICK_QUERY: Final = "?socket_timeout=1.5"
"""redis-py's own is 5 seconds: in quick tests it is shorter, so that quiet need not last as long."""

REAL_QUIETS_S: Final = (6.5, 6.5, 65.0)
"""Longer than redis-py waits for an answer, and than it goes on to try."""


def is_node(name: str) -> bool:
    """Whether it is JavaScript."""
    return name.endswith(".mjs") or (name in BLOCKS and BLOCKS[name].language == "js")


QUICK: Final = [name for name in FOLLOWERS if name.startswith("README.md") and not is_node(name)]
"""Those of the first page, for every run of the tests; all of them go through longer quiet in the slow tests."""


def needs_redis_cli(name: str) -> bool:
    """Whether it calls redis-cli."""
    return name.endswith(".sh") or (name in BLOCKS and "redis-cli" in BLOCKS[name].text)


def node_version() -> int:
    """The first number of node's version."""
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    return int(said.removeprefix("v").partition(".")[0])


def why_not(name: str) -> str:
    """Why a program cannot run here; empty if it can."""
    if needs_redis_cli(name) and not shutil.which("redis-cli"):
        return "redis-cli is not installed"
    if is_node(name) and not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    if name in BLOCKS and "{ source }" in BLOCKS[name].text and is_node(name) and node_version() < 21:
        return "JSON.parse gives the source text from Node 21 on"
    if name in BLOCKS and re.search(r"\bjq -", BLOCKS[name].text) and not shutil.which("jq"):
        return "jq is not installed"
    return ""


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which node finds the packages."""
    if why := why_not("examples/trades.mjs"):
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode:
        pytest.skip(f"npm cannot install {' '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
    return directory


class Workshop:
    """Makes commands of what is shown: as it stands, but for the server's address."""

    def __init__(self, directory: Path, port: int, query: str = "", node: Path | None = None, user: str = "") -> None:
        self._directory = directory
        self._port = port
        self._url = f"redis://{user}127.0.0.1:{port}"
        self._query = query
        self._node = node
        self.environment: dict[str, str] = {}
        if client := shutil.which("redis-cli"):  # on the default port, as the page says
            tools = directory / "bin"
            tools.mkdir()
            (tools / "redis-cli").write_text(f'#!/bin/sh\nexec {client} -p {port} "$@"\n')
            (tools / "redis-cli").chmod(0o755)
            path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            self.environment = {"PATH": path}

    def program(self, name: str, how: Follows | Prints) -> Program:
        """The command of a block or an example."""
        output = self._directory / "written"
        url = self._url + ("" if is_node(name) or needs_redis_cli(name) else self._query)
        arguments = [argument.format(url=url, port=self._port, file=output) for argument in how.arguments]
        follows = how if isinstance(how, Follows) else Follows("stream", "")
        written = output if "{file}" in how.arguments else None
        return Program((*self._command(name, url), *arguments), follows, self.environment, written)

    def _command(self, name: str, url: str) -> tuple[str, ...]:
        if name in BLOCKS:
            block = BLOCKS[name]
            file = self._file(block, url)
            match block.language:
                case "python":
                    return sys.executable, str(file)
                case "js":
                    return "node", str(file)
                case _:
                    return "sh", "-eu", str(file)
        path = ROOT / name
        if path.suffix == ".py":
            return sys.executable, str(path)
        if path.suffix == ".mjs":
            return "node", str(shutil.copy(path, self._node or self._directory))
        return (str(path),)

    def _file(self, block: Block, url: str) -> Path:
        suffix = {"python": ".py", "js": ".mjs"}.get(block.language, ".sh")
        directory = self._node if is_node(block.name) and self._node else self._directory
        file = directory / (re.sub(r"\W+", "-", block.name) + suffix)
        text = block.text
        if isinstance(SHOWN[block.name], Follows) and suffix == ".sh":  # of several commands the one that does not end
            text = next(line for line in text.splitlines(keepends=True) if "SUBSCRIBE" in line)
        file.write_text(text.replace(ADDRESS, url))
        return file


def followed(
    directory: Path, names: list[str], quiets: tuple[float, ...], query: str, node: Path | None, *, persist: bool = True
) -> dict[str, Outcome]:
    """Runs these programs at the same time, and returns their results. With `persist` the server keeps its data after a kill."""

    async def run() -> dict[str, Outcome]:
        server = Embedded(directory / "server", persist=persist, port=0)
        workshop = Workshop(directory, server.port, query, node)
        programs = {name: workshop.program(name, how) for name in names if isinstance(how := SHOWN[name], Follows)}
        try:
            return await following.follow(programs, server, quiets)
        finally:
            await server.stop()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """With shorter clocks."""
    names = [name for name in QUICK if not why_not(name)]
    return followed(tmp_path_factory.mktemp("quick"), names, QUICK_QUIETS_S, QUICK_QUERY, None)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Mapping[str, Outcome]:
    """Results of all programs that can run here, with the default timeouts of their clients."""
    node: Path | None = None
    names = [name for name in FOLLOWERS if not why_not(name)]
    try:
        node = request.getfixturevalue("node_modules")
    except pytest.skip.Exception:
        names = [name for name in names if not is_node(name)]
    return followed(tmp_path_factory.mktemp("real"), names, REAL_QUIETS_S, "", node)


def check(name: str, outcome: Outcome) -> None:
    """A reader of a stream printed each event once and in order. One of a channel lost some at the restart at most, and said so."""
    how = SHOWN[name]
    assert isinstance(how, Follows)
    assert outcome.printed, outcome.output[-2000:]
    if how.kind == "stream":
        assert outcome.printed == list(range(outcome.first, outcome.last + 1)), outcome.output[-2000:]
        return
    assert re.search(how.announces, outcome.output), outcome.output[-2000:]
    before = [number for number in outcome.printed if number <= outcome.before_the_kill]
    assert before == list(range(outcome.first, outcome.before_the_kill + 1)), outcome.output[-2000:]
    if how.ends:
        assert outcome.returncode not in {0, None}
        return
    after = [number for number in outcome.printed if number > outcome.before_the_kill]
    assert after, outcome.output[-2000:]
    assert after == list(range(after[0], outcome.last + 1)), outcome.output[-2000:]


@pytest.mark.xdist_group("quick followers")  # all of them run at once
@pytest.mark.parametrize("name", QUICK)
def test_it_survives_quiet_and_a_restart(name: str, request: pytest.FixtureRequest) -> None:
    """The timeouts of the clients are shorter than the quiet time."""
    if why := why_not(name):
        pytest.skip(why)
    check(name, request.getfixturevalue("quick")[name])


@pytest.mark.slow
@pytest.mark.xdist_group("real followers")  # all of them run at once
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", FOLLOWERS)
def test_it_survives_a_minute_of_quiet_and_a_restart(name: str, request: pytest.FixtureRequest) -> None:
    """The clients have their default timeouts."""
    if why := why_not(name):
        pytest.skip(why)
    if is_node(name):
        request.getfixturevalue("node_modules")
    check(name, request.getfixturevalue("real")[name])


@pytest.mark.slow
def test_it_continues_on_a_server_that_has_lost_its_data(tmp_path: Path) -> None:
    """Ids are of the server's clock: those that come next are above the last one that was read."""
    names = [name for name in FOLLOWERS if not is_node(name) and not why_not(name)]
    for name, outcome in followed(tmp_path, names, (), QUICK_QUERY, None, persist=False).items():
        check(name, outcome)


@pytest.mark.parametrize("name", [name for name, how in SHOWN.items() if isinstance(how, Prints) and not is_node(name)])
async def test_it_prints_what_the_page_says(name: str, tmp_path: Path) -> None:
    """And ends without an error."""
    if why := why_not(name):
        pytest.skip(why)
    await prints(name, tmp_path, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, how in SHOWN.items() if isinstance(how, Prints) and is_node(name)])
async def test_javascript_prints_what_the_page_says(name: str, tmp_path: Path, node_modules: Path) -> None:
    """Needs packages of npm."""
    if why := why_not(name):
        pytest.skip(why)
    await prints(name, tmp_path, node_modules)


async def prints(name: str, directory: Path, node: Path | None, rights: Sequence[str] = ("+@all", "~*", "&*")) -> None:
    """Run it on a tape of three events, as a user with these rights, and look for the text that is expected."""
    how = SHOWN[name]
    assert isinstance(how, Prints)
    server = Embedded(directory / "server", port=0)
    async with running(server), Redis(port=server.port) as client:
        await Tape(client).send(3)
        await client.execute_command("ACL", "SETUSER", "default", "resetkeys", "resetchannels", "-@all", "+acl", *rights)  # type: ignore[no-untyped-call]
        program = Workshop(directory, server.port, node=node).program(name, how)
        async with following.started({name: program}) as started:
            assert await asyncio.wait_for(started[name].process.wait(), 30) == 0, started[name].err
            await wait_until(lambda: how.expected in started[name].out, what=how.expected, timeout_s=5)


async def test_a_stream_is_written_to_a_file(tmp_path: Path) -> None:
    """CSV and JSON lines, each trade once, over several runs and after a line that was cut off."""
    server = Embedded(tmp_path / "server", port=0)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    block = BLOCKS["docs/how-to/read-with-redis.md#to-a-file sh"]
    commands = block.text.replace(ADDRESS, f"redis://127.0.0.1:{server.port}").replace("python ", f"{sys.executable} ")

    def run() -> str:
        done = subprocess.run(["sh", "-eu", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
        return done.stderr

    async with running(server), Redis(port=server.port) as client:
        tape = Tape(client)
        await tape.send(3)
        assert await asyncio.to_thread(run) == ""
        for name in ("trades.csv", "trades.jsonl"):
            file = tmp_path / name
            file.write_bytes(file.read_bytes()[:-20])  # killed while it wrote
        await tape.send(2)
        assert await asyncio.to_thread(run) == ""
        lines = [line.split(",") for line in (tmp_path / "trades.csv").read_text().splitlines()]
        assert lines[0][:4] == ["id", "venue", "instrument", "venue_ts"]
        assert [line[8] for line in lines[1:]] == ["1", "2", "3", "4", "5"]
        assert {(line[4], line[5], line[6]) for line in lines[1:]} == {(str(following.RECEIVED_TS), "3.50", "0.10")}
        events = [json.loads(line) for line in (tmp_path / "trades.jsonl").read_text().splitlines()]
        assert [event["trade_id"] for event in events] == ["1", "2", "3", "4", "5"]
        assert {event["received_ts"] for event in events} == {following.RECEIVED_TS}

        await client.xtrim("tape:trade:BTC-USDT", maxlen=0, approximate=False)
        await tape.send(1)
        assert "may be missing" in await asyncio.to_thread(run)


async def test_a_slow_subscriber_learns_what_it_lost(tmp_path: Path) -> None:
    """The server closes the connection of one that does not read; the client connects again by itself; `seq` shows how many were lost."""
    name = "docs/how-to/read-with-redis.md#on-a-channel python"
    how = SHOWN[name]
    assert isinstance(how, Follows)
    server = Embedded(tmp_path / "server", port=0, options={"client-output-buffer-limit": "pubsub 65536 0 0"})
    async with running(server), Redis(port=server.port) as client:
        program = Workshop(tmp_path, server.port).program(name, how)
        async with following.started({name: program}) as started:
            one, sent = started[name], 0

            async def publish(count: int) -> None:
                nonlocal sent
                pipe = client.pipeline(transaction=False)
                for number in range(sent + 1, sent + count + 1):
                    pipe.publish("tape:trade:BTC-USDT", encode(following.trade(number)))
                sent += count
                await pipe.execute()

            async def publish_one() -> bool:
                await publish(1)
                return one.newest() > slow

            slow = 0
            await wait_until(publish_one, what="it prints")
            one.process.send_signal(signal.SIGSTOP)
            while await client.execute_command("CLIENT", "LIST", "TYPE", "PUBSUB"):  # type: ignore[no-untyped-call]
                await publish(2000)
            one.process.send_signal(signal.SIGCONT)
            slow = sent
            await wait_until(publish_one, what="it prints what is published when it reads again")
            await wait_until(lambda: one.newest() == sent, what="it has printed the last")
            printed = one.printed()
            lost = sum(int(count) for count in re.findall(r"lost (\d+) trades of binance", one.out))
            assert lost > 0
            assert printed == sorted(set(printed))
            assert lost == printed[-1] - printed[0] + 1 - len(printed)


async def test_shown_programs_need_no_more_rights_than_a_strategy_has(tmp_path: Path) -> None:
    """The rights are those of the user `strategy` in the how-to "Secure the bus"."""
    page = (ROOT / "docs" / "how-to" / "secure-the-bus.md").read_text()
    rights = re.findall(r"^user strategy on #\$\(hash strategy\) (.*)$", page, re.MULTILINE)[0].split()
    server = Embedded(tmp_path / "server", port=0)
    async with running(server), Redis(port=server.port) as client:
        await client.execute_command("ACL", "SETUSER", "strategy", "on", ">secret", *rights)  # type: ignore[no-untyped-call]
        workshop = Workshop(tmp_path, server.port, user="strategy:secret@")
        names = [name for name, how in SHOWN.items() if isinstance(how, Follows) and not is_node(name) and not needs_redis_cli(name)]
        programs = {name: workshop.program(name, how) for name in names if isinstance(how := SHOWN[name], Follows)}
        async with following.started(programs) as started:
            tape = Tape(client)

            async def all_print() -> bool:
                await tape.send()
                return all(one.newest() > 0 for one in started.values())

            try:
                await wait_until(all_print, what="each prints something")
            finally:
                refused = {name: one.out + one.err for name, one in started.items() if not one.newest()}
                assert refused == {}
    look = tmp_path / "look"
    look.mkdir()
    await prints("docs/how-to/read-the-tape.md#is-this-quote-current python", look, None, rights)


@pytest.mark.parametrize("name", [path.name for path in sorted((ROOT / "examples").glob("*.py"))])
@pytest.mark.parametrize("address", [[], ["no address"]])
def test_an_example_that_is_called_wrongly_says_how(name: str, address: list[str], tmp_path: Path) -> None:
    """One line about its usage and exit code 2, not a traceback."""
    given = {"to_csv.py": ["BTC-USDT", "file"], "agent.py": ["BTC-USDT"], "indicator.py": ["BTC-USDT"], "portfolio.py": ["BTC-USDT=1"]}
    command = [sys.executable, str(ROOT / "examples" / name), *address, *(given.get(name, []) if address else [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)

    assert (done.returncode, "usage:" in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


@pytest.mark.slow
def test_the_javascript_example_that_is_called_wrongly_says_how(node_modules: Path) -> None:
    """Likewise."""
    command = ["node", str(shutil.copy(ROOT / "examples" / "trades.mjs", node_modules))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert (done.returncode, done.stderr) == (2, "usage: node trades.mjs URL INSTRUMENT\n")


def test_every_program_that_is_shown_is_in_the_table() -> None:
    """And the table names nothing that is not shown."""
    names = {*BLOCKS, *shown.examples()}

    assert sorted(names - SHOWN.keys()) == []
    assert sorted(SHOWN.keys() - names) == []


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_what_is_shown_can_be_parsed(name: str) -> None:
    """Whether it is run or not."""
    block = BLOCKS[name]
    if block.language == "python":
        compile(block.text, name, "exec")
    elif block.language == "sh":
        subprocess.run(["sh", "-n"], input=block.text, text=True, check=True, timeout=10)


def test_what_is_not_run_has_a_reason_and_what_another_test_runs_has_that_test() -> None:
    """A test that was renamed is found here."""
    for name, how in SHOWN.items():
        if isinstance(how, NotRun):
            assert len(how.reason) > 10, name
        elif isinstance(how, RunBy) and how.test.startswith(".ci/run: "):
            assert f'step "{how.test.removeprefix(".ci/run: ")}"' in (ROOT / ".ci" / "run").read_text(), name
        elif isinstance(how, RunBy):
            file, _, test = how.test.partition("::")
            assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), name
