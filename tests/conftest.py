"""What all tests share: a server for the run, empty at the start of each test that asks for it, and servers of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from _pytest.nodeid import coerce_node_id
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from tests import engines
from tests.engines import NOTHING, Server, StartServer

# How long it takes to make an example, and to use it, depends on what runs beside it.
settings.register_profile("crosstape", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crosstape")

FIRST_LINES: Final = 10
LAST_LINES: Final = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which server."""
    parser.addoption("--engine", choices=engines.ENGINES, default="embedded", help="the server under test: redis, valkey by Docker")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """An engine that was asked for and cannot be had fails the run: nothing is skipped for it."""
    if trouble := engines.trouble(config.getoption("engine")):
        raise pytest.UsageError(trouble)
    # Tests start some six hundred processes of ours. Each would compile the source again where the environment forbids to keep the result.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # In the background of a script SIGINT is ignored. Services would inherit that, and no test could end them by Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):  # a worker has none
        config.pluginmanager.register(AtOnce(reporter))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of what a failed test printed, above all the log events of services, keep the first and the newest lines."""
    report = yield
    report.sections = [(name, shortened(text)) for name, text in report.sections]
    return report


def shortened(text: str) -> str:
    """Return at most `FIRST_LINES + LAST_LINES` lines of it, and between them how many are left out."""
    lines = text.splitlines()
    left_out = len(lines) - FIRST_LINES - LAST_LINES
    if left_out <= 1:
        return text
    return "\n".join([*lines[:FIRST_LINES], f"… {left_out} lines are left out; all are shown by pytest -s", *lines[-LAST_LINES:]])


class AtOnce:
    """Prints which test has failed, and why in one line, as soon as it has: the whole report comes at the end of the run.

    The ids are also appended to the file that the variable `CROSSTAPE_FAILED` names: pytest runs them again as `@FILE`.
    """

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._file = os.environ.get("CROSSTAPE_FAILED")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test, whichever worker ran it."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = (crash.message if crash else report.longreprtext).strip().partition("\n")[0]
            self._reporter.write_line(f"\nFAIL {report.nodeid}: {reason}", red=True)
            if self._file:
                with Path(self._file).open("a") as file:
                    file.write(f"{without_group(report.nodeid)}\n")


def without_group(node_id: str) -> str:
    """Returns the id of a test without the `@GROUP` by which pytest-xdist keeps tests together."""
    head, bracket, _ = node_id.rpartition("]")
    return head + bracket if bracket else node_id.partition("@")[0]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep tests of one `xdist_group` together. With another engine than the embedded one, leave out tests without a server: they have run.

    pytest-xdist writes a test's group to an attribute in which pytest keeps no ids since 9.2; without the group, nothing fails, and each
    process makes what the group was to make once (https://github.com/pytest-dev/pytest-xdist/issues/1386).
    """
    for item in items:
        if written := vars(item).get("_nodeid"):
            item._id = coerce_node_id(written)
    if getattr(config.option, "loadgroup", False):
        alone = [item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid.rpartition("]")[2]]
        if alone:
            raise pytest.UsageError(f"pytest-xdist does not keep groups together: {alone[0]} is not known to be in one")
    if config.getoption("engine") == "embedded":
        return
    using = [item for item in items if "engine" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in using])
    items[:] = using


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that a test runs in this process configures logging: later tests find it as it was, also loggers that were in use."""
    configure, before, was_configured = structlog.configure, structlog.get_config(), structlog.is_configured()

    def configure_uncached(*args: Any, **options: Any) -> None:
        configure(*args, **{**options, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_uncached)
    yield
    logging.captureWarnings(capture=False)
    if was_configured:
        configure(**before)
    elif structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test does not say where to keep is kept with the run's other files, not with the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """One of `engines.ENGINES`."""
    return str(request.config.getoption("engine"))


@pytest.fixture(scope="session")
def valkey(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of a server private to this run, whichever engine it is: for `BusSettings(url=valkey)`."""
    loop = asyncio.new_event_loop()  # of its own: the tests' loops come and go
    server = engines.server(engine, partial(tmp_path_factory.mktemp, "valkey"))
    try:
        loop.run_until_complete(server.start())
        yield server.url
    finally:
        loop.run_until_complete(server.stop())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
async def client(valkey: str) -> AsyncIterator[Redis]:
    """A client of the run's server, which it finds empty. Replies are bytes."""
    async with Redis.from_url(valkey) as client:
        await client.flushall()
        await client.script_flush()
        yield client


@pytest.fixture
async def start_server(engine: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StartServer]:
    """Starts servers of the test's own, that it may kill; they end with it."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, persist: bool = False, options: Mapping[str, str] = NOTHING) -> Server:
            one = engines.server(engine, partial(tmp_path_factory.mktemp, "server"), persist=persist, options=options)
            return await stack.enter_async_context(engines.running(one))

        yield start


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The url of a PostgreSQL server private to this run: see `tests.postgres`."""
    from tests.postgres import EmbeddedPostgres, running  # few tests need it

    with running(EmbeddedPostgres()) as server:
        yield server.url
