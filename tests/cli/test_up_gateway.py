"""`crosstape up` and its gateway: which settings it gets, and what changes at SIGHUP. Real processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from crosstape.runtime.embedded_server import free_port
from crosstape.runtime.lifecycle import Exit
from tests.cli.running import NO_VENUE, events, started, stopped


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
        assert "gateway.host = 203.0.113.1" in refused["error"] or "203.0.113.1" in refused["error"]

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
