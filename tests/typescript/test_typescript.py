"""The TypeScript client against a real gateway: its own tests by `npm test`, and its bundle-free modules in a browser."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import async_playwright

from crosstape_schemas import Side, Trade
from tests.typescript.stand import TOKEN, Stand, standing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("typescript")]

PACKAGE: Final = Path(__file__).parents[2] / "clients" / "typescript"
CHROMIUM: Final = Path("/usr/bin/chromium")
RECEIVED_TS: Final = 1_790_000_000_123_456_789
ENDS_S: Final = 150.0
NODE: Final = 20
"""The oldest version of Node that the package is for."""


def why_not() -> str:
    """Why it cannot run here; empty if it can."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE:
        return f"node is {version}; the package needs {NODE} or later"
    return ""


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder of the package, with the packages that its lock names."""
    if why := why_not():
        pytest.skip(why)
    installed = PACKAGE / "node_modules" / ".package-lock.json"
    if not (installed.exists() and installed.stat().st_mtime >= (PACKAGE / "package-lock.json").stat().st_mtime):
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=False, timeout=100)
        if done.returncode:
            pytest.skip(f"npm cannot install what package-lock.json names: {done.stderr.strip()[-300:]}")
    subprocess.run(["npm", "run", "build"], cwd=PACKAGE, capture_output=True, check=True, timeout=100)
    return PACKAGE


@pytest.fixture
async def stand(package: Path, client: object, valkey: str, tmp_path: Path) -> AsyncIterator[Stand]:
    """A gateway that tests may kill; the bus is empty."""
    async with standing(valkey, tmp_path, package) as one:
        yield one


async def npm(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Runs npm. Returns its exit code, and what it printed; the code is not 0 if it does not end."""
    process = await asyncio.create_subprocess_exec(
        "npm", *arguments, cwd=folder, stdout=PIPE, stderr=STDOUT, env={**os.environ, **environment}, start_new_session=True
    )
    end = asyncio.get_running_loop().call_later(ENDS_S, os.killpg, process.pid, signal.SIGKILL)
    try:
        output, _ = await process.communicate()
    finally:
        end.cancel()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_tests_of_the_package_pass_against_a_real_gateway(package: Path, stand: Stand) -> None:
    """Every test of the package runs: with a gateway none is skipped."""
    code, output = await npm(
        package, "test", CROSSTAPE_GATEWAY=stand.url, CROSSTAPE_CONTROL=stand.control_url, CROSSTAPE_TOKEN=TOKEN, NO_COLOR="1"
    )

    assert code == 0, output
    assert re.search(r"^. skipped 0$", output, re.MULTILINE), output  # the first character depends on Node's version


async def test_the_packed_package_has_types_for_a_strict_program(package: Path, tmp_path: Path) -> None:
    """A program that installs the package compiles with all checks of TypeScript, its libraries' types included."""
    code, output = await npm(package, "pack", "--ignore-scripts", "--pack-destination", str(tmp_path))
    assert code == 0, output
    (packed,) = tmp_path.glob("*.tgz")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "program.ts").write_text(
        'import { Tape, type Missed, type Trade } from "crosstape";\n'
        'const tape = new Tape({ url: "http://localhost:8090" });\n'
        'for await (const one of tape.trades("BTC-USDT")) { const time: bigint = one.received_ts; const price: string = one.price; }\n'
        'for await (const one of tape.trades("BTC-USDT", { withMissed: true })) { const either: Trade | Missed = one; }\n'
    )
    code, output = await npm(tmp_path, "install", "--no-audit", "--no-fund", "--offline", str(packed))
    assert code == 0, output
    compiler = package / "node_modules" / ".bin" / "tsc"
    options = "--noEmit --strict --target es2022 --module nodenext --skipLibCheck false --lib es2022,dom,dom.asynciterable program.ts"
    done = await asyncio.to_thread(
        subprocess.run, [str(compiler), *options.split()], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout


PROGRAM: Final = """
async ([url, token]) => {
    const { Tape } = await import("/files/dist/index.js");
    window.seen = {};
    window.missed = 0;
    window.reconnected = 0;
    const errors = [];
    for (const transport of ["sse", "websocket"]) {
        const refused = new Tape({ url, token: "nobody-has-this-token", transport });
        errors.push(await refused.trades("BTC-USDT").next().catch((error) => `${error.name} ${error.status}`));
        const onState = ({ state }) => { window.reconnected += state === "reconnecting"; };
        const tape = new Tape({ url, token, transport, mostDelayS: 0.2, onState, onMissed: () => window.missed++ });
        const trades = window.seen[transport] = [];
        tape.on("trade", "BTC-USDT", ({ seq, epoch, received_ts, price }) => {
            trades.push([seq, typeof epoch, String(received_ts), price]);
        });
    }
    return errors;
}
"""
BOTH_HAVE: Final = "(count) => Object.values(window.seen).every((trades) => trades.length === count)"


async def test_a_page_of_another_origin_follows_without_a_bundler(stand: Stand) -> None:
    """Modules load as they are; the token goes by a header or a session; numbers are exact; a killed gateway is waited for."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is missing (apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = await browser.new_page()
        await page.goto(stand.control_url)
        await stand.publish([trade(1)])

        assert await page.evaluate(PROGRAM, [stand.url, TOKEN]) == ["AccessError 401", "AccessError 401"]
        await page.wait_for_function(BOTH_HAVE, arg=1)
        await stand.kill()
        await stand.publish([trade(2), trade(3)])
        await stand.start()
        await page.wait_for_function(BOTH_HAVE, arg=3)

        expected = [[seq, "bigint", str(RECEIVED_TS + seq), "64000.10"] for seq in (1, 2, 3)]
        assert await page.evaluate("window.seen") == {"sse": expected, "websocket": expected}
        assert await page.evaluate("[window.missed, window.reconnected > 1]") == [0, True]
        await browser.close()


def trade(number: int) -> Trade:
    """Returns a trade whose time no float holds."""
    return Trade("kraken", "BTC-USDT", None, RECEIVED_TS + number, Decimal("64000.10"), Decimal("0.5"), Side.BUY, str(number))
