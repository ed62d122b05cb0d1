"""Logs, metrics and health of a service, over real HTTP and with real log lines."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import warnings
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog

from crosstape.errors import SettingsError
from crosstape.runtime.telemetry import configure_logging, exposed, serve, without_secrets
from crosstape.settings import TelemetrySettings

NOT_READY: tuple[bool, dict[str, Any]] = (False, {"feeds": {"trade": "down"}})


@pytest.fixture
def logs() -> Iterator[None]:
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


async def get(url: str, **headers: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_health_is_of_the_process_and_readiness_of_its_work() -> None:
    """A service whose venue is down is alive, and not ready."""
    state = NOT_READY
    async with serve(TelemetrySettings(), lambda: state) as url:
        assert url is not None
        assert (await get(f"{url}/healthz"))[0] == 200
        status, content_type, body = await get(f"{url}/readyz")
        assert (status, content_type, json.loads(body)) == (
            503,
            "application/json",
            {"ready": False, "feeds": {"trade": "down"}},
        )

        state = (True, {})
        assert (await get(f"{url}/readyz"))[::2] == (200, '{"ready":true}')


async def test_metrics_are_in_the_format_that_was_asked_for() -> None:
    """Prometheus' text, or OpenMetrics."""
    async with serve(TelemetrySettings(), lambda: NOT_READY) as url:
        status, content_type, body = await get(f"{url}/metrics")
        assert (status, content_type.startswith("text/plain"), "crosstape_build_info" in body) == (200, True, True)

        _, content_type, body = await get(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert content_type.startswith("application/openmetrics-text")
        assert body.endswith("# EOF\n")


async def test_text_of_ones_own_stands_beside_the_registry() -> None:
    """The text is there in both formats, for the length of the block."""
    line = "# TYPE crosstape_of_a_test gauge\ncrosstape_of_a_test 1\n"
    async with serve(TelemetrySettings(), lambda: NOT_READY) as url:
        with exposed(lambda: line):
            _, _, body = await get(f"{url}/metrics")
            assert body.endswith(line)
            _, _, body = await get(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
            assert body.endswith(f"{line}# EOF\n")
            assert body.count("# EOF") == 1
        _, _, body = await get(f"{url}/metrics")
        assert "crosstape_of_a_test" not in body


async def test_it_can_be_switched_off() -> None:
    """Then nothing listens."""
    async with serve(TelemetrySettings(http_enabled=False), lambda: NOT_READY) as url:
        assert url is None


async def test_it_listens_where_it_is_told() -> None:
    """IPv6 too, and the url can be used as it is."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    async with serve(TelemetrySettings(http_host="::1"), lambda: NOT_READY) as url:
        assert url is not None
        assert url.startswith("http://[::1]:")
        assert (await get(f"{url}/healthz"))[0] == 200


async def test_a_port_that_is_taken_is_a_clear_error() -> None:
    """The error names the setting; the service does not run without its metrics."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = TelemetrySettings(http_port=taken.getsockname()[1])
        with pytest.raises(SettingsError, match=r"telemetry.http_port = \d+: cannot listen there"):
            async with serve(settings, lambda: NOT_READY):
                pass


SPEAKS = """
import logging, sys, warnings
import structlog
from crosstape.settings import TelemetrySettings
from crosstape.runtime.telemetry import configure_logging
configure_logging(TelemetrySettings(log_level=sys.argv[1], log_format=sys.argv[2]), service="connector.kraken")
log = structlog.get_logger()
log.debug("frame.odd")
log.info("feed.live", url="wss://user:hunter2@host/ws", password="hunter2", symbols=3)
logging.getLogger("aiohttp").warning("slow %s", "answer")
try:
    secret = "hunter2"
    raise ValueError("oh")
except ValueError:
    log.exception("it.broke")
"""


async def spoken(*arguments: str) -> list[str]:
    """Returns the lines on standard error of a process that logs; its standard output must be empty."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SPEAKS, *arguments, stdout=PIPE, stderr=PIPE, env=environ)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (0, b"")
    assert b"hunter2" not in err
    return err.decode().splitlines()


@pytest.mark.parametrize("log_format", ["json", "auto"])
async def test_each_event_is_one_line_of_json(log_format: str) -> None:
    """Lines of libraries, too, with the service's name and without secrets. `auto` is JSON wherever there is no terminal."""
    live, slow, broke = map(json.loads, await spoken("info", log_format))

    assert {key: live[key] for key in ("event", "service", "level", "symbols", "url", "password")} == {
        "event": "feed.live", "service": "connector.kraken", "level": "info", "symbols": 3, "url": "wss://***@host/ws", "password": "***",
    }  # fmt: skip
    assert live["timestamp"].endswith("Z")
    assert (slow["event"], slow["level"], slow["logger"], slow["service"]) == ("slow answer", "warning", "aiohttp", "connector.kraken")
    assert "ValueError: oh" in broke["exception"]


async def test_a_person_gets_plain_lines() -> None:
    """A traceback as Python prints it, without the values of variables."""
    lines = await spoken("debug", "console")

    assert "frame.odd" in lines[0]
    assert "feed.live" in lines[1]
    assert "connector.kraken" in lines[1]
    assert lines[-1] == "ValueError: oh"


async def test_a_level_hides_what_is_below() -> None:
    """Lines of ours and of libraries."""
    assert [json.loads(line)["event"] for line in await spoken("error", "json")] == ["it.broke"]


def test_warnings_become_log_lines(logs: None, capsys: pytest.CaptureFixture[str]) -> None:
    """No warning is written to the terminal without the log."""
    configure_logging(TelemetrySettings(log_format="json"), service="test")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    assert json.loads(capsys.readouterr().err)["logger"] == "py.warnings"


def test_credentials_within_a_text_are_hidden() -> None:
    """An error message of a library may hold the address."""
    fields = without_secrets(None, "info", {"error": "cannot reach redis://u:hunter2@h:1/0 now", "Token": "hunter2", "n": 1})

    assert fields == {"error": "cannot reach redis://***@h:1/0 now", "Token": "***", "n": 1}
    assert msgspec.json.encode(fields)
