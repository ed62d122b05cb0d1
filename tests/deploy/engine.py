"""Docker, for the tests of the image and of compose: the commands as processes, and whether there is an engine at all."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIRED = "CROSSTAPE_DOCKER"
"""Set where these tests must run: without an engine they fail there, and are skipped elsewhere."""

IMAGE = "crosstape:test"
POLL_S = 0.2


def run(*command: str, timeout_s: float = 60.0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command in the root of the repository. Returns its output as text, errors included; never raises for an exit code."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CROSSTAPE_", "COMPOSE_"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=ours | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def done(*command: str, timeout_s: float = 60.0, **variables: str) -> str:
    """The output of a command that must succeed."""
    result = run(*command, timeout_s=timeout_s, **variables)
    assert result.returncode == 0, f"{' '.join(command)}: code {result.returncode}\n{result.stdout[-4000:]}"
    return result.stdout


@functools.cache
def missing() -> str:
    """Why there is no engine to use; empty if there is one."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    result = run("docker", "info", timeout_s=30)
    return "" if result.returncode == 0 else f"no Docker engine answers: {result.stdout.strip().splitlines()[-1]}"


def need() -> None:
    """Skip the test without an engine, or fail it where one is required."""
    if reason := missing():
        if os.environ.get(REQUIRED):
            pytest.fail(reason)
        pytest.skip(reason)


def until(predicate: Callable[[], object], *, what: str, timeout_s: float = 60.0) -> float:
    """Seconds until `predicate()` was true; fails the test naming `what` if it is not within `timeout_s`."""
    started = time.monotonic()
    while not predicate():
        if time.monotonic() - started > timeout_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)
    return time.monotonic() - started
