"""The demo is a place to try what README and the how-to show."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest

from crosstape.runtime.embedded_server import free_port
from tests.docs import following
from tests.docs.following import Program, Running
from tests.docs.shown import ROOT, SHOWN, Follows, Prints
from tests.docs.test_shown import Workshop
from tests.waiting import wait_until

READERS = (
    "docs/tutorial/your-first-strategy.md#2-read-prices python",
    "README.md#read-it python",
    "docs/how-to/read-the-tape.md#python-with-tape python",
    "docs/how-to/read-the-tape.md#python-with-reader python",
    "docs/how-to/read-with-redis.md#four-rules-here-in-redis-py python",
    "docs/how-to/read-with-redis.md#on-a-channel python",
)
CURRENT = "docs/how-to/read-the-tape.md#is-this-quote-current python"


def has_printed(one: Running) -> bool:
    """Whether the program has printed a price of BTC-USDT."""
    return "64" in one.out


@pytest.mark.slow
async def test_what_is_shown_reads_the_demo(tmp_path: Path) -> None:
    """The programs use the port that the pages name."""
    port = free_port()
    for page in ("README.md", "docs/how-to/read-the-tape.md", "docs/how-to/recipes.md"):
        assert "`make demo ARGS='--port 6379" in (ROOT / page).read_text()
    demo = Program((sys.executable, "-m", "crosstape_cli.main", "demo", "--port", str(port), "--json"), Follows("stream", ""))
    workshop = Workshop(tmp_path, port)
    readers = {name: workshop.program(name, how) for name in READERS if isinstance(how := SHOWN[name], Follows)}
    assert len(readers) == len(READERS)
    async with following.started({"the demo": demo}) as demos, following.started(readers) as running:
        try:
            for name, one in running.items():
                await wait_until(partial(has_printed, one), what=f"{name} prints a price", timeout_s=60)
            async with following.started({CURRENT: workshop.program(CURRENT, Prints(""))}) as look:
                await wait_until(partial(has_printed, look[CURRENT]), what="the quote of the living aggregator is current")
            assert not any("not current" in one.out for one in running.values())
        finally:
            demos["the demo"].process.terminate()
            await asyncio.wait_for(demos["the demo"].process.wait(), 30)
