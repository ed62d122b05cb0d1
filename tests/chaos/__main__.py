"""The whole suite, in parts at once, because it waits more than it computes.

    python -m tests.chaos [options of pytest]

Each part is a pytest of its own; what it says is shown when it ends. The exit code is that of the first that failed.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Final

import pytest

PARTS: Final = 2
FINE: Final = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


async def _part(number: int, options: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", str(Path(__file__).parent), f"--part={number}/{PARTS}", "-q", "--durations=10", *options),
        stdout=PIPE,
        stderr=STDOUT,
    )
    said, _ = await process.communicate()  # each test has its own timeout
    sys.stdout.write(f"── part {number} of {PARTS}\n{said.decode(errors='replace')}")
    sys.stdout.flush()
    return process.returncode or 0


async def main(options: list[str]) -> int:
    """The exit code: that there was no test to be run is fine of a part, not of all."""
    async with asyncio.TaskGroup() as group:
        parts = [group.create_task(_part(number, options)) for number in range(1, PARTS + 1)]
    codes = [part.result() for part in parts]
    return next((code for code in codes if code not in FINE), min(codes))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
