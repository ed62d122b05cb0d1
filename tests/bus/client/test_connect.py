"""Clients are made from the url; errors in the url are explained without showing its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from crosstape.bus import Publisher, Reader, Start, connect
from crosstape.errors import BusError, SettingsError
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape.settings import BusSettings
from crosstape_schemas import Keys
from tests.bus.tape import command, fast, publishing, read_until, trade


async def test_a_plain_url_with_the_settings_credentials() -> None:
    """Credentials of the settings override those in the url; waits are bounded; replies stay bytes."""
    settings = BusSettings(url="redis://a:b@db.example:7000/2", username="me", password="hunter2", timeout_s=3)
    async with connect(settings) as client:
        assert isinstance(client, Redis)
        options = client.connection_pool.connection_kwargs
        assert (options["host"], options["port"], options["db"]) == ("db.example", 7000, 2)
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (3, 3)
        assert not options.get("decode_responses")
        assert "hunter2" not in repr(client)


async def test_tls_checks_the_server_against_the_authority(tmp_path: Path) -> None:
    """The system's authorities, and the one given."""
    ca_file = str(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(ca_file)
    async with connect(BusSettings(url="rediss://db.example", ca_file=ca_file)) as client:
        assert isinstance(client, Redis)
        assert client.connection_pool.connection_class is SSLConnection
        assert client.connection_pool.connection_kwargs["ssl_ca_certs"] == ca_file
        assert client.connection_pool.connection_kwargs.get("ssl_cert_reqs", "required") == "required"


async def test_sentinels_are_asked_for_the_service() -> None:
    """`redis+sentinel://host:port,host:port/service/db`; credentials are for the server."""
    settings = BusSettings(url="redis+sentinel://u:p%40@s1:1,s2,[::1]:3/tape/4", timeout_s=2)
    async with connect(settings) as client:
        pool = client.connection_pool  # type: ignore[union-attr]
        assert isinstance(pool, SentinelConnectionPool)
        assert pool.service_name == "tape"
        assert pool.connection_kwargs["db"] == 4
        assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("u", "p@")
        hosts = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
        assert [(one["host"], one["port"]) for one in hosts] == [("s1", 1), ("s2", 26379), ("::1", 3)]
        assert all(one["socket_timeout"] == 2 and not one.get("password") for one in hosts)


async def test_a_cluster_is_found_from_any_of_its_nodes(tmp_path: Path) -> None:
    """It works with TLS, too."""
    ca_file = str(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(ca_file)
    async with connect(BusSettings(url="rediss+cluster://n1:1,n2", password="pw", ca_file=ca_file, partitions=2)) as client:
        assert isinstance(client, RedisCluster)
        assert [(node.host, node.port) for node in client.startup_nodes] == [("n1", 1), ("n2", 6379)]
        assert client.connection_kwargs["password"] == "pw"
        assert client.connection_kwargs["ssl_ca_certs"] == ca_file


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://user:hunter2@x",
        "localhost:6379",
        "redis+sentinel://user:hunter2@h:1",
        "redis+sentinel://user:hunter2@h:1/svc/x",
        "redis+sentinel://user:hunter2@h:port/svc",
        "redis+cluster://user:hunter2@,h",
        "redis://user:hunter2/more@h:1",
        "redis://user:1/hunter2@h:1",
        "rediss://user:hunter2?more@h:1",
        "redis+sentinel://user:hunter2#more@h:1/svc",
        "redis://user:hunter2@",
        "redis://user:hunter2",
        "redis://user:hunter2@h:0",
        "redis://user:hunter2@h:99999",
        "redis://user:hunter2@h/first",
        "redis://user:hunter2@[::1",
        "redis://user:hunter2\u2100@h",
        "redis://h?hunter2=1",
        "redis://h?socket_timeout=hunter2",
        "redis+cluster://h:1,user:hunter2",
        "unix://user:hunter2@",
        "unix://user:hunter2@run/valkey.sock",
    ],
)
async def test_a_wrong_url_is_told_without_its_secrets(url: str) -> None:
    """The error is raised at the start, and is one of ours."""
    with pytest.raises(SettingsError) as caught:
        async with connect(BusSettings(url=url, partitions=2)):
            pass
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["redis://h", "redis://h:/", "redis://[::1]:7/3", "unix:///run/x.sock?db=2", "redis://u:p%40@h?db=1"])
async def test_a_right_url_is_taken(url: str) -> None:
    """All forms that redis-py knows are accepted."""
    async with connect(BusSettings(url=url)) as client:
        assert isinstance(client, Redis)


async def test_a_cluster_needs_partitions() -> None:
    """Without, nothing could ever be written: said at the start, not retried for ever."""
    with pytest.raises(SettingsError, match="partitions"):
        async with connect(BusSettings(url="redis+cluster://n1")):
            pass


async def test_a_cluster_of_one(tmp_path: Path) -> None:
    """With partitions, each script call and each read stays in one slot."""
    server = EmbeddedServer(tmp_path, port=0, options={"cluster-enabled": "yes"})
    await server.start()
    try:
        async with Redis.from_url(server.url) as admin:
            await command(admin, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        keys = Keys(partitions=4)
        names = [f"C{number}-USDT" for number in range(30)]
        settings = fast(server.tcp_url.replace("redis://", "redis+cluster://"), partitions=4)
        async with publishing(settings, keys=keys) as publisher, connect(settings) as own:
            streams = [keys.stream("trade", name) for name in names]
            publisher.publish_all(trade(1, name) for name in names)
            assert await publisher.drain(10)
            assert set(await publisher.last("trade", names, "binance")) == set(names)
            async with Reader(own, keys, streams=streams, start=Start.LAST_THEN_NOW) as reader:
                assert len(await read_until(reader, 30)) == 30
                publisher.publish_all(trade(2, name) for name in names)
                assert await publisher.drain(10)
                assert sorted(event.seq for event in await read_until(reader, 30)) == [2] * 30
    finally:
        await server.stop()


async def test_without_a_server_a_client_is_made_all_the_same(tmp_path: Path) -> None:
    """The server may be up later: only a call that needs an answer now fails."""
    settings = fast(f"unix://{tmp_path}/none.sock")
    async with connect(settings) as client:
        with pytest.raises(BusError):
            await Publisher(client, Keys(), settings, producer="x").last("quote", ["BTC-USDT"], "binance")
