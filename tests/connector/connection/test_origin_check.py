"""Simulated data never get onto a live tape, nor live data onto a simulated tape: checked before anything is published or claimed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import Publisher, connect
from crosstape.errors import WrongTape
from crosstape.origin import SIMULATED_HEADER
from crosstape.runtime.exit_codes import NOT_RESTARTED, Exit, code_of
from crosstape.settings import BusSettings, ConnectorSettings, RunSettings, Settings, TelemetrySettings, VenueSettings
from crosstape_connector.service import run
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Environment
from crosstape_schemas import Keys
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.bus.tape import fast
from tests.connector.fake_venue import trade
from tests.connector.world import World, changed, subscribed
from tests.waiting import wait_until

IDENTITY = Keys().identity()
TRADES = Keys().stream("trade", "BTC-USDT")


@pytest.fixture
async def venues() -> AsyncIterator[Simulator]:
    """A simulated Kraken."""
    async with simulator(SimulatorSpec(venues=("kraken",), rate=200.0)) as made:
        yield made


def settings_for(venues: Simulator, url: str, path: Path, **connector: Any) -> Settings:
    """The settings of a connector to the simulated venue."""
    own = VenueSettings(instruments=("BTC-USDT",), ws_url=venues.ws_url["kraken"], rest_url=venues.rest_url["kraken"])
    return Settings(
        bus=BusSettings(url=url, timeout_s=1.0, backoff_s=0.1),
        run=RunSettings(dir=str(path / "run")),
        telemetry=TelemetrySettings(http_enabled=False),
        connector=ConnectorSettings(status_interval_s=0.1, **connector),
        venues={"kraken": own},
    )


async def origin(client: Redis) -> str:
    """Return the origin of the data on the tape."""
    found: Any = await client.hget(IDENTITY, "origin")
    return "" if found is None else found.decode()


async def refusal(settings: Settings, venue: str) -> str:
    """Return the one-line error and the exit code of a connector whose venue belongs on another tape."""
    with pytest.raises(BaseExceptionGroup) as ended:
        async with asyncio.timeout(30):
            await run(settings, venue)
    assert code_of(ended.value) is Exit.WRONG_TAPE
    found = ended.value.subgroup(WrongTape)
    assert found is not None
    text = str(_leaf(found))
    assert len(text.splitlines()) == 1
    return text


def _leaf(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


async def test_every_answer_of_a_simulated_venue_is_marked(venues: Simulator) -> None:
    """REST answers, errors, and the handshake of a WebSocket."""
    base = venues.servers["kraken"].base
    async with ClientSession() as http:
        for path in ("/0/public/AssetPairs", "/nothing", "/0/public/Depth?pair=NONE"):
            async with http.get(f"http://{base}{path}") as answered:
                assert answered.headers[SIMULATED_HEADER] == "1"
        url = venues.ws_url["kraken"]
        assert isinstance(url, str)
        async with http.ws_connect(url) as socket:
            assert socket._response.headers[SIMULATED_HEADER] == "1"


@pytest.mark.parametrize("line", ["", "a"])
async def test_a_simulated_venue_makes_a_fresh_tape_a_simulated_one(
    client: Redis, valkey: str, tmp_path: Path, venues: Simulator, *, line: str
) -> None:
    """After a restart it may publish there again. A live venue may not from then on."""
    settings = settings_for(venues, valkey, tmp_path, replica=line)
    for _ in range(2):
        before = await client.xlen(TRADES)
        task = asyncio.create_task(run(settings, "kraken"))
        await wait_until(lambda before=before: _longer(client, before), what="trades")  # type: ignore[misc]
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert await origin(client) == "simulated"
    assert (tmp_path / "run" / "instruments" / f"kraken{line and '.' + line}.simulated.json").exists()
    assert not (tmp_path / "run" / "instruments" / f"kraken{line and '.' + line}.json").exists()


async def _longer(client: Redis, before: int) -> bool:
    return int(await client.xlen(TRADES)) > before


@pytest.mark.parametrize("line", ["", "a"])
@pytest.mark.parametrize("known", ["live", "of an older version"])
async def test_a_simulated_venue_is_kept_off_a_live_tape(
    client: Redis, valkey: str, tmp_path: Path, venues: Simulator, *, known: str, line: str
) -> None:
    """Nothing is published, and the live connector of the same name keeps its name."""
    async with connect(fast(valkey)) as shared:
        live = Publisher(shared, Keys(), fast(valkey), producer="connector.kraken")
        running = asyncio.create_task(live.run())
        await live.claimed()
        if known == "live":
            await client.hset(IDENTITY, "origin", "live")
        else:
            await client.delete(IDENTITY)
            await client.sadd(Keys().registry(), TRADES)
        keys_before = await client.keys("tape:*:*")
        text = await refusal(settings_for(venues, valkey, tmp_path, replica=line), "kraken")
        assert await client.keys("tape:*:*") == keys_before
        assert not running.done()
        running.cancel()
    assert "kraken at http://127.0.0.1 is a simulated venue" in text
    assert 'the tape "tape" (' in text
    assert f"on {valkey} holds live data: nothing is published there" in text
    assert "--i-mean-it" in text
    assert Exit.WRONG_TAPE in NOT_RESTARTED


async def test_a_live_venue_is_kept_off_a_simulated_tape(world: World) -> None:
    """As the test before, with the two venues exchanged."""
    await world.client.hset(IDENTITY, mapping={"id": "ab12", "origin": "simulated"})
    text = await refusal(world.settings, "fake")
    assert "fake at http://127.0.0.1 is the venue itself" in text
    assert "holds simulated data" in text
    assert await world.client.keys() == [IDENTITY.encode()]


@pytest.fixture
def testnet(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A connector to the testnet of the fake venue."""
    there = Environment(ws_urls={"main": f"{world.server.url}/ws/main".replace("http", "ws")}, rest_urls={"api": world.server.url})
    monkeypatch.setitem(VENUES, "fake", msgspec.structs.replace(VENUES["fake"], environments={"testnet": there}))
    world.settings = changed(world.settings, environment="testnet", ws_url="", rest_url="")
    return world


@pytest.mark.parametrize("known", ["", "test"])
async def test_a_testnet_has_tapes_of_its_own(testnet: World, known: str) -> None:
    """A fresh one becomes one of testnets. The log names the environment, and the list of instruments is cached apart."""
    if known:
        await testnet.client.hset(IDENTITY, mapping={"id": "ab12", "origin": known})
    with capture_logs() as logs:
        async with testnet.running():
            await subscribed(testnet.server)
            await testnet.server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: testnet.has("trade:AAA-USD", 1), what="the trade")
    assert await origin(testnet.client) == "test"
    assert [one["environment"] for one in logs if one["event"] == "connector.contact"] == ["testnet"]
    directory = Path(testnet.settings.run.dir) / "instruments"
    assert [file.name for file in directory.glob("*.json")] == ["fake-testnet.json"]


@pytest.mark.parametrize("known", ["live", "simulated"])
async def test_a_testnet_is_kept_off_other_tapes(testnet: World, known: str) -> None:
    """Nothing is published."""
    await testnet.client.hset(IDENTITY, mapping={"id": "ab12", "origin": known})
    text = await refusal(testnet.settings, "fake")
    assert "fake at http://127.0.0.1 is the venue's testnet" in text
    assert f"holds {known} data" in text
    assert await testnet.client.keys() == [IDENTITY.encode()]


async def test_a_live_venue_is_kept_off_a_testnet_s_tape(world: World) -> None:
    """As the test before, with the two exchanged."""
    await world.client.hset(IDENTITY, mapping={"id": "ab12", "origin": "test"})
    assert "holds test data" in await refusal(world.settings, "fake")


async def test_a_setting_allows_to_mix_them(world: World) -> None:
    """The log reports it, and the origin of the tape stays."""
    await world.client.hset(IDENTITY, mapping={"id": "ab12", "origin": "simulated"})
    connector = msgspec.structs.replace(world.settings.connector, any_origin=True)
    world.settings = msgspec.structs.replace(world.settings, connector=connector)
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            await world.server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the trade")
    assert [one["tape_origin"] for one in logs if one["event"] == "connector.origins_mixed"] == ["simulated"]
    assert await origin(world.client) == "simulated"


@pytest.mark.parametrize("how", ["says no", "hangs"])
async def test_a_venue_that_does_not_answer_is_published_as_down(world: World, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """If it answers later and belongs on another tape, the connector ends."""
    monkeypatch.setattr("crosstape_connector.connection.origin_check.FIRST_S", 3600.0 if how == "says no" else 0.2)
    world.settings = changed(world.settings, rest_timeout_s=1.0)
    await world.client.hset(IDENTITY, mapping={"id": "ab12", "origin": "simulated"})
    world.server.answers.append(web.Response(status=500) if how == "says no" else None)
    ending = asyncio.create_task(refusal(world.settings, "fake"))
    await wait_until(lambda: world.has("venue:fake", 2), what="signs of life")
    assert "holds simulated data" in await ending
    assert not world.server.peers


async def test_an_error_is_no_answer_of_the_venue(world: World) -> None:
    """A proxy before a simulated venue may answer 500 without the mark."""
    world.server.answers.append(web.Response(status=500))
    async with world.running():
        await wait_until(lambda: world.has("venue:fake", 2), what="signs of life")
        assert await origin(world.client) == ""
        await subscribed(world.server)
        assert await origin(world.client) == "live"


async def test_the_cache_of_a_rehearsal_is_not_a_live_connector_s(client: Redis, valkey: str, tmp_path: Path, venues: Simulator) -> None:
    """Both run from the same directory, on different tapes: each has its own cached list of instruments."""
    settings = settings_for(venues, valkey, tmp_path)
    listed = tmp_path / "run" / "instruments" / "kraken.json"
    listed.parent.mkdir(parents=True)
    listed.write_text("the venue's own")
    task = asyncio.create_task(run(settings, "kraken"))
    await wait_until(lambda: listed.with_name("kraken.simulated.json").exists(), what="it is kept")
    task.cancel()
    await asyncio.wait({task})
    assert listed.read_text() == "the venue's own"


@pytest.mark.parametrize("option", [(), ("--i-mean-it",)])
async def test_the_command_ends_with_its_code(
    client: Redis, valkey: str, tmp_path: Path, venues: Simulator, option: tuple[str, ...]
) -> None:
    """A process ends with code 7 and one line that names both sides. With `--i-mean-it` it runs."""
    await client.hset(IDENTITY, mapping={"id": "ab12", "origin": "live"})
    file = tmp_path / "sim.toml"
    urls = f'ws_url = "{venues.ws_url["kraken"]}"\nrest_url = "{venues.rest_url["kraken"]}"\n'
    file.write_text(f'[bus]\nurl = "{valkey}"\n[run]\ndir = "{tmp_path}"\n[venues.kraken]\ninstruments = ["BTC-USDT"]\n{urls}')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "crosstape_cli", "connector", "--venue", "kraken", "--settings", str(file), *option, stderr=subprocess.PIPE
    )
    try:
        if option:
            await wait_until(lambda: client.exists(TRADES), what="trades")
            process.terminate()
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == (Exit.OK if option else Exit.WRONG_TAPE)
    assert b"Traceback" not in said
    if not option:
        lines = [json.loads(line) for line in said.decode().splitlines()]
        (failed,) = [line for line in lines if line["event"] == "process.failed"]
        assert failed["code"] == 7
        assert "is a simulated venue" in failed["error"]
