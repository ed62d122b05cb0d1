"""The command line: help to live by, one clear line for a mistake, codes that mean something."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.errors import BusError, SettingsError
from crosstape.runtime.embedded_server import embedded
from crosstape.runtime.lifecycle import Exit
from crosstape.runtime.telemetry import serve
from crosstape.settings import BusSettings, RunSettings, Settings, TelemetrySettings
from crosstape.version import __version__
from crosstape_cli.health_request import url_of
from crosstape_cli.main import COMMANDS, main
from crosstape_cli.server import announced, check_embedded, located, redis_cli, with_url
from crosstape_connector.venues.registry import VENUES
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from tests.cli.running import crosstape, environ, line, started, stopped


def test_help_lists_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without any argument."""
    monkeypatch.setenv("COLUMNS", "200")
    for arguments in ([], ["--help"]):
        assert main(arguments) == Exit.OK
        text = capsys.readouterr().out
        for name, summary in COMMANDS.items():
            assert f" {name} " in text
            assert summary in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help has its own text, its options and the exit codes."""
    assert main([name, "--help"]) == Exit.OK

    text = capsys.readouterr().out
    assert f"Usage: crosstape {name}" in text
    assert "Exit codes" in text
    assert len(text.splitlines()) > 8


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the distribution."""
    assert main(["--version"]) == Exit.OK
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["demmo"], 'Did you mean "demo"?'),
        (["demo", "--second", "3"], "Did you mean --seconds?"),
        (["demo", "--seconds", "soon"], "soon"),
        (["demo", "--seconds", "0"], "--seconds and --rate must be above 0"),
        (["demo", "--page", "70000"], "--page 70000: expected a port, as 8090"),
        (["demo", "--port", "6379", "--page", "6379"], "--page 6379: that is the port of --port"),
        (["connector"], "--venue"),
        (["connector", "--venue", "kraaken"], "--venue kraaken: did you mean kraken?"),
        (["connector", "--venue", "x"], f"--venue x: there are {', '.join(VENUES)}"),
        (["connector", "--venue", "kucoin"], f"venues.kucoin: not in the settings; they have {', '.join(sorted(Settings().venues))}"),
        (["connector", "--venue", "kucoin"], "Write [venues.kucoin] with its instruments into a settings file"),
        (["plan", "--venue", "ccxt.bitvavo"], 'Write [venues."ccxt.bitvavo"] with its instruments'),
        (["plan", "--venue", "kucoins"], "--venue kucoins: did you mean kucoin?"),
        (["normalize", "kraken", "--book-interval-s", "nan"], "--book-interval-s at least 0"),
        (["normalize", "kraaken"], "venue kraaken: did you mean kraken?"),
        (["normalize", "kraken", "/nothing"], "/nothing: cannot be read: No such file"),
        (["normalize", "kraken", "--book-depth", "0"], "--book-depth must be at least 1"),
        (["simulate", "--venue", "kraaken"], "--venue kraaken: did you mean kraken?"),
        (["simulate", "--venue", "x"], f"--venue x: there are {', '.join(SIMULATED)}"),
        (["simulate", "--venue", "ccxt.kraken"], "--venue ccxt.kraken: venues by ccxt cannot be had here; there are binance"),
        (["simulate", "--port", "kraken"], "--port kraken: expected VENUE=PORT"),
        (["simulate", "--rate", "-1"], "--rate must be above 0"),
        (["health", "--url", "localhost:1"], "not the address of a service"),
        (["health", "--url", "http://h:x"], "not the address of a service"),
        (["health"], "telemetry.http_port = 0 is any free port: set one, or name the service by --url"),
        (["up", "--settings", "/nothing.toml"], "/nothing.toml: cannot read the settings file"),
        (["check-bars", "--timeframe", "1mm"], "--timeframe 1mm: did you mean 1m?"),
        (["schema", "more"], "more"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard error, code 2, and nothing else."""
    assert main(arguments) == Exit.USAGE

    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.startswith("crosstape: ")
    assert len(err.splitlines()) == 1


def test_every_mistake_in_the_settings_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line per mistake; a venue that does not exist is a mistake, too."""
    file = tmp_path / "crosstape.toml"

    file.write_text("[bus]\nbacth = 1\nbatch = 0\n")
    assert main(["up", "--settings", str(file)]) == Exit.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 2

    file.write_text("[venues.kraaken]\ninstruments = ['BTC-USD']\n")
    assert main(["up", "--settings", str(file)]) == Exit.USAGE
    assert "): no such venue; did you mean venues.kraken?" in capsys.readouterr().err

    file.write_text("[venues.ccxt.kraken]\ninstruments = ['BTC-USD']\n")
    assert main(["up", "--settings", str(file)]) == Exit.USAGE
    assert 'a venue by ccxt is one key in quotes: venues."ccxt.kraken"' in capsys.readouterr().err


def test_up_with_nothing_to_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than to wait for ever."""
    file = tmp_path / "crosstape.toml"
    file.write_text("".join(f"[venues.{name}]\nenabled = false\n" for name in Settings().venues))

    assert main(["up", "--settings", str(file)]) == Exit.USAGE
    assert "none is enabled" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["watch"], ["aggregator"], ["connector", "--venue", "kraken"]])
def test_without_a_server_a_command_says_so(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the directory in which it looked."""
    monkeypatch.setenv("CROSSTAPE_RUN__DIR", str(tmp_path / "run"))

    assert main(command) == Exit.UNREACHABLE
    assert f"no server: bus.url is not set, and no `crosstape up` runs with {tmp_path / 'run'}" in capsys.readouterr().err


async def test_the_embedded_server_of_up_is_found(tmp_path: Path) -> None:
    """While it is announced and listens; a file that a crash left behind is no server."""
    settings = Settings(run=RunSettings(dir=str(tmp_path)))

    async with embedded(tmp_path) as url:
        with announced(tmp_path, url):
            assert located(settings).bus.url == url
    with pytest.raises(BusError):
        located(settings)
    with announced(tmp_path, "unix:///nothing.sock"), pytest.raises(BusError):
        located(settings)
    assert located(with_url(settings, "redis://elsewhere")).bus.url == "redis://elsewhere"


@pytest.mark.parametrize(("name", "bus"), [("password", BusSettings(password="hunter2")), ("username", BusSettings(username="hunter2"))])
def test_the_embedded_server_has_no_credentials(name: str, bus: BusSettings) -> None:
    """Whoever gives some means another server; the secret is not shown."""
    with pytest.raises(SettingsError, match=f"bus.{name} is set, but bus.url is not") as caught:
        check_embedded(Settings(bus=bus))
    assert "hunter2" not in str(caught.value)
    check_embedded(Settings())


def test_redis_cli_is_spelled_out() -> None:
    """The command that `up` prints can be pasted into a shell."""
    assert redis_cli("unix:///run/x.sock") == "redis-cli -s /run/x.sock"
    assert redis_cli("redis://h:1") == "redis-cli -u redis://h:1"


@pytest.mark.parametrize(
    ("option", "name"), [([], "events.schema.json"), (["--asyncapi"], "asyncapi.json"), (["--openapi"], "openapi.json")]
)
async def test_schema_prints_what_is_committed(option: list[str], name: str) -> None:
    """Byte for byte: `make schema` writes it so."""
    done = await crosstape("schema", *option)

    assert (done.code, done.err) == (Exit.OK, "")
    assert done.out == (Path(__file__).parents[2] / "docs" / "reference" / name).read_bytes()


async def test_a_reader_that_goes_away_is_no_error() -> None:
    """`crosstape schema | head -1` ends quietly."""
    shell = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m crosstape_cli schema | head -c 1; code=${{PIPESTATUS[0]}}; echo; echo $code",
        executable="/bin/bash",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environ(),
    )
    out, err = await asyncio.wait_for(shell.communicate(), 60)

    assert (out, err) == (b"{\n0\n", b"")


async def test_health_asks_a_service() -> None:
    """It asks `/readyz` by default, or the path that is given."""
    ready = False
    async with serve(TelemetrySettings(), lambda: (ready, {"why": "starting"})) as url:
        assert url is not None
        done = await crosstape("health", "--url", url)
        assert (done.code, json.loads(done.out)) == (Exit.FAILED, {"ready": False, "why": "starting"})

        ready = True
        assert (await crosstape("health", "--url", url, http_proxy="http://127.0.0.1:1")).code == Exit.OK
        assert json.loads((await crosstape("health", "--url", f"{url}/healthz")).out)["version"] == __version__

    done = await crosstape("health", "--url", url)
    assert done.code == Exit.FAILED
    assert "no answer" in done.err


async def test_health_asks_the_service_of_the_settings(tmp_path: Path) -> None:
    """Without options, as in a container, or with a settings file."""
    async with serve(TelemetrySettings(http_host="0.0.0.0"), lambda: (True, {})) as url:
        assert url is not None
        port = url.rpartition(":")[2]
        (tmp_path / "crosstape.toml").write_text(f"[telemetry]\nhttp_port = {port}\n")

        done = await crosstape("health", CROSSTAPE_TELEMETRY__HTTP_HOST="0.0.0.0", CROSSTAPE_TELEMETRY__HTTP_PORT=port)
        assert (done.code, done.err, json.loads(done.out)) == (Exit.OK, "", {"ready": True})
        assert (await crosstape("health", "--settings", str(tmp_path / "crosstape.toml"))).code == Exit.OK

    done = await crosstape("health", CROSSTAPE_TELEMETRY__HTTP_PORT=port)
    assert done.code == Exit.FAILED
    assert done.err.startswith(f"crosstape: http://127.0.0.1:{port}/readyz: no answer: ")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:9100"),
        ("0.0.0.0", "http://127.0.0.1:9100"),
        ("", "http://127.0.0.1:9100"),
        ("::", "http://[::1]:9100"),
        ("::1", "http://[::1]:9100"),
        ("10.0.0.5", "http://10.0.0.5:9100"),
    ],
)
def test_where_one_listens_is_not_always_where_one_asks(host: str, expected: str) -> None:
    """A service that listens on all addresses is asked on the loopback address."""
    assert url_of(TelemetrySettings(http_host=host, http_port=9100)) == expected


def test_a_service_that_cannot_be_asked_is_a_wrong_setting() -> None:
    """The exit code is that of a wrong setting, not that of a service that does not work."""
    with pytest.raises(SettingsError, match=r"telemetry.http_enabled is false"):
        url_of(TelemetrySettings(http_enabled=False, http_port=9100))


async def test_a_health_check_loads_little() -> None:
    """Each container makes one every few seconds: neither the parser of commands nor anything of a service's is loaded for it."""
    heavy = ["aiohttp", "asyncio", "cyclopts", "prometheus_client", "redis", "rich", "structlog", "uvloop"]
    code = f"import sys; from crosstape_cli.main import main; main(['health']); print([name for name in {heavy} if name in sys.modules])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=PIPE, stderr=PIPE, env=environ(CROSSTAPE_TELEMETRY__HTTP_PORT="1")
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, out) == (0, b"[]\n")
    assert b"no answer" in err


async def test_health_of_what_is_no_service() -> None:
    """A port where something else listens."""

    async def mumble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    async with await asyncio.start_server(mumble, "127.0.0.1", 0) as server:
        done = await crosstape("health", "--url", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (done.code, len(done.err.splitlines())) == (Exit.FAILED, 1)
    assert "no answer" in done.err


async def test_settings_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    """The simulator's, where there is no such directory."""
    done = await crosstape("simulate", "--venue", "kraken", "--write", str(tmp_path / "none" / "sim.toml"))
    assert done.code == Exit.USAGE
    assert "sim.toml: cannot be written: No such file or directory" in done.err


async def test_the_first_line_of_watch_says_why(valkey: str) -> None:
    """The tape is looked at before the first line is written; a script may read no other."""
    async with started("watch", variables={"CROSSTAPE_BUS__URL": valkey, "CROSSTAPE_BUS__PREFIX": "of-nobody"}) as process:
        assert (await line(process)).endswith("; no connector has run on this tape; no aggregator has run on this tape")
        assert (await stopped(process)).code == Exit.OK


async def test_watch_tells_what_is_not_on_the_tape(client: Redis, valkey: str) -> None:
    """A name that nobody publishes is not waited for in silence. A pair is written as ours are: it may come later."""
    async with started("watch", "BTCUSDT", "eth/usd", variables={"CROSSTAPE_BUS__URL": valkey}) as process:
        assert (await line(process)).endswith("; not on the tape: BTCUSDT, ETH-USD")
        assert (await stopped(process)).code == Exit.OK
