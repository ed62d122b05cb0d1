"""TLS: the tape over it, and what is said when it fails. The embedded server has none: a proxy with the certificate stands before it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
import trustme
import uvloop
from structlog.testing import capture_logs

from crosstape.bus import Reader, Start, connect
from crosstape.errors import SettingsError
from crosstape.settings import BusSettings
from crosstape.settings.load import load
from crosstape_schemas import Keys
from tests.bus.tape import BTC, fast, publishing, read_until, trade
from tests.engines import IMAGES, NOTHING, Container, StartServer, running
from tests.proxy import proxy
from tests.waiting import wait_until

PASSWORD = "correct-horse"


class Secure(Protocol):
    """The value of the fixture `secure`."""

    async def __call__(
        self, certificate: trustme.LeafCert, *, options: Mapping[str, str] = NOTHING, clients: trustme.LeafCert | None = None
    ) -> str:
        """The url of a server with this certificate. With `clients`, they must show one, too: one such."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority that signs the right certificates in these tests."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """Returns the file with the authority's certificate."""
    return written(tmp_path / "ca.pem", authority.cert_pem)


@pytest.fixture
async def secure(engine: str, authority: trustme.CA, start_server: StartServer) -> AsyncIterator[Secure]:
    """Starts servers with TLS, of the engine under test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            certificate: trustme.LeafCert, *, options: Mapping[str, str] = NOTHING, clients: trustme.LeafCert | None = None
        ) -> str:
            if engine in IMAGES:
                container = in_container(engine, authority, certificate, options, clients)
                return (await stack.enter_async_context(running(container))).url
            server = await start_server(options=options)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            certificate.configure_cert(context)
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
            return (await stack.enter_async_context(proxy(server.url, context))).url

        yield start


def in_container(
    engine: str, authority: trustme.CA, certificate: trustme.LeafCert, options: Mapping[str, str], clients: trustme.LeafCert | None
) -> Container:
    """A server that listens with TLS only."""
    probe = ssl.create_default_context()
    probe.check_hostname, probe.verify_mode = False, ssl.CERT_NONE  # it only asks whether somebody is there
    if clients:
        clients.configure_cert(probe)
    return Container(
        engine,
        tls=probe,
        files={
            "/tls/ca.pem": authority.cert_pem.bytes(),
            "/tls/server.pem": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
            "/tls/server.key": certificate.private_key_pem.bytes(),
        },
        options={
            "tls-ca-cert-file": "/tls/ca.pem",
            "tls-cert-file": "/tls/server.pem",
            "tls-key-file": "/tls/server.key",
            "tls-auth-clients": "yes" if clients else "no",
            **options,
        },
    )


def written(path: Path, blob: trustme.Blob) -> str:
    """A file with this in it."""
    blob.write_to_path(path)
    return str(path)


async def tape_works(settings: BusSettings) -> None:
    """Check that a published event can be read."""
    keys = Keys(settings.prefix)
    async with (
        publishing(settings, keys=keys) as publisher,
        connect(settings) as own,
        Reader(own, keys, streams=[keys.stream("trade", BTC)], start=Start.BEGINNING) as reader,
    ):
        publisher.publish_all(trade(number) for number in range(1, 2_001))
        assert await publisher.drain(20)
        assert [event.seq for event in await read_until(reader, 2_000)] == list(range(1, 2_001))


async def refused(settings: BusSettings, reason: str) -> None:
    """A publisher does not reach its server and logs this reason, among others perhaps; what it has to publish waits."""
    with capture_logs() as logs:
        async with publishing(settings) as publisher:
            publisher.publish(trade(1))
            await wait_until(lambda: reason in str([entry["reason"] for entry in logs if entry["event"] == "bus.unavailable"]), what=reason)
            assert publisher.pending == 1
    assert PASSWORD not in str(logs)


async def test_the_tape_over_tls_with_a_password_from_a_file(secure: Secure, authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    """Settings as a service reads them, and on the event loop of services, too."""
    url = await secure(authority.issue_cert("localhost"), options={"requirepass": PASSWORD})
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    file = tmp_path / "crosstape.toml"
    file.write_text(f"[bus]\nurl = '{url}'\nca_file = '{ca_file}'\npassword_file = '{tmp_path}/password'\n")
    await tape_works(load(file, {}).bus)
    await asyncio.to_thread(uvloop.run, tape_works(load(file, {"CROSSTAPE_BUS__PREFIX": "other"}).bus))


async def test_a_certificate_that_is_not_right_is_told(secure: Secure, authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    """Its authority is not ours, its host is another, or it has expired: nothing is sent to such a server, least of all the password."""
    now = dt.datetime.now(dt.UTC)
    right = await secure(authority.issue_cert("localhost"))
    other = await secure(authority.issue_cert("redis.example"))
    expired = await secure(authority.issue_cert("localhost", not_before=now - dt.timedelta(2), not_after=now - dt.timedelta(1)))
    stranger = written(tmp_path / "stranger.pem", trustme.CA().cert_pem)

    await refused(fast(right, password=PASSWORD, ca_file=stranger), "CERTIFICATE_VERIFY_FAILED")
    await refused(fast(right, password=PASSWORD), "CERTIFICATE_VERIFY_FAILED")
    await refused(fast(other, password=PASSWORD, ca_file=ca_file), "not valid for 'localhost'")
    await refused(fast(expired, password=PASSWORD, ca_file=ca_file), "certificate has expired")


async def test_a_plain_url_for_a_tls_port_is_told(secure: Secure, authority: trustme.CA) -> None:
    """The server just closes the connection: the log says what that may mean."""
    url = await secure(authority.issue_cert("localhost"))
    await refused(fast(url.replace("rediss://", "redis://"), password=PASSWORD), "then bus.url begins with rediss://")


async def test_a_tls_url_for_a_plain_port_is_told(start_server: StartServer, ca_file: str) -> None:
    """The server waits for the end of what it takes for a command: the log says what that may mean."""
    async with proxy((await start_server()).url) as plain:
        url = plain.url.replace("redis://", "rediss://")
        await refused(fast(url, password=PASSWORD, ca_file=ca_file, timeout_s=0.5), "does that port speak TLS?")


async def test_a_server_that_wants_a_certificate_gets_ours(
    engine: str, secure: Secure, authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    """`cert_file` and `key_file`, or both in one; without, the log says what it wants."""
    mine = authority.issue_cert("strategy")
    url = await secure(authority.issue_cert("localhost"), clients=mine)
    cert_file, key_file = written(tmp_path / "mine.pem", mine.cert_chain_pems[0]), written(tmp_path / "mine.key", mine.private_key_pem)
    both = written(tmp_path / "both.pem", mine.private_key_and_cert_chain_pem)

    await tape_works(fast(url, ca_file=ca_file, cert_file=cert_file, key_file=key_file))
    async with connect(fast(url, ca_file=ca_file, cert_file=both)) as client:
        assert await client.ping()
    said = "certificate required" if engine in IMAGES else "ConnectionError"  # a proxy may cut the connection before its word arrives
    await refused(fast(url, password=PASSWORD, ca_file=ca_file), said)


@pytest.mark.parametrize("setting", ["ca_file", "cert_file", "key_file"])
async def test_a_file_that_tls_cannot_use_stops_the_start(setting: str, tmp_path: Path) -> None:
    """Absent, or no certificate: an error that names the setting and the file, not an attempt that fails again and again."""
    wrong = tmp_path / "wrong.pem"
    pem = trustme.CA().cert_pem.bytes().decode()
    for content, cause in ((None, ""), (b"no certificate", ""), (pem.encode("utf-16"), r".*; it begins with a byte order mark \(UTF-16\)")):
        if content:
            wrong.write_bytes(content)
        with pytest.raises(SettingsError, match=rf"bus.{setting} = .*wrong.pem.* cannot be used: {cause}"):
            async with connect(BusSettings(**{"url": "rediss://localhost", setting: str(wrong)})):  # type: ignore[arg-type]
                pass


async def test_a_key_with_a_passphrase_asks_nobody(authority: trustme.CA, tmp_path: Path) -> None:
    """A service has no terminal."""
    from cryptography.hazmat.primitives import serialization as s

    mine = authority.issue_cert("strategy")
    key = s.load_pem_private_key(mine.private_key_pem.bytes(), None)
    locked = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"pass"))
    (tmp_path / "locked.key").write_bytes(locked)
    settings = BusSettings(
        url="rediss://localhost", cert_file=written(tmp_path / "mine.pem", mine.cert_chain_pems[0]), key_file=str(tmp_path / "locked.key")
    )
    with pytest.raises(SettingsError, match=r"locked\.key"):
        async with connect(settings):
            pass


async def test_files_for_tls_with_a_plain_url_are_an_error() -> None:
    """A person who names an authority wants TLS; otherwise all would be sent unencrypted, unnoticed."""
    with pytest.raises(SettingsError, match="rediss"):
        async with connect(BusSettings(url="redis://localhost", ca_file="/etc/ca.pem")):
            pass
