"""The how-to "Secure the bus", followed to the letter: its commands, its users' rights, its server's and our settings."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import ssl
import subprocess
import tomllib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from structlog.testing import capture_logs

from crosstape.bus import Reader, Start, connect
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.bus.lease.table import LeaseTable, Want
from crosstape.bus.request_budget import RequestBudget
from crosstape.bus.spool.tape_identity import Tape
from crosstape.origin import Origin
from crosstape.runtime.embedded_server import free_port
from crosstape.settings import BusSettings, GatewaySettings, RunSettings, Settings, TelemetrySettings
from crosstape.settings.load import load
from crosstape_aggregator.service import run
from crosstape_cli.follow import reachable, streams
from crosstape_connector.failover.election import PeerStatus
from crosstape_connector.failover.peers import Peers
from crosstape_gateway.service import run as serve_the_tape
from crosstape_schemas import VENUE_WIDE, Cbbo, Keys, Quote, Trade
from tests.aggregator.running import FakeVenue, newest, settings_for
from tests.bus.tape import BTC, GAPS, KEYS, QUOTES, TRADES, command, fast, on_tape, publishing, quote, read_until, status, trade
from tests.docs.following import bar, candle
from tests.engines import IMAGES, Container, StartServer, running
from tests.proxy import proxy
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording
from tests.recorder.recording import settings_of as recorder_settings
from tests.waiting import wait_until

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "secure-the-bus.md").read_text()
CBBO = KEYS.stream("cbbo", BTC)

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="the how-to's commands need openssl")


def blocks(language: str) -> list[str]:
    """Returns the blocks of the how-to in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which its commands were run: certificates, passwords, users."""
    directory = tmp_path_factory.mktemp("how-to")
    certificates, users, _ = blocks("sh")
    for commands in (certificates, users):
        subprocess.run(["sh", "-eu", "-c", commands], cwd=directory, check=True, capture_output=True, timeout=60)
    return directory


class Users(NamedTuple):
    """The users of the how-to, on the server of this test run."""

    url: str
    admin: Redis
    passwords: Path

    def bus(self, user: str) -> BusSettings:
        """Settings of one of them."""
        return fast(self.url, username=user, password=(self.passwords / f"{user}.password").read_text().strip())

    async def denied(self) -> list[str]:
        """Returns what the server has refused to any user, newest first."""
        return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in await self.admin.acl_log()]


@pytest.fixture
async def users(client: Redis, valkey: str, made: Path) -> AsyncIterator[Users]:
    """Makes all users of the how-to but `default off`, which would lock the other tests out."""
    lines = [line.split() for line in (made / "users.acl").read_text().splitlines()]
    names = [name for _, name, *_ in lines if name != "default"]
    await client.acl_log_reset()
    for _, name, *rules in lines:
        if name in names:
            await command(client, "ACL", "SETUSER", name, "reset", *rules)
    try:
        yield Users(valkey, client, made)
    finally:
        await client.acl_deluser(*names)
        await client.acl_log_reset()


@contextlib.asynccontextmanager
async def aggregating(bus: BusSettings) -> AsyncIterator[None]:
    """An aggregator with these settings."""
    settings = msgspec.structs.replace(settings_for(""), bus=bus)
    task = asyncio.create_task(run(settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def test_each_service_can_do_its_work(users: Users) -> None:
    """A connector, an aggregator and a strategy with the rights of the how-to: nothing is refused, also while they recover from a loss."""
    async with publishing(users.bus("connector")) as publisher, aggregating(users.bus("aggregator")), connect(users.bus("strategy")) as own:
        assert isinstance(own, Redis)
        venue = FakeVenue("binance", publisher)
        assert await publisher.last("trade", [BTC], "binance") == {}
        await venue.live_on()
        await venue.say(trade(1))
        await venue.quote("1", "2")
        await wait_until(partial(bid, users, 1), what="a consolidated quote")

        async with connect(users.bus("connector")) as client:
            await wait_until_usable(client, KEYS, users.bus("connector"), producer="connector.binance")
            assert (await Tape().identify(client, KEYS, origin=Origin.LIVE)).origin == Origin.LIVE
            table = LeaseTable(client, KEYS, "a@here", "connector.binance", ["connector.binance"])
            await table.exchange([Want.HOLD], 60.0)
            peers = Peers(client, KEYS, "connector.binance", 1.0)
            await peers.write(
                PeerStatus(replica="a", active=True, healthy=True, covered=False, live=1, feeds=1, connections=1, held=0, ts=1)
            )
            assert [status.replica for status in await peers.read(["a"])] == ["a"]
            await peers.delete("a")
            await table.exchange([Want.RELEASE], 0)

        await users.admin.delete(KEYS.cursor("connector.binance"), KEYS.cursor("aggregator"))
        await venue.say(trade(2))
        await venue.quote("2", "3")
        await wait_until(partial(bid, users, 2), what="the next one")

        await reachable(own)
        assert CBBO in await streams(own, KEYS, "cbbo")
        starts = {CBBO: Start.LAST_THEN_NOW, TRADES: Start.BEGINNING, QUOTES: "0-1"}
        async with Reader(own, KEYS, streams=starts, signs_of_life=True) as reader:
            assert {type(event) for event in await read_until(reader, 5)} == {Cbbo, Trade, Quote}
        assert await own.hgetall(KEYS.last("cbbo", BTC))
        async with own.pubsub() as pubsub:
            await pubsub.subscribe(CBBO)
            await pubsub.psubscribe("tape:*")
            assert await pubsub.get_message(timeout=5)
            assert await pubsub.get_message(timeout=5)
    assert not await on_tape(users.admin, GAPS)
    assert await users.denied() == []


class Limit(NamedTuple):
    """A limit of a venue."""

    name: str = "binance"
    capacity: int = 100
    window_s: float = 60.0


@pytest.mark.parametrize("keys", [KEYS, Keys("tape", 8)])
async def test_a_backfill_shares_limits_and_can_do_nothing_else(users: Users, keys: Keys) -> None:
    """A connector and a backfill count the same requests, and hold each other."""
    async with connect(users.bus("connector")) as connector, connect(users.bus("backfill")) as backfill:
        live, past = (RequestBudget(client, keys, "binance") for client in (connector, backfill))
        assert await past.reserve(Limit(), 30, 0.5) == 0.0
        assert await live.spend(Limit(), 30) == 0.0
        assert await past.reserve(Limit(), 1, 0.5) > 0
        await past.hold(Limit(), 30.0)
        assert await live.spend(Limit(), 1) > 0
        assert await users.denied() == []
        assert isinstance(backfill, Redis)
        for words in (("GET", KEYS.lease("aggregator")), ("XADD", TRADES, "*", "d", "{}"), ("XRANGE", TRADES, "-", "+")):
            with pytest.raises(NoPermissionError):
                await command(backfill, *words)


async def bid(users: Users, price: int) -> bool:
    """The newest consolidated quote has this bid."""
    found = await newest(users.admin)
    return found is not None and found.bid_price == price


REQUESTS = (
    "venues", "instruments", f"quotes?instrument={BTC}", f"trades?instrument={BTC}", f"depth?instrument={BTC}", "edges",
    f"bars?instrument={BTC}&timeframe=1m", f"candles?symbol={BTC}&timeframe=1m", f"gaps?instrument={BTC}", f"last?topics=trade:{BTC}",
)  # fmt: skip


async def test_a_gateway_can_do_its_work(users: Users, tmp_path: Path) -> None:
    """Every answer of REST, and a stream with everything: the server refuses nothing, before or after it was away."""
    gateway = GatewaySettings(port=free_port())
    settings = Settings(
        bus=users.bus("gateway"), run=RunSettings(dir=str(tmp_path)), telemetry=TelemetrySettings(http_enabled=False), gateway=gateway
    )
    async with (
        publishing(users.bus("connector")) as publisher,
        aiohttp.ClientSession(f"http://127.0.0.1:{gateway.port}") as http,
        asyncio.TaskGroup() as tasks,
    ):
        serving = tasks.create_task(serve_the_tape(settings), name="gateway")
        publisher.publish_all([trade(1), quote(1), candle(1), bar(1)])
        assert await publisher.drain(20)

        async def knows() -> bool:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get("/api/instruments") as answer:
                    return BTC in await answer.text()
            return False

        await wait_until(knows, what="the gateway knows what there is")
        for path in REQUESTS:
            async with http.get(f"/api/{path}") as answer:
                assert answer.status == 200 or "not_on_tape" in await answer.text(), path
        for query in ({"topics": f"trade:{BTC},cbbo:*,venue:*"}, {"topics": "trade:*", "after": "0-1"}):
            async with http.get("/api/stream", params=query) as stream, asyncio.timeout(20):
                while b'"trade_id":"1"' not in await stream.content.readline():
                    pass
        serving.cancel()
    assert await users.denied() == []


async def test_a_recorder_can_do_its_work_and_can_do_nothing_else(users: Users) -> None:
    """It reads all streams, also those that it catches up on and that were trimmed."""
    store, settings = MemoryStore(), recorder_settings("", bus=users.bus("recorder"))
    async with publishing(users.bus("connector")) as publisher:
        for number in (1, 2):
            async with recording(settings, store):
                publisher.publish_all([trade(number), quote(number), status("*", instrument=VENUE_WIDE)])
                await recorded(store, "trade", number)
                await recorded(store, "status", number)
        publisher.publish_all([trade(3), trade(4)])
        assert await publisher.drain(20)
        await users.admin.xtrim(TRADES, maxlen=1, approximate=False)
        async with recording(settings, store):
            await recorded(store, "trade", 3)
            await recorded(store, "gap", 1)
    assert await users.denied() == []
    async with connect(users.bus("recorder")) as own:
        assert isinstance(own, Redis)
        with pytest.raises(NoPermissionError):
            await own.xadd(TRADES, {"d": "{}"})


async def test_who_may_only_read_cannot_write(users: Users) -> None:
    """Neither by a script nor outright, and the log says why; a connector can touch nothing but the tape."""
    with capture_logs() as logs:
        async with publishing(users.bus("strategy")) as publisher:
            publisher.publish(trade(1))
            await wait_until(lambda: "NOPERM" in str(logs) or "ermission" in str(logs), what="it is told")
    assert "strategy.password" not in str(logs)
    async with connect(users.bus("strategy")) as own:
        assert isinstance(own, Redis)
        with pytest.raises(NoPermissionError):
            await own.xadd(TRADES, {"d": "{}"})
        with pytest.raises(Exception, match=r"(?i)permission|can't run this command"):
            await own.eval("return redis.call('XADD', KEYS[1], '*', 'd', '{}')", 1, TRADES)
        async with own.pubsub() as pubsub:
            await pubsub.psubscribe("tape:trade:*")
            with pytest.raises(NoPermissionError):
                await pubsub.get_message(timeout=5)
    async with connect(users.bus("connector")) as own:
        assert isinstance(own, Redis)
        for words in (("HGET", "other", "field"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("XREAD", "STREAMS", TRADES, "0")):
            with pytest.raises(NoPermissionError):
                await command(own, *words)
    assert await users.admin.keys() == []


async def test_the_server_and_the_settings_of_the_how_to(engine: str, made: Path, tmp_path: Path, start_server: StartServer) -> None:
    """TLS, a password from a file, no way in without: as they stand there, but for paths, host and port."""
    (conf,), (toml,) = blocks("conf"), blocks("toml")
    options = dict(line.split(" ", 1) for line in conf.splitlines())
    async with contextlib.AsyncExitStack() as stack:
        if engine in IMAGES:
            probe = ssl.create_default_context(cafile=str(made / "ca.pem"))
            paths = [*(path for path in options.values() if path.startswith("/")), "/data/ca.pem", "/data/strategy.password"]
            files = {path: (made / Path(path).name).read_bytes() for path in paths}
            del options["tls-port"]
            container = Container(engine, tls=probe, options=options, files=files)
            url = (await stack.enter_async_context(running(container))).url
        else:
            server = await start_server(options={"aclfile": str(made / "users.acl")})
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(made / "server.pem", made / "server.key")
            url = (await stack.enter_async_context(proxy(server.url, context))).url
        file = tmp_path / "crosstape.toml"
        file.write_text(toml.replace("rediss://redis:6379", url).replace("/etc/crosstape", str(made)))
        bus = load(file, {}).bus
        assert tomllib.loads(toml)["bus"]["username"] == bus.username == "connector"

        async with publishing(bus) as publisher:
            publisher.publish_all([trade(1), quote(1)])
            assert await publisher.drain(20)
        async with connect(msgspec.structs.replace(bus, username="", password="")) as nobody:
            with pytest.raises(Exception, match=r"(?i)auth"):
                await nobody.ping()
        if engine in IMAGES:
            look = blocks("sh")[2].replace("redis-cli", f"{engine}-cli -p {container.port}").replace("cbbo", "trade")
            assert '"trade_id":"1"' in container.run(["sh", "-c", f"cd /data && {look}"])
