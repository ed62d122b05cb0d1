"""`crosstape probe`: a real session against a simulated venue, and the report of it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from crosstape.runtime.lifecycle import Exit
from crosstape.settings import RunSettings, Settings, VenueSettings
from crosstape_cli.probe import _listed
from crosstape_connector.rest.instruments import CachedAnswer
from crosstape_simulator.service import simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.cli.running import crosstape
from tests.cli.test_normalize import capture, trade


@pytest.mark.parametrize("venue", ["binance", "kucoin_futures"])
async def test_a_probe_records_the_venue_and_reports_what_holds(venue: str, tmp_path: Path) -> None:
    """Every claim that can be seen in a few seconds holds, the capture is beside the report, and a report of it alone is the same."""
    instrument = "BTC-USDT-PERP" if venue == "kucoin_futures" else "BTC-USDT"
    async with simulator(SimulatorSpec(venues=(venue,), rate=100.0)) as market:
        server = market.servers[venue]
        settings = tmp_path / "probe.toml"
        urls = {"ws_url": server.ws_url, "rest_url": server.rest_url}
        lines = [f"[venues.{venue}]"]
        for name, url in urls.items():
            table = ", ".join(f"{json.dumps(one)} = {json.dumps(at)}" for one, at in url.items()) if isinstance(url, dict) else ""
            lines.append(f"{name} = {{{table}}}" if isinstance(url, dict) else f"{name} = {json.dumps(url)}")
        settings.write_text("\n".join(lines))
        out = tmp_path / "out"
        done = await crosstape("probe", venue, instrument, "--minutes", "0.1", "--settings", str(settings), "--out", str(out))
    assert done.code == Exit.OK, done.err
    report = (out / "report.md").read_text()
    assert done.out.decode() == report
    assert "**broken**" not in report
    assert "addresses from the settings" in report
    for claim in ("| understood |", "| updates that follow the one before |", "| trade |", "| quote |"):
        (row,) = [one for one in report.splitlines() if one.startswith(claim)]
        assert row.endswith("| holds |"), row
    assert str(tmp_path) not in report
    (recorded,) = out.glob("*.jsonl.zst")
    again = await crosstape("probe", venue, instrument, "--capture", str(recorded), "--out", str(tmp_path / "again"))
    assert again.code == Exit.OK, again.err
    kept = [one for one in report.splitlines() if one.startswith("|")]
    assert [one for one in (tmp_path / "again" / "report.md").read_text().splitlines() if one.startswith("|")] == kept


@pytest.mark.parametrize(
    ("instrument", "reason"),
    [
        ("BTC-USDT-SWAP", "not our name: okx_swap lists it as BTC-USDT-SWAP, we call it BTC-USDT-PERP"),
        ("BTC-USDC-PERP", "not listed on okx_swap; near: BTC-USD-PERP, BTC-USDT-PERP"),
    ],
)
async def test_an_instrument_that_is_not_listed_ends_it_at_once(instrument: str, reason: str, tmp_path: Path) -> None:
    """Not after ten minutes in which nothing came. The error names what is meant."""
    async with simulator(SimulatorSpec(venues=("okx_swap",))) as market:
        server = market.servers["okx_swap"]
        settings = tmp_path / "probe.toml"
        assert isinstance(server.ws_url, dict)
        ws_urls = ", ".join(f"{name} = {json.dumps(url)}" for name, url in server.ws_url.items())
        rest_url = server.rest_url if isinstance(server.rest_url, str) else next(iter(server.rest_url.values()))
        settings.write_text(f"[venues.okx_swap]\nws_url = {{ {ws_urls} }}\nrest_url = {json.dumps(rest_url)}\n")
        done = await crosstape("probe", "okx_swap", instrument, "--settings", str(settings), "--out", str(tmp_path / "out"))
    assert done.code == Exit.USAGE
    assert f"crosstape: {instrument}: {reason}" in done.err
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_claim_that_is_broken_fails_the_probe(tmp_path: Path) -> None:
    """Kraken's ids are contiguous; in this capture they skip, and a frame cannot be read."""
    file = tmp_path / "kraken.jsonl"
    file.write_bytes(capture(trade(1), trade(2), trade(9), "{"))
    done = await crosstape("probe", "kraken", "BTC-USD", "--capture", str(file), "--out", str(tmp_path))
    assert done.code == Exit.FAILED, done.err
    assert "| ids | 1 of 2 steps are by one, 0 go back | contiguous | **broken** |" in done.out.decode()
    assert "| understood | 3 of 4 | all | **broken** |" in done.out.decode()


async def test_a_venue_that_cannot_be_reached_leaves_nothing_to_report(tmp_path: Path) -> None:
    """It says so, and that is no success."""
    unreachable = {"CROSSTAPE_VENUES__KRAKEN__REST_URL": "http://127.0.0.1:1", "CROSSTAPE_VENUES__KRAKEN__WS_URL": "ws://127.0.0.1:1"}
    done = await crosstape("probe", "kraken", "BTC-USD", "--minutes", "0.02", "--out", str(tmp_path), variables=unreachable)
    assert done.code == Exit.UNPROVEN
    assert "nothing was received from kraken" in done.err


async def test_a_capture_without_the_instrument_proves_nothing(tmp_path: Path) -> None:
    """Nothing contradicts the table, but nothing was received either. The report says that it was not recorded by this probe."""
    file = tmp_path / "kraken.jsonl"
    file.write_bytes(capture(trade(1)))
    done = await crosstape("probe", "kraken", "ETH-USD", "--capture", str(file), "--out", str(tmp_path))
    assert done.code == Exit.UNPROVEN, done.err
    report = done.out.decode()
    assert "- venue: `kraken`, captures that were there" in report
    assert "which the venue does not list" in report
    assert "asked for" not in report


async def test_each_capture_must_be_of_the_venue(tmp_path: Path) -> None:
    """Else its frames would be read by the rules of another. Order and count of the files do not matter."""
    good, wrong = tmp_path / "good.jsonl", tmp_path / "wrong.jsonl"
    good.write_bytes(capture(trade(1)))
    wrong.write_bytes(capture(trade(2), venue="binance"))
    done = await crosstape("probe", "kraken", "BTC-USD", "--capture", str(good), "--capture", str(wrong), "--out", str(tmp_path))
    assert done.code == Exit.FAILED
    assert done.err == f"crosstape: {wrong}: a capture of 'binance', not of 'kraken'\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("krakem", "BTC-USD"), "did you mean kraken?"),
        (("kraken", "BTC-USD", "--minutes", "0"), "--minutes 0: must be above 0"),
        (("kraken", "BTC-USD", "--environment", "moon"), "venues.kraken.environment: moon"),
        (("kraken", "BTC-USD", "--capture", "nowhere.jsonl"), "nowhere.jsonl: cannot be read"),
    ],
)
async def test_mistakes_are_named(arguments: tuple[str, ...], error: str, tmp_path: Path) -> None:
    """Before anything is recorded."""
    done = await crosstape("probe", *arguments, "--out", str(tmp_path))
    assert done.code == Exit.USAGE
    assert error in done.err


def test_an_instrument_of_a_venue_of_the_library_is_looked_up_in_its_list(tmp_path: Path) -> None:
    """Such a venue is not in the table of those that we speak to ourselves."""
    (tmp_path / "instruments").mkdir()
    body = json.dumps([{"symbol": "BTC/USD", "base": "BTC", "quote": "USD", "type": "spot"}])
    (tmp_path / "instruments" / "x.json").write_bytes(msgspec.json.encode(CachedAnswer("ccxt.kraken", 1, body)))
    for instrument, reason in (("BTC-USD", ""), ("ETH-USD", "ETH-USD: ")):
        settings = Settings(run=RunSettings(dir=str(tmp_path)), venues={"ccxt.kraken": VenueSettings(instruments=(instrument,))})
        assert (_listed(settings, "ccxt.kraken") or "").startswith(reason)
        assert bool(_listed(settings, "ccxt.kraken")) == bool(reason)
