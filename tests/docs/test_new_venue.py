"""`make new-venue`: in a copy of the project, what it writes is sound, and the contract tests say what is left to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs import new_venue
from docs.new_venue import ROOT, NewVenueError

COPIED = ("services", "shared", "schemas", "docs", "tests/connector/venues", "pyproject.toml")
SENTENCES = (
    "cryptocom: the table in its `__init__.py` has the addresses of the skeleton still",
    "cryptocom: rest.jsonl has no answer `instruments` yet: add one from the venue's documentation",
    "cryptocom: frames.jsonl has no trade frame of `trades` yet: add one from the venue's documentation",
    "cryptocom: frames.jsonl has no reply to a subscription that is refused yet",
    "cryptocom: expected.jsonl lacks everything: run `python -m tests.connector.venues.golden cryptocom`",
    "cryptocom: it is not simulated yet: write services/crosstape_simulator/venues/cryptocom.py",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts of the project that the tool and the contract tests need."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python module, in the copy and with the copy's packages."""
    paths = os.pathsep.join(str(copy / name) for name in ("services", "shared", "schemas", "."))
    environ = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", *command], cwd=copy, env=environ, capture_output=True, text=True, check=False)


def test_the_contract_tests_of_a_skeleton_say_what_is_left_to_do(copy: Path) -> None:
    """The messages are sentences. The new venue is registered and can be imported; the tests of other venues still pass."""
    done = run(copy, "docs.new_venue", "cryptocom")
    assert done.returncode == 0, done.stderr
    assert "services/crosstape_connector/venues/cryptocom/__init__.py" in done.stdout

    tests = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/connector/venues/test_contract.py", "-k", "left_to_do")
    assert "1 failed" in tests.stdout
    for sentence in SENTENCES:
        assert sentence in tests.stdout
    own = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/connector/venues/cryptocom")
    assert own.returncode == 0, own.stdout


@pytest.mark.slow
def test_what_is_written_is_formatted_and_typed(copy: Path) -> None:
    """The files of a new venue pass ruff and mypy from the start."""
    assert run(copy, "docs.new_venue", "a_b2").returncode == 0
    for command in (("ruff", "check", "--no-cache", "."), ("ruff", "format", "--no-cache", "--check", ".")):
        checked = run(copy, *command)
        assert checked.returncode == 0, checked.stdout
    compiled = run(copy, "mypy", "--strict", "--no-incremental", "-p", "crosstape_connector.venues.a_b2")
    assert compiled.returncode == 0, compiled.stdout


@pytest.mark.parametrize(("name", "said"), [("", "is no venue's id"), ("OKX", "is no venue's id"), ("kraken", "is there already")])
def test_a_name_that_cannot_be_leaves_everything_as_it_is(copy: Path, name: str, said: str) -> None:
    """Nothing is overwritten."""
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    with pytest.raises(NewVenueError, match=said):
        new_venue.write(name, copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
