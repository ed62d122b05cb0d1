"""The test stand of a rehearsal: simulated venues, and the services on them, each a process, which write to one place (`place`)."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp
import msgspec

from crosstape_connector.venues.registry import VENUES as CONNECTED
from crosstape_schemas.timeframes import close_of
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import VENUES, SimulatorSpec
from crosstape_simulator.venues.registry import default_listings
from tests.chaos.checker import Bounds, Checker
from tests.chaos.place import Place
from tests.chaos.rehearsal import Rehearsal
from tests.chaos.tape import Follower
from tests.chaos.true_market import TrueMarket
from tests.chaos.violations import Violation

INSTRUMENTS: Final = ("BTC-USDT", "ETH-USDT")
"""Those of the venues that are simulated by default; see `listed`."""
KINDS: Final = ("trade", "quote", "book", "delta", "status", "mark", "funding", "open_interest", "liquidation")
"""What a venue lacks is left out."""
BASES: Final = ("BTC", "ETH")
RATE: Final = 120.0
"""Orders a second, over all venues."""

STOP_S: Final = 30.0
LOG_LINES: Final = 15
SETTINGS: Final = """\
[bus]
url = "{url}"
partitions = {partitions}
backoff_s = 0.2
[run]
dir = "{directory}"
[telemetry]
http_enabled = false
log_level = "warning"
[aggregator]
windows = ["10s", "1m"]
bars = ["1s", "1m"]
"""
VENUE: Final = """\
[venues.{name}]
instruments = {instruments}
kinds = {kinds}
candles = {candles}
ws_url = {ws_url}
rest_url = {rest_url}
stale_s = 5.0
stale_min_s = 3.0
silence_s = 3.0
ack_timeout_s = 2.0
rest_timeout_s = 2.0
connect_timeout_s = 3.0
backoff_min_s = 0.1
backoff_max_s = 0.5
"""
"""Quick to suspect, for a suite that has ten minutes."""


def listed(venue: str) -> tuple[Listing, ...]:
    """What is rehearsed of a venue: Bitcoin and Ether in USDT, pairs and contracts; in another asset where it has neither in USDT."""
    lasting = [one for one in default_listings(venue) if one.expiry is None and one.base in BASES]
    return tuple(one for one in lasting if one.quote == "USDT") or tuple(lasting)


def instruments(venue: str) -> tuple[str, ...]:
    """Our names of them."""
    return tuple(dict.fromkeys(one.instrument for one in listed(venue)))


def local(text: str, venue: str) -> str:
    """A fault, or an instrument, with the names that are rehearsed of this venue in place of those of pairs that it does not have."""
    names = instruments(venue)
    for name in INSTRUMENTS:
        if name not in names:
            text = text.replace(name, next((one for one in names if one.startswith(name.partition("-")[0])), name))
    return text


def timeframes(venue: str) -> tuple[str, ...]:
    """The shortest timeframe of a venue's candles: one that ends soon; none, where it has no candles."""
    rules = CONNECTED[venue].candles
    found = [] if rules is None else sorted(rules.timeframes, key=lambda name: close_of(name, 0))
    return tuple(found[:1])


class Stand:
    """Made by `standing`."""

    def __init__(self, place: Place, made: Simulator, http: aiohttp.ClientSession, directory: Path) -> None:
        self.place = place
        self.rehearsal = Rehearsal(http)
        self.venues = made.spec.venues
        self.ws_url = made.ws_url
        self.checked: dict[str, int] = {}
        """What `violations` compared when it was called last, by kind."""
        self.market = TrueMarket(
            http,
            [(venue, name) for venue in self.venues for name in instruments(venue)],
            timeframes={venue: timeframes(venue) for venue in self.venues},
            contracts={(venue, one.instrument) for venue in self.venues for one in listed(venue) if one.is_contract},
        )
        self._directory = directory
        self._processes: list[Process] = []
        self._logs: dict[str, Path] = {}

    async def start(self, *command: str, **variables: str) -> Process:
        """Start one of our services. It ends with the stand."""
        name = ".".join(word for word in command if not word.startswith("-"))
        self._logs[name] = self._directory / f"{name}.log"
        with self._logs[name].open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "crosstape_cli", *command, "--settings", str(self._directory / "settings.toml")),
                env=_environ(variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    async def connectors(self, **variables: str) -> dict[str, Process]:
        """Start one connector for each venue."""
        return {venue: await self.start("connector", "--venue", venue, **variables) for venue in self.venues}

    def follower(self) -> Follower:
        """Returns a follower of the complete tape, from its beginning."""
        return Follower(self.place.client, self.place.keys)

    def logged(self) -> dict[str, str]:
        """Returns the log of each service, by its name: `connector.kraken`."""
        return {name: path.read_text(errors="replace") for name, path in self._logs.items()}

    def newest_logged(self) -> str:
        """Return the last `LOG_LINES` lines of each service's log, each log under its service's name."""
        return "\n".join(
            f"── {name} logged, at last:\n" + "\n".join(text.splitlines()[-LOG_LINES:] or ["nothing"])
            for name, text in self.logged().items()
        )

    async def stop(self) -> None:
        """Stop all processes that still run."""
        running = [process for process in self._processes if process.returncode is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    def checker(self, bounds: Bounds, venue: str = "") -> Checker:
        """Make a checker of the whole tape, or of one venue's part."""
        market = {key: true for key, true in self.market.of.items() if venue in ("", key[0])}
        is_quoted = "aggregator" in self._logs
        return Checker(market, bounds, consolidated=is_quoted, windows=is_quoted and not venue)

    async def violations(self, bounds: Bounds, *, begun: Mapping[tuple[str, str], int] = MappingProxyType({})) -> list[Violation]:
        """Check the tape as it is now. `begun`: first trades that are known to have been on the tape."""
        checker = self.checker(bounds)
        for key, number in begun.items():
            checker.trades[key].begins_at(number)
        follower = self.follower()
        found: list[Violation] = []
        for _ in range(2):  # the second time what came while streams were read one after the other
            entries = await follower.more()
            await self.market.more()  # after the tape: all that is on it has happened
            found += checker.take(entries, follower.trimmed)
        found += checker.done()
        self.checked = checker.checked
        return found


@asynccontextmanager
async def standing(directory: Path, place: Place, *, venues: Sequence[str] = VENUES, rate: float = RATE) -> AsyncIterator[Stand]:
    """Simulated venues; services are started by the test, and write to that place."""
    listings = {venue: listed(venue) for venue in venues}
    spec = SimulatorSpec(venues=tuple(venues), rate=rate, listings=listings, control_port=0)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(simulator(spec))
        assert made.control is not None
        http = await stack.enter_async_context(aiohttp.ClientSession(made.control.url))
        _write_settings(directory, place, made)
        stand = Stand(place, made, http, directory)
        stack.push_async_callback(stand.stop)
        try:
            yield stand
        except BaseException:
            sys.stderr.write(f"{stand.newest_logged()}\n")  # pytest shows it with the failure
            raise


def _write_settings(directory: Path, place: Place, made: Simulator) -> None:
    parts = [SETTINGS.format(url=place.url, partitions=place.keys.partitions, directory=directory)]
    for name in dict.fromkeys((*VENUES, *made.spec.venues)):
        if name not in made.spec.venues:
            parts.append(f"[venues.{name}]\nenabled = false\n")
            continue
        parts.append(
            VENUE.format(
                name=name,
                instruments=msgspec.json.encode(instruments(name)).decode(),
                kinds=msgspec.json.encode(KINDS).decode(),
                candles=msgspec.json.encode(timeframes(name)).decode(),
                ws_url=_toml(made.ws_url[name]),
                rest_url=_toml(made.rest_url[name]),
            )
        )
    (directory / "settings.toml").write_text("".join(parts))


def _toml(value: str | dict[str, str]) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if len(set(value.values())) == 1:
        return _toml(next(iter(value.values())))  # one address for all endpoints
    return "{ " + ", ".join(f'{key} = "{url}"' for key, url in value.items()) + " }"


def _environ(changes: Mapping[str, str]) -> dict[str, str]:
    """Ours, without settings of whoever runs the tests."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTAPE_")}
    return found | {"PYTHONPATH": os.pathsep.join(sys.path)} | dict(changes)
