"""Commands where the libraries of the history are not installed: what needs them is refused before anything starts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from crosstape.runtime.embedded_server import free_port
from crosstape.runtime.lifecycle import Exit
from tests.cli.running import NO_VENUE, TIMEOUT_S, crosstape, events, started, stopped

HINT = "pip install 'crosstape[history]' (in a clone: make .venv/.ready)"


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """Variables with which a process, and each that it starts, cannot import the libraries."""
    folder = tmp_path / "blocked"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n\nfor name in ('pyarrow', 'duckdb', 'obstore', 'asyncpg'):\n    sys.modules[name] = None\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (("demo", "--record", "RECORD"), {}),
        (("up",), {"CROSSTAPE_RECORDER__ENABLED": "true"}),
        (("up",), {"CROSSTAPE_RECORDER__STORE": "RECORD"}),
        (("gateway",), {"CROSSTAPE_RECORDER__STORE": "RECORD", "CROSSTAPE_BUS__URL": "redis://127.0.0.1:1"}),
        (("gateway",), {"CROSSTAPE_RECORDER__ENABLED": "true", "CROSSTAPE_BUS__URL": "redis://127.0.0.1:1"}),
        (("recorder",), {"CROSSTAPE_BUS__URL": "redis://127.0.0.1:1"}),
        (("recorder", "check"), {}),
        (("history", "trade", "BTC-USDT"), {}),
        (("gaps",), {}),
        (("repair",), {}),
        (("backfill", "kraken", "BTC-USDT", "--from", "-1h"), {}),
        (("audit", "--from", "-1h"), {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_it_is_refused_in_one_line(
    tmp_path: Path, without: dict[str, str], command: tuple[str, ...], variables: dict[str, str]
) -> None:
    """At once, with what installs it; nothing is written."""
    record = str(tmp_path / "record")
    run_dir = {"CROSSTAPE_RUN__DIR": str(tmp_path / "run")}
    own = {name: value.replace("RECORD", record) for name, value in (NO_VENUE | run_dir | variables).items()}
    done = await crosstape(*(word.replace("RECORD", record) for word in command), variables=without | own)

    assert (done.code, done.out) == (Exit.FAILED, b"")
    assert done.err == f"crosstape: a history in files needs pyarrow: {HINT}\n"
    assert not (tmp_path / "record").exists()


async def test_a_gateway_without_a_history_serves(tmp_path: Path, without: dict[str, str]) -> None:
    """It answers from the streams, and needs no library of the history."""
    port = free_port()
    own = {"CROSSTAPE_BUS__URL": "redis://127.0.0.1:1", "CROSSTAPE_GATEWAY__PORT": str(port), "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json"}
    async with started("gateway", variables=without | own) as process:
        await events(process, "gateway.listening", 1)
        with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/", timeout=TIMEOUT_S) as page:
            assert page.status == 200
        done = await stopped(process, signal.SIGTERM)

    assert done.code == Exit.OK
    assert "no_history" not in done.err
