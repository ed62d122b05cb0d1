"""Makes a client of the server that the tape is on, from the settings. How it is called: see `call`."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from crosstape.bus.client.call import UNAVAILABLE, Client
from crosstape.errors import SettingsError
from crosstape.paths import expanded
from crosstape.settings import BusSettings
from crosstape.text_file import byte_order_mark_note

READ_BYTES: Final = 1 << 17
CLUSTER_ATTEMPTS: Final = 2
"""Attempts of a cluster client within one call: it learns from the failure of the first where a slot is."""

CONNECTIONS: Final = 10_000
"""Connections of one client at most, as many as a server takes by default. Each reader waits on one of its own: with redis-py's limit of
100, the next reader would be told that the server is away."""

SENTINEL_PORT: Final = 26379
PORT: Final = 6379


@contextlib.asynccontextmanager
async def connect(settings: BusSettings) -> AsyncIterator[Client]:
    """Opens a client for the length of the block. It connects when it is first used: the server need not be up yet.

    Replies are bytes. Every call ends within `timeout_s`, in an answer or in one of `UNAVAILABLE`. Raises `SettingsError` for a wrong url
    and for a file that TLS cannot use; no error and no repr shows the password.
    """
    client, close = _client(settings)
    try:
        yield client
    finally:
        for one in (client, *close):
            with contextlib.suppress(*UNAVAILABLE):
                await one.aclose()


def _client(settings: BusSettings) -> tuple[Client, list[Redis]]:
    """Returns the client, and other clients that are to be closed with it."""
    if not settings.url:
        raise SettingsError("bus.url is empty: start an embedded server and use its url")
    try:
        url = urlsplit(settings.url)
    except ValueError:  # its text may show the password
        raise SettingsError("bus.url is not right: it is not an address") from None
    if url.scheme != "unix" and "@" in url.path + url.query + url.fragment:  # then a part of the password would be taken for the host
        raise SettingsError("bus.url is not right: in a user name or password, write / as %2F, ? as %3F and # as %23")
    options: dict[str, Any] = {
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "socket_read_size": READ_BYTES,
        "max_connections": CONNECTIONS,
        # RESP2: no greeting, no push messages, and a reply to XREAD that is a list as it comes. RESP3 was not faster.
        "protocol": 2,
    }
    # Retries are ours: they must neither multiply the timeout nor hide from the publisher that the server was away.
    once = Retry(NoBackoff(), 0)
    if settings.username:
        options["username"] = settings.username
    if settings.password:
        options["password"] = settings.password
    secure = url.scheme.startswith("rediss")
    if secure:
        options |= _tls_files(settings)
    elif url.scheme.startswith("redis") and (settings.ca_file or settings.cert_file):  # they would be ignored, and nobody would notice
        raise SettingsError(f"bus.ca_file and bus.cert_file are for TLS, and bus.url is {url.scheme}://: write rediss in place of redis")
    try:
        _check_address(url)
        match url.scheme:
            case "redis" | "rediss" | "unix":
                return _redis(settings.url, options | {"retry": once}), []
            case "redis+sentinel" | "rediss+sentinel":
                return _sentinel(url, settings, options | {"retry": once, "ssl": secure})
            case "redis+cluster" | "rediss+cluster":
                if settings.partitions == 1:  # then names have no hash tag, and the keys of a script lie in several slots
                    raise SettingsError("bus.partitions = 1 does not work on a cluster: set it to more, the same for every service")
                options |= _credentials(url, options) | {"ssl": secure}
                nodes = [ClusterNode(host, port) for host, port in _hosts(url, PORT)]
                cluster = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), CLUSTER_ATTEMPTS), **options)
                for command in ("XREAD", "XRANGE", "XREVRANGE"):
                    cluster.set_response_callback(command, _as_it_came)  # see `execute_raw`
                return cluster, []
    except ValueError as exc:
        raise SettingsError(f"bus.url is not right: {_hidden(url)}: {exc}") from None
    raise SettingsError(f"bus.url: {url.scheme or 'no scheme'}: not one of redis, rediss, unix, redis+sentinel, redis+cluster")


def _redis(url: str, options: dict[str, Any]) -> Redis:
    """Raises `ValueError` for an unknown option in the url's query, which redis-py would find only when it connects."""
    client: Redis = Redis.from_url(url, **options)
    try:
        pool: Any = client.connection_pool
        pool.make_connection()
    except TypeError:
        raise ValueError("the part behind the ? is not an option of a connection") from None
    return client


def _check_address(url: SplitResult) -> None:
    """Raise `ValueError` where redis-py would use its defaults: another server or database than was meant."""
    match url.scheme:
        case "redis" | "rediss":
            if not url.hostname:
                raise ValueError("a host is missing")
            _port(url)
            if not url.path.strip("/").isdecimal() and url.path.strip("/"):
                raise ValueError("the database is a number: redis://host:port/0")
        case "unix":
            if not url.path.startswith("/") or url.netloc.rpartition("@")[2]:
                raise ValueError("a socket is named by its full path: unix:///run/redis.sock")


def _as_it_came(response: Any, **_: Any) -> Any:
    return response


def _sentinel(url: SplitResult, settings: BusSettings, options: dict[str, Any]) -> tuple[Redis, list[Redis]]:
    """Client of `redis+sentinel://host:port,host:port/service/db`. The credentials are the server's; sentinels get none."""
    service, _, db = url.path.strip("/").partition("/")
    if not service:
        raise ValueError("no service name: redis+sentinel://host:port,host:port/service/db")
    options |= _credentials(url, options) | {"db": int(db or 0)}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        _hosts(url, SENTINEL_PORT),
        sentinel_kwargs={key: options[key] for key in ("socket_timeout", "socket_connect_timeout", "protocol", "retry")},
        **options,
    )
    client: Redis = sentinel.master_for(service)
    return client, list(sentinel.sentinels)


def _hosts(url: SplitResult, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    for part in url.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{part}")
        if not one.hostname:
            raise ValueError("a host is missing")
        hosts.append((one.hostname, _port(one) or default_port))
    return hosts


def _port(url: SplitResult) -> int | None:
    """Raise `ValueError` for a text that is no port. It is not shown: it may be a password whose @ was forgotten."""
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("a port is a number from 1 to 65535")
    return port


def _credentials(url: SplitResult, options: dict[str, Any]) -> dict[str, str]:
    """Those in the url, where the settings have none."""
    username, _, password = url.netloc.rpartition("@")[0].partition(":")
    found = {"username": unquote(username), "password": unquote(password)}
    return {key: value for key, value in found.items() if value and key not in options}


def _tls_files(settings: BusSettings) -> dict[str, str]:
    """Options of redis-py for the files of TLS. Raises `SettingsError` for a file that cannot be used: redis-py would not say which."""
    try:
        ca, cert, key = (str(expanded(path)) if path else "" for path in (settings.ca_file, settings.cert_file, settings.key_file))
    except ValueError as exc:
        raise SettingsError(f"bus.ca_file, bus.cert_file or bus.key_file = {exc}") from exc
    context = ssl.create_default_context()
    try:
        if ca:
            context.load_verify_locations(ca)
    except OSError as exc:
        raise SettingsError(f"bus.ca_file = {ca!r} cannot be used: {exc}{byte_order_mark_note(ca)}") from exc
    try:
        if cert or key:
            context.load_cert_chain(cert, key or None, password="")  # without a password, OpenSSL would ask at the terminal
    except OSError as exc:
        marks = byte_order_mark_note(cert) or byte_order_mark_note(key or cert)
        raise SettingsError(f"bus.cert_file = {cert!r} and bus.key_file = {key!r} cannot be used: {exc}{marks}") from exc
    return {name: path for name, path in (("ssl_ca_certs", ca), ("ssl_certfile", cert), ("ssl_keyfile", key)) if path}


def _hidden(url: SplitResult) -> str:
    """The url without its parts that may be secret: credentials and query."""
    hosts = re.sub(r":(?!\d*(?:,|$))[^,\]]*(?=,|$)", ":***", url.netloc.rpartition("@")[2])  # a text that is no port may be a password
    return f"{url.scheme}://{hosts}{url.path}"
