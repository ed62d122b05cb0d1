"""The recorder under `crosstape up`: when it runs, and what changes at SIGHUP."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.runtime.lifecycle import Exit
from crosstape.settings import RecorderSettings, Settings, TelemetrySettings
from crosstape_cli.main import main
from crosstape_cli.up_services import ConfiguredServices
from tests.cli.running import NO_VENUE, crosstape, events, started, stopped


def test_up_runs_a_recorder_if_it_is_enabled() -> None:
    """By default it runs none. Its port for metrics is the last one: those of the others stay as they were."""
    telemetry = TelemetrySettings(http_port=9100)
    without = ConfiguredServices(Settings(telemetry=telemetry), None, {}).services()
    services = ConfiguredServices(Settings(telemetry=telemetry, recorder=RecorderSettings(enabled=True)), None, {}).services()

    assert [service.name for service in services] == [*(service.name for service in without), "recorder"]
    assert services[-1].command[-1] == "recorder"
    assert services[-1].environ["CROSSTAPE_TELEMETRY__HTTP_PORT"] == str(9100 + len(without))


def test_up_refuses_what_its_recorder_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything starts: an address that is none, and a missing library, with what installs it."""
    file = tmp_path / "settings.toml"
    file.write_text('[recorder]\nenabled = true\nstore = "ftp://nowhere"\n')

    assert main(["up", "--settings", str(file)]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("crosstape: recorder.store: ftp:// is no address of a history")
    file.write_text("[recorder]\nenabled = true\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda _name: None)
        assert main(["up", "--settings", str(file)]) == Exit.FAILED
    assert "pip install 'crosstape[history]'" in capsys.readouterr().err


@pytest.mark.slow
async def test_a_changed_section_starts_the_recorder_again(tmp_path: Path, valkey: str) -> None:
    """The others go on; switched off, it ends, in an orderly way."""
    file = tmp_path / "settings.toml"
    variables = NO_VENUE | {
        "CROSSTAPE_RUN__DIR": str(tmp_path / "run"),
        "CROSSTAPE_BUS__URL": valkey,
        "CROSSTAPE_GATEWAY__ENABLED": "false",
    }
    file.write_text("[recorder]\nenabled = true\n")
    async with started("up", "--settings", str(file), variables=variables) as process:
        assert {event["name"] for event in await events(process, "service.started", 3)} == {"connector.kraken", "aggregator", "recorder"}
        await events(process, "recorder.started", 1)

        file.write_text('[recorder]\nenabled = true\nkinds = ["trade"]\n')
        process.send_signal(signal.SIGHUP)
        (ended,) = await events(process, "service.stopped", 1)
        assert (ended["name"], ended["code"]) == ("recorder", Exit.OK)
        (again,) = await events(process, "recorder.started", 1)
        assert again["kinds"] == ["trade", "gap"]

        file.write_text("")
        process.send_signal(signal.SIGHUP)
        (ended,) = await events(process, "service.stopped", 1)
        assert (ended["name"], ended["code"]) == ("recorder", Exit.OK)
        assert (await stopped(process)).code == Exit.OK


@pytest.mark.slow
async def test_a_demo_is_recorded(tmp_path: Path) -> None:
    """Into a new folder: each trade of the tape, and what the aggregator made of them; it is of a simulated tape."""
    history = tmp_path / "history"
    done = await crosstape("demo", "--seconds", "15", "--json", "--record", str(history), timeout_s=90)
    store_of = {"CROSSTAPE_RECORDER__STORE": str(history)}
    read = await crosstape("history", "trade", "BTC-USDT", "--from", "-1h", "--limit", "3", variables=store_of)
    checked = await crosstape("recorder", "check", variables=store_of)
    again = await crosstape("demo", "--record", str(history))

    assert (done.code, checked.code, again.code) == (Exit.OK, Exit.OK, Exit.USAGE), done.err
    assert (read.code, len(read.out.splitlines())) == (Exit.OK, 3)
    assert {"trade", "quote", "bar", "candle", "status"} <= {path.name for path in history.iterdir()}
    store = ParquetStore(LocalFolder(history))
    assert [tape.origin for tape in await store.tapes()][-1] == "simulated"
    await store.aclose()
    assert "is not empty" in again.err
