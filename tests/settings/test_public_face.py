"""`import crosstape`: what a strategy needs, with what `pip install crosstape` installs and no more."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import crosstape

ROOT = Path(__file__).parents[2]
MODULES = {"prometheus-client": "prometheus_client"}
"""Of distributions whose module is not named as they are."""


def test_it_needs_nothing_of_the_services() -> None:
    """Every name can be had while no distribution of the `services` extra can be imported."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["services"]
    names = [requirement.partition(">")[0].strip() for requirement in extra]
    blocked = [MODULES.get(name, name) for name in names]
    assert "aiohttp" in blocked
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "from crosstape import *\n"
        "print(Reader, Trade)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_all_names_are_there() -> None:
    """A name that is documented can be imported."""
    assert [name for name in crosstape.__all__ if not hasattr(crosstape, name)] == []
