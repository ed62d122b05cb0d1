"""A connector behind a company's proxy, as a process: with TLS, a password, and a venue that only the proxy can find."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from redis.asyncio import Redis

from crosstape.runtime.lifecycle import Exit
from crosstape_schemas import Keys, Status, decode
from crosstape_simulator.service import simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.cli.running import crosstape, started, stopped
from tests.connect_proxy import connect_proxy
from tests.proxy import proxy
from tests.waiting import wait_until

HOST = "venue.invalid"
SECRET = "hunter2"
USER = f"tape:{SECRET}"


@pytest.mark.parametrize(("venue_tls", "proxy_tls"), [(True, False), (True, True), (False, False)])
async def test_a_connector_works_through_a_proxy(
    client: Redis,
    valkey: str,
    tmp_path: Path,
    venue_tls: bool,
    proxy_tls: bool,
) -> None:
    """All its connections, REST and WebSocket, use the proxy of the environment; that is logged once, without the password."""
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())

    def certified(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
        return context

    async with simulator(SimulatorSpec(venues=("kraken",))) as made:
        port = urlsplit(f"//{made.servers['kraken'].base}").port
        assert port is not None
        async with (
            proxy(f"redis://127.0.0.1:{port}", certified(HOST)) as front,
            connect_proxy(
                {HOST: front.port if venue_tls else port}, tls=certified("localhost") if proxy_tls else None, password=USER
            ) as gate,
        ):
            s = "s" if venue_tls else ""
            variables = {
                "CROSSTAPE_BUS__URL": valkey,
                "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
                "CROSSTAPE_VENUES__KRAKEN__WS_URL": f"ws{s}://{HOST}/v2",
                "CROSSTAPE_VENUES__KRAKEN__REST_URL": f"http{s}://{HOST}",
                "CROSSTAPE_VENUES__KRAKEN__INSTRUMENTS": "BTC-USD",
                "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
                "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
                f"HTTP{s.upper()}_PROXY": gate.url,
                "NO_PROXY": "localhost,127.0.0.1",
            }
            async with started("connector", "--venue", "kraken", variables=variables) as process:
                await wait_until(lambda: is_live(client), what="the venue is live", timeout_s=40)
                done = await stopped(process)
            assert set(gate.asked) == {f"{HOST}:{443 if venue_tls else 80}"}

    assert done.code == Exit.OK
    assert SECRET not in done.err
    used = [event for event in map(json.loads, done.err.splitlines()) if event["event"] == "proxy.used"]
    assert [(event["proxy"].partition(" ")[0], event["urls"]) for event in used] == [
        (gate.url.replace(f"{USER}@", ""), [variables["CROSSTAPE_VENUES__KRAKEN__WS_URL"], variables["CROSSTAPE_VENUES__KRAKEN__REST_URL"]])
    ]


async def is_live(client: Redis) -> bool:
    """Whether the venue says so of itself."""
    found = await client.hget(Keys().last("status", "*"), "kraken")
    event = decode(found) if isinstance(found, bytes) else None
    return isinstance(event, Status) and event.state == "live"


async def test_a_refusal_of_the_proxy_is_logged_with_its_reason(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The connector goes on trying, and never goes around it."""
    async with connect_proxy(password=USER) as gate:
        variables = {
            "CROSSTAPE_BUS__URL": valkey,
            "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
            "CROSSTAPE_VENUES__KRAKEN__PROXY": f"http://tape:wrong-{SECRET}@localhost:{gate.port}",
            "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
        }
        async with started("connector", "--venue", "kraken", variables=variables) as process:
            await wait_until(lambda: len(gate.asked) > 1, what="it asks again")
            done = await stopped(process)

    assert done.code == Exit.OK
    assert SECRET not in done.err
    assert set(gate.asked) == {"api.kraken.com:443"}
    assert "HTTP 407 Proxy Authentication Required (it asks for Basic; we have a password)" in done.err


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("HTTPS_PROXY", f"socks5://tape:{SECRET}@gate:1080",
         'HTTPS_PROXY = socks5://***@gate:1080: only http:// and https:// proxies can be used; or set venues.kraken.proxy ("": no proxy)'),
        ("CROSSTAPE_VENUES__KRAKEN__PROXY", "gate:3128", "venues.kraken.proxy = gate:3128: expected http://HOST:PORT"),
    ],
)  # fmt: skip
async def test_a_proxy_that_cannot_be_used_stops_the_start(valkey: str, tmp_path: Path, name: str, value: str, error: str) -> None:
    """It is a wrong setting: one line."""
    variables = {"CROSSTAPE_BUS__URL": valkey, "CROSSTAPE_RUN__DIR": str(tmp_path / "run"), name: value}
    done = await crosstape("connector", "--venue", "kraken", variables=variables)

    assert done.code == Exit.USAGE
    (line,) = done.err.splitlines()
    assert json.loads(line)["error"] == error


async def test_a_password_of_a_proxy_does_not_belong_in_the_settings_file(tmp_path: Path) -> None:
    """A file of its own may hold it."""
    (tmp_path / "x.toml").write_text(f"[venues.kraken]\nproxy = 'http://{USER}@gate:3128'\n")
    done = await crosstape("connector", "--venue", "kraken", "--settings", str(tmp_path / "x.toml"))

    assert done.code == Exit.USAGE
    assert "set CROSSTAPE_VENUES__KRAKEN__PROXY or venues.kraken.proxy_file, and leave it out here" in done.err
    assert SECRET not in done.err


@pytest.mark.slow
async def test_the_demo_needs_no_proxy() -> None:
    """The venues of the demo are on this machine."""
    nobody = "http://127.0.0.1:1"
    done = await crosstape("demo", "--seconds", "20", "--json", HTTP_PROXY=nobody, HTTPS_PROXY=nobody, ALL_PROXY=nobody, timeout_s=90)

    assert (done.code, done.err) == (Exit.OK, "")
