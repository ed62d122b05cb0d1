"""A complete tape on this machine: what a person sees first, with real processes throughout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from crosstape.errors import SettingsError
from crosstape.runtime.lifecycle import Exit
from crosstape.settings.load import load
from crosstape_cli.demo import LEGS, SHOWN, chosen, legs_to_show, summary
from crosstape_cli.demo_outputs import outputs
from crosstape_cli.simulate import as_settings
from crosstape_connector.venue_choice import check_candles
from crosstape_connector.venues.registry import VENUES as PROTOCOLS
from crosstape_schemas import Cbbo, decode, encode
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from tests.cli.running import TIMEOUT_S, crosstape, line, started, stopped
from tests.monitoring.demo import fetch
from tests.waiting import wait_until


def children(pid: int) -> list[int]:
    """Processes that this one started and that still run."""
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody waited for does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
async def test_two_demos_at_once_show_quotes_of_three_venues(tmp_path: Path) -> None:
    """Standard output has only the last quotes, as published; no file is left behind."""
    first, second = await asyncio.gather(
        *(crosstape("demo", "--seconds", "20", "--json", "--logs", str(tmp_path / name), timeout_s=90) for name in ("a", "b"))
    )
    for done in (first, second):
        assert (done.code, done.err) == (Exit.OK, "")
        quotes = [decode(text) for text in done.out.splitlines()]
        assert b"".join(encode(quote) + b"\n" for quote in quotes) == done.out
        whole = [quote for quote in quotes if isinstance(quote, Cbbo) and quote.venues >= 3 and quote.venues == len(quote.legs)]
        assert len(whole) >= 5
        assert all(leg.excluded is None and leg.seq > 0 and leg.epoch > 0 for quote in whole for leg in quote.legs)
    assert {path.stem for path in (tmp_path / "a").iterdir()} >= {"simulator", "aggregator", "connector.kraken"}


@pytest.mark.slow
async def test_ctrl_c_ends_a_demo_in_order() -> None:
    """It prints a summary, and all its processes end. While it runs, the page's address stays in sight, and its gateway has the quotes."""
    async with started("demo") as process:
        while not (text := await line(process)).startswith("the page is on "):
            pass
        page = text.removeprefix("the page is on ")
        while not (text := await line(process)).startswith(f"{page}  5 simulated venues"):
            pass
        while not re.search(r"[34] venues  normal", await line(process)):
            pass

        async def on_the_page() -> bool:
            with contextlib.suppress(OSError):  # it starts when the quotes do
                return "BTC-USDT" in await asyncio.to_thread(fetch, f"{page}api/quotes")
            return False

        await wait_until(on_the_page, what="the gateway has quotes", timeout_s=TIMEOUT_S)
        family = children(process.pid)
        assert len(family) >= 4 + len(SHOWN)

        done = await stopped(process)

        assert (done.code, done.err) == (Exit.OK, "")
        assert re.search(rb"^\d+ instruments were consolidated: .*\d from [34] venues", done.out, re.MULTILINE)
        await wait_until(lambda: not any(map(alive, family)), what="all processes are gone")


async def server_of(pid: int) -> int:
    """The process of the embedded server, which a shell between the two waits for, once there is one."""

    def found() -> list[int]:
        below = [grandchild for child in children(pid) for grandchild in children(child)]
        with contextlib.suppress(FileNotFoundError):  # one has just ended
            return [one for one in below if Path(f"/proc/{one}/comm").read_text().endswith("-server\n")]
        return []

    await wait_until(found, what="the server runs")
    return found()[0]


@pytest.mark.slow
async def test_a_demo_starts_its_server_again(tmp_path: Path) -> None:
    """With all that it had; the quotes go on. A demo whose server was killed just before Ctrl-C ends in order, too, and leaves nothing."""
    folder = tmp_path / ("tmp" * 30)  # too long for the path of a socket: that is elsewhere, and stays where it is
    folder.mkdir()
    async with started("demo", "--logs", str(tmp_path / "logs"), variables={"TMPDIR": str(folder)}) as process:
        url = (await line(process)).removeprefix("the tape is on ")
        while not re.search(r"[34] venues  normal", await line(process)):
            pass
        async with Redis.from_url(url) as server:
            client: Any = server
            first = (await client.xrange("tape:cbbo:BTC-USDT", count=1))[0]
            first_server = await server_of(process.pid)
            os.kill(first_server, signal.SIGKILL)
            await wait_until(lambda: not alive(first_server), what="it is dead")

            async def continues() -> bool:
                with contextlib.suppress(RedisError, OSError):
                    newest = (await client.xrevrange("tape:cbbo:BTC-USDT", count=1))[0]
                    milliseconds = int(newest[0].partition(b"-")[0])
                    return bool(milliseconds > killed_ms)
                return False

            killed_ms = time.time_ns() // 1_000_000
            await wait_until(continues, what="new quotes are on the tape", timeout_s=TIMEOUT_S)
            assert (await client.xrange("tape:cbbo:BTC-USDT", count=1))[0] == first

        family = children(process.pid)
        os.kill(await server_of(process.pid), signal.SIGKILL)
        done = await stopped(process)

    assert done.code == Exit.OK
    assert b"instruments were consolidated" in done.out
    assert "server.restarted" in done.err
    assert "service.killed" not in done.err  # each ended by itself, in its time
    await wait_until(lambda: not any(map(alive, family)), what="all processes are gone")
    assert not list(folder.iterdir())


@pytest.mark.slow
async def test_a_killed_demo_leaves_no_process() -> None:
    """Children and server notice."""
    async with started("demo") as process:
        await line(process)
        await wait_until(lambda: len(children(process.pid)) >= 6, what="all processes run")
        family = children(process.pid)
        family += [grandchild for child in family for grandchild in children(child)]

        process.kill()

        await wait_until(lambda: not any(map(alive, family)), what="all processes are gone")


@pytest.mark.parametrize("options", [("--json",), ()])
async def test_a_demo_that_ends_before_it_has_begun_says_so(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Over before any quote could be there: code 5, and neither an empty summary nor logs in which nothing is wrong."""
    done = await crosstape("demo", "--seconds", "0.01", "--logs", str(tmp_path), *options)

    assert done.code == Exit.UNPROVEN
    assert b"consolidated" not in done.out
    assert done.err == "crosstape: no quote was consolidated from 3 venues: the demo ended before it had begun; give it 10 s\n"


@pytest.mark.slow
async def test_a_demo_of_some_venues(tmp_path: Path) -> None:
    """With two venues, a quote of both has shown what there is to show."""
    done = await crosstape("demo", "--venues", "kraken,bitstamp", "--seconds", "15", "--json", "--logs", str(tmp_path), timeout_s=90)

    quotes = [quote for text in done.out.splitlines() if isinstance(quote := decode(text), Cbbo)]
    assert done.code == Exit.OK
    assert {leg.venue for quote in quotes for leg in quote.legs} == {"kraken", "bitstamp"}
    assert {path.stem for path in tmp_path.iterdir()} >= {"simulator", "connector.kraken", "connector.bitstamp"}


def test_venues_of_a_demo_are_simulated_ones() -> None:
    """Divided by commas; a wrong name comes with the nearest one."""
    assert chosen("kraken, binance,kraken,") == ("kraken", "binance")
    assert chosen(",".join(SHOWN)) == SHOWN
    for wrong, said in (("krakn", "did you mean kraken?"), ("kraken,x", "--venues x: there are"), (",", "none is named")):
        with pytest.raises(SettingsError) as caught:
            chosen(wrong)
        assert said in str(caught.value)


def test_what_a_demo_computes_beside_quotes() -> None:
    """Edges between all of its venues; a composite only where its parts and their rate are listed, which the simulator is asked for."""
    found = load(None, outputs(SHOWN)).aggregator
    assert (found.bars, found.depth_levels, set(found.taker_fees_bps)) == (("1s", "1m"), 10, set(SHOWN))
    assert found.composites["BTC-USD*"].parts == ("BTC-USD", "BTC-USDT")
    assert {"BTC-USDT", "BTC-USD*"} <= set(found.sweep_sizes)
    assert load(None, outputs(("binance", "bitfinex"))).aggregator.composites == {}
    assert load(None, outputs(("kraken",))).aggregator.taker_fees_bps == {}
    for stablecoins in (False, True):
        settings = tomllib.loads(as_settings({"kraken": {}}, synthetic=["kraken"], stablecoins=stablecoins))
        assert ("USDT-USD" in settings["venues"]["kraken"]["instruments"]) == stablecoins


def test_the_summary_counts_all_that_was_shown() -> None:
    """Instruments by their venues; composites by their legs."""
    assert summary({"BTC-USD": 3, "BTC-USDT": 4, "ETH-USDT": 4, "BTC-USD*": 7}) == (
        "3 instruments were consolidated: 2 from 4 venues, 1 from 3 venues (not every venue lists every instrument);"
        " composites: BTC-USD* from 7 legs"
    )
    assert summary({"BTC-USD": 1}) == "1 instrument was consolidated: 1 from 1 venue"


def test_how_many_legs_a_demo_must_show_depends_on_its_venues() -> None:
    """Three, or as many as list one instrument: spot and perpetuals do not count together."""
    assert [legs_to_show(venues) for venues in (SHOWN, ("binance", "kraken"), ("kraken",))] == [LEGS, 2, 1]


@pytest.mark.slow
async def test_up_runs_the_venues_of_the_settings(tmp_path: Path) -> None:
    """Its embedded server is found by `watch`, every process that dies is restarted, and SIGTERM lets all of them drain."""
    settings = tmp_path / "sim.toml"
    state = {"CROSSTAPE_RUN__DIR": str(tmp_path / "run"), "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json"}
    async with started("simulate", "--write", str(settings)):
        await wait_until(settings.exists, what="the simulator listens")
        async with started("up", "--settings", str(settings), variables=state) as up:
            told = asyncio.create_task(_events(up))
            await wait_until((tmp_path / "run" / "bus.url").exists, what="the server is announced")
            async with started("watch", "BTC-USDT", "--settings", str(settings), variables=state) as watch:
                while "3 venues  normal" not in await line(watch):
                    pass

                victim = next(pid for pid in children(up.pid) if "aggregator" in Path(f"/proc/{pid}/cmdline").read_text())
                os.kill(victim, signal.SIGKILL)
                await wait_until(
                    lambda: any("aggregator" in Path(f"/proc/{pid}/cmdline").read_text() for pid in children(up.pid) if pid != victim),
                    what="another aggregator runs",
                )
                while "3 venues  normal" not in await line(watch):
                    pass
                assert (await stopped(watch)).code == Exit.OK

            up.send_signal(signal.SIGTERM)
            events = await asyncio.wait_for(told, TIMEOUT_S)
            assert await up.wait() == Exit.OK
    assert not (tmp_path / "run" / "bus.url").exists()
    assert {event["event"] for event in events} >= {
        "server.embedded",
        "service.started",
        "service.ended",
        "service.stopped",
        "connector.drained",
    }
    assert {event["code"] for event in events if event["event"] == "service.stopped"} == {0}


async def _events(process: asyncio.subprocess.Process) -> list[dict[str, object]]:
    """Returns all that a process and its children log, until they end."""
    assert process.stderr is not None
    return [json.loads(text) async for text in process.stderr]


async def test_simulate_prints_settings(tmp_path: Path) -> None:
    """The settings can be used as they are; the same text is written to the file of `--write`."""
    file = tmp_path / "sim.toml"
    async with started("simulate", "--venue", "kraken", "--venue", "coinbase", "--write", str(file)) as process:
        await wait_until(file.exists, what="it listens")
        done = await stopped(process)

    assert done.code == Exit.OK
    assert done.out.decode() == file.read_text()
    venues = load(file, {}).venues
    assert isinstance(venues["kraken"].ws_url, str)
    assert venues["kraken"].ws_url.startswith("ws://127.0.0.1:")
    assert isinstance(venues["coinbase"].ws_url, dict)
    assert set(venues["coinbase"].ws_url) == {"advanced", "exchange"}
    assert "BTC-USDT" in venues["kraken"].instruments
    assert [name for name, venue in venues.items() if venue.enabled] == ["coinbase", "kraken"]


async def test_simulate_says_where_it_is_controlled(tmp_path: Path) -> None:
    """The address is a comment in the settings that it writes; faults of the command line are set."""
    file = tmp_path / "sim.toml"
    async with started("simulate", "--venue", "kraken", "--control", "0", "--fault", "drop count=0", "--write", str(file)) as process:
        await wait_until(file.exists, what="it listens")
        first = file.read_text().splitlines()[0]
        url = first.removeprefix("# faults and the true market: ")
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url + "faults", timeout=30) as answer:
            (fault,) = json.loads(answer.read())
        assert (fault["id"], fault["state"], fault["fault"]["fault"]) == (1, "active", "drop")
        await stopped(process)
    assert load(file, {}).venues["kraken"].enabled


@pytest.mark.parametrize("command", ["simulate", "demo"])
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--fault", "stal", "--fault stal: no such fault; did you mean stall?"),
        ("--control", "here", "--control here: expected [HOST:]PORT, as 8900"),
    ],
)
async def test_a_fault_that_there_is_not_stops_the_start(command: str, option: str, value: str, error: str) -> None:
    """The error is wrong usage, and names the nearest fault."""
    done = await crosstape(command, option, value)

    assert done.code == Exit.USAGE
    assert error in done.err


def test_addresses_as_settings() -> None:
    """A table where endpoints differ; instruments only where they are known; what is not simulated is off."""
    venues: dict[str, dict[str, Any]] = {
        "coinbase": {"ws_url": {"a": "ws://x/a", "b": "ws://x/b"}, "rest_url": {"a": "http://x", "b": "http://x"}},
        "kraken": {"ws_url": "ws://y"},
    }

    made = tomllib.loads(as_settings(venues, synthetic=["kraken"]))["venues"]

    assert made["coinbase"] == {"ws_url": {"a": "ws://x/a", "b": "ws://x/b"}, "rest_url": "http://x"}
    assert made["kraken"]["ws_url"] == "ws://y"
    assert "ETH-USDT" in made["kraken"]["instruments"]
    assert made["binance"] == {"enabled": False}


def test_synthetic_venues_have_candles() -> None:
    """Of a minute, else the shortest above that; a venue without candles has none, and the settings are valid for all of them."""
    names = list(SIMULATED)

    made = tomllib.loads(as_settings({name: {} for name in names}, synthetic=names))["venues"]

    assert [made[name]["candles"] for name in ("binance", "kucoin", "bingx_swap", "coinbase", "bitstamp")] == [["1m"]] * 3 + [["5m"], []]
    for name in names:
        check_candles(PROTOCOLS[name], made[name]["candles"])
