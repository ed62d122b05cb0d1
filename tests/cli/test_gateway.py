"""The gateway as a process, alone and under `crosstape up`: how it starts, and what changes at SIGHUP."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from crosstape.runtime.embedded_server import free_port
from crosstape.runtime.lifecycle import Exit
from crosstape.settings import GatewaySettings, Settings
from crosstape.settings.load import load
from crosstape_cli.main import main
from crosstape_cli.up_services import ConfiguredServices, check_gateway
from tests.cli.running import NO_VENUE, TIMEOUT_S, events, started, stopped

SECRET = "hunter2"


async def test_a_gateway_serves_before_the_server_is_there() -> None:
    """It writes nothing, so it waits as long as it takes. It says why in its log and at /readyz, without the password."""
    port = free_port()
    variables = {
        "CROSSTAPE_BUS__URL": f"redis://tape:{SECRET}@127.0.0.1:1",
        "CROSSTAPE_GATEWAY__PORT": str(port),
        "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
    }
    async with started("gateway", variables=variables) as process:
        await events(process, "bus.unavailable", 1)  # it looks first, so that clients are told at once
        await events(process, "gateway.listening", 1)
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/readyz", timeout=TIMEOUT_S)
        assert refused.value.code == 503
        refused.value.close()
        done = await stopped(process, signal.SIGTERM)

    assert (done.code, SECRET in done.err, "Traceback" in done.err) == (Exit.OK, False, False)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ('host = "0.0.0.0"', "gateway.host = '0.0.0.0': this is no loopback address, and there are no tokens"),
        ('allowed_origins = ["*"]', "gateway.allowed_origins has '*'"),
        ('allowed_origins = ["desk.example"]', "gateway.allowed_origins: 'desk.example': expected an origin"),
        ('hosts = ["http://desk.example"]', "gateway.hosts: 'http://desk.example': expected the name of a host"),
        ('host = "0.0.0.0"\ntokens_file = "/nothing"', "gateway.tokens_file = '/nothing': cannot be read: No such file"),
        ('tokens_file = "/dev/null"', "gateway.tokens_file = '/dev/null': not a file"),
    ],
)
def test_up_refuses_what_its_gateway_would_refuse(own: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything starts; not if it is to run no gateway."""
    file = tmp_path / "settings.toml"
    file.write_text(f"[gateway]\n{own}\n")

    assert main(["up", "--settings", str(file)]) == Exit.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"crosstape: {said}")
    check_gateway(load(None, {"CROSSTAPE_SETTINGS": str(file), "CROSSTAPE_GATEWAY__ENABLED": "false"}))


@pytest.mark.slow
async def test_a_changed_section_starts_the_gateway_again(tmp_path: Path, valkey: str) -> None:
    """The others go on. A section that cannot work changes nothing; one that is switched off ends the gateway, and on again starts it."""
    file = tmp_path / "settings.toml"
    variables = NO_VENUE | {
        "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
        "CROSSTAPE_BUS__URL": valkey,
        "CROSSTAPE_GATEWAY__PORT": str(free_port()),
    }
    file.write_text("[gateway]\nclients = 10\n")
    async with started("up", "--settings", str(file), variables=variables) as process:

        def changed(text: str) -> None:
            file.write_text(text)
            process.send_signal(signal.SIGHUP)

        assert {event["name"] for event in await events(process, "service.started", 3)} == {"connector.kraken", "aggregator", "gateway"}
        await events(process, "gateway.listening", 1)

        changed('[gateway]\nclients = 10\nhost = "203.0.113.1"\n')
        (refused,) = await events(process, "settings.refused", 1)
        assert refused["error"].startswith("gateway.host = '203.0.113.1': this is no loopback address")

        changed("[gateway]\nclients = 20\n")
        (ended,) = await events(process, "service.stopped", 1)
        assert (ended["name"], ended["code"]) == ("gateway", Exit.OK)
        await events(process, "gateway.listening", 1)  # on the same port

        changed("[gateway]\nclients = 20\nenabled = false\n")
        (ended,) = await events(process, "service.stopped", 1)
        assert (ended["name"], ended["code"]) == ("gateway", Exit.OK)

        changed("[gateway]\nclients = 20\n")
        (again,) = await events(process, "service.started", 1)
        assert again["name"] == "gateway"
        await events(process, "gateway.listening", 1)
        assert (await stopped(process)).code == Exit.OK


def test_the_address_of_the_page_can_be_opened() -> None:
    """Of a gateway on all addresses that of this machine; where the settings leave the port open, the one that was chosen; else None."""
    settings = Settings(gateway=GatewaySettings(host="0.0.0.0", port=8090))
    assert ConfiguredServices(settings, None, {}).page_url == "http://127.0.0.1:8090/"

    services = ConfiguredServices(Settings(gateway=GatewaySettings(port=0)), None, {})
    (gateway,) = [service for service in services.services() if service.name == "gateway"]
    assert services.page_url == f"http://127.0.0.1:{gateway.environ['CROSSTAPE_GATEWAY__PORT']}/"

    assert ConfiguredServices(Settings(gateway=GatewaySettings(enabled=False)), None, {}).page_url is None
