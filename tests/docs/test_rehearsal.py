"""The how-to "Rehearse an outage": its requests, in the order of the page, to the simulator that its last command starts."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from crosstape.runtime.embedded_server import free_port
from tests.docs import shown
from tests.docs.following import Program, started
from tests.docs.shown import Follows
from tests.waiting import wait_until

PAGE = "docs/how-to/rehearse-an-outage.md#"
BLOCKS = [block for block in shown.blocks() if block.name.startswith(PAGE)]
PORT = "8900"


def requests() -> list[tuple[str, str]]:
    """Each command after a `$`, and the answer that is shown below it (empty: none)."""
    found: list[tuple[str, str]] = []
    for line in "".join(block.text for block in BLOCKS).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found and line.startswith("{"):
            found[-1] = (found[-1][0], line)
    return found


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_the_requests_of_the_page_are_answered_as_shown(tmp_path: Path) -> None:
    """An answer has the fields that are shown; one that is shown to be an error is that error."""
    port = str(free_port())
    (command,) = [block.text for block in BLOCKS if "--seed 7" in block.text]
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path)}
    command = command.replace(".venv/bin/", "").replace(PORT, port)  # it runs in an empty folder
    simulator = Program(("sh", "-c", f"cd {tmp_path}; {command}"), Follows("stream", ""), environment)
    async with started({"": simulator}) as running:
        await wait_until((tmp_path / "sim.toml").exists, what="the simulator has written its settings", timeout_s=60)
        for request, answer in requests():
            process = await asyncio.create_subprocess_exec("sh", "-c", request.replace(PORT, port), stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(process.communicate(), 20)
            assert process.returncode == 0, (request, running[""].err)
            got = json.loads(out or b"null")
            if answer:
                expected = json.loads(answer)
                assert (got == expected) if "error" in expected else (got.keys() == expected.keys()), request
            elif "DELETE" not in request:
                assert "error" not in (got or {}), request


def test_the_page_has_requests() -> None:
    """A page that was written in another way is not passed over."""
    assert len(requests()) >= 6
    assert sum(bool(answer) for _, answer in requests()) >= 3
