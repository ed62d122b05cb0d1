"""`import crosstape`: what a strategy needs, with what `pip install crosstape` installs and no more."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import crosstape

ROOT = Path(__file__).parents[2]
MODULES = {"prometheus-client": "prometheus_client"}
"""Distributions whose module has another name."""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, with our path."""
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    return subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, timeout=60, check=False)


def test_it_needs_nothing_of_the_services() -> None:
    """Every name can be had while no distribution of the `services` extra can be imported."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["services"]
    names = [requirement.partition(">")[0].strip() for requirement in extra]
    blocked = [MODULES.get(name, name) for name in names]
    assert "aiohttp" in blocked
    code = f"for name in {blocked!r}: sys.modules[name] = None\nfrom crosstape import *\nprint(Reader, Trade)"

    done = python(code)

    assert (done.returncode, done.stderr) == (0, "")


LOG = """
import asyncio, crosstape

async def main():
    async with crosstape.connect(crosstape.BusSettings(url="redis://127.0.0.1:1")) as client:
        async with crosstape.Reader(client, crosstape.Keys(), streams=["tape:cbbo:BTC-USDT"]) as reader:
            print(len(await reader.read(timeout_s=0.2)))

asyncio.run(main())
"""


def test_logs_go_to_standard_error() -> None:
    """Standard output is the strategy's own."""
    done = python(LOG)
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert "bus.unavailable" in done.stderr


def test_an_error_in_the_log_shows_no_variables() -> None:
    """One of them may be a password."""
    done = python("""
from crosstape.log import get_log

def callback(password):
    raise ValueError("wrong")

try:
    callback("".join(["hunt", "er2"]))
except ValueError as exc:
    get_log().error("tape.callback_failed", exc_info=exc)
""")
    assert (done.returncode, done.stdout) == (0, "")
    assert "ValueError: wrong" in done.stderr
    assert "hunter2" not in done.stderr


def test_who_has_configured_structlog_keeps_it() -> None:
    """The program configures it before the import or after it."""
    mine = "import structlog; structlog.configure([structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory())\n"
    for code in (mine + LOG, LOG.replace("async def", mine + "async def", 1)):
        done = python(code)
        assert (done.returncode, done.stderr) == (0, "")
        assert '"event": "bus.unavailable"' in done.stdout


def test_all_names_are_there() -> None:
    """A name that is documented can be imported."""
    assert [name for name in crosstape.__all__ if not hasattr(crosstape, name)] == []
