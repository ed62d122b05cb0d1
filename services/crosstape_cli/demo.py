"""`crosstape demo`: everything at once on simulated venues, with no network: a server, venues and their connectors, aggregator, gateway."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Final

import structlog
from cyclopts import Parameter
from rich.console import Console

from crosstape.bus import Client, connect
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.errors import CrosstapeError, SettingsError, StorageError
from crosstape.history.opening import check_store
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.ports import check_free
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import BusSettings, RecorderSettings, Settings, TelemetrySettings
from crosstape_cli.demo_services import DRAIN_S, LOOPBACK, Stand
from crosstape_cli.follow import Quotes
from crosstape_cli.keep_server import keep_running
from crosstape_cli.live import show
from crosstape_cli.options import no_such_venue
from crosstape_cli.server import command, redis_cli
from crosstape_cli.simulate import rehearsal
from crosstape_cli.supervise import Service, supervise
from crosstape_cli.view import counted, line
from crosstape_schemas import CONSOLIDATED, Keys, encode, is_composite
from crosstape_simulator.venues.registry import VENUES, default_listings

SHOWN: Final = ("binance", "coinbase", "kraken", "bitfinex", "binance_usdm")
"""The venues of a demo unless others are named."""

LEGS: Final = 3
"""Count of legs that must count at once in one consolidated quote, if so many venues list an instrument; otherwise the demo has shown
nothing."""

START_S: Final = 30.0
BEGIN_S: Final = 10.0
"""A demo that ends sooner than this with nothing consolidated has not begun yet: the logs have no reason then, so they are not printed."""
POLL_S: Final = 0.05
TAIL: Final = 15
"""Lines of each log, when something went wrong."""

log = structlog.get_logger(__name__)


def demo(
    *,
    venues: Annotated[str, Parameter(help=f"Venues, divided by commas: any of {', '.join(VENUES)}.")] = ",".join(SHOWN),
    seconds: Annotated[float | None, Parameter(help="How long the demo runs; default: until Ctrl-C.")] = None,
    json: Annotated[
        bool,
        Parameter(negative="", help="At the end print each instrument's last consolidated quote as JSON, as published, and nothing else."),
    ] = False,
    rate: Annotated[float, Parameter(help="Orders a second, over all simulated venues.")] = 120.0,
    seed: Annotated[int, Parameter(help="Seed of the simulated market: the same seed, the same orders.")] = 1,
    logs: Annotated[Path | None, Parameter(help="Directory that keeps the logs of all processes.")] = None,
    fault: Annotated[tuple[str, ...], Parameter(negative="", help="A fault at the venues: see crosstape simulate.")] = (),
    control: Annotated[str | None, Parameter(help="[HOST:]PORT where you set faults while it runs: see crosstape simulate.")] = None,
    port: Annotated[
        int | None,
        Parameter(help="TCP port of its server on the loopback address, for your programs (0: a free port); default: none."),
    ] = None,
    page: Annotated[int, Parameter(help="TCP port of the page on the loopback address (0: a free port).")] = 0,
    record: Annotated[Path | None, Parameter(help="New folder to which a recorder keeps the tape, as Parquet files.")] = None,
) -> Exit:
    """Show a complete tape on simulated venues: an embedded server, the venues' connectors, the aggregator and the gateway, each a process.

    The aggregator also builds bars of 1s and 1m, and consolidated books, and looks for edges between the venues at small fees; it makes the
    composite BTC-USD* if --venues list its parts and their rate (kraken and coinbase do).

    It needs no network and no settings, and leaves nothing behind but what --record names. A process that dies is started again, the server
    with all that it had.

    It prints the address of its server: a unix socket or, with --port 6379, the address that clients use by default; and that of the page,
    which the gateway serves to a browser on this machine. It opens nothing.
    It exits with 5 if no quote was consolidated from three venues (or from fewer, if no instrument is listed by three of --venues).
    """
    names = chosen(venues)
    for option, wanted, example in (("--port", port or 0, 6379), ("--page", page, 8090)):
        if not 0 <= wanted < 65536:
            raise SettingsError(f"{option} {wanted}: expected a port, as {example}")
        check_free(LOOPBACK, wanted, f"{option} {wanted}")
    if page and page == port:
        raise SettingsError(f"--page {page}: that is the port of --port; choose another")
    if record is not None and (record.is_file() or (record.is_dir() and any(record.iterdir()))):
        raise SettingsError(f"--record {record}: it is not empty; a store has the history of one tape, so choose a new folder")
    if record is not None:
        check_store(Settings(recorder=RecorderSettings(store=str(record.absolute()))))
    if (seconds is not None and not seconds > 0) or not rate > 0:
        raise SettingsError("--seconds and --rate must be above 0")
    configure_logging(TelemetrySettings(log_level="warning", log_format="console"), service="demo")
    simulated = ["--rate", str(rate), "--seed", str(seed), *rehearsal(fault, control)]
    return main(lambda: _demo(Stand.of(names, page, simulated, record), seconds, logs, port, as_json=json))


def chosen(venues: str) -> tuple[str, ...]:
    """Returns the venues that a list names, each once. Raises `SettingsError`, with the nearest name, for one that is not simulated."""
    names = tuple(dict.fromkeys(name for part in venues.split(",") if (name := part.strip())))
    for name in names:
        if name not in VENUES:
            raise no_such_venue(name, VENUES, "--venues")
    if not names:
        raise SettingsError(f"--venues: none is named; there are {', '.join(VENUES)}")
    return names


def legs_to_show(venues: Sequence[str]) -> int:
    """Returns from how many venues a quote must be consolidated: `LEGS`, or as many of these venues as list one instrument."""
    listed = Counter(listing.instrument for venue in venues for listing in default_listings(venue))
    return min(LEGS, max(listed.values()))


async def _demo(stand: Stand, seconds: float | None, logs: Path | None, port: int | None, *, as_json: bool) -> Exit:
    keys = Keys()
    began = time.monotonic()
    with _directories(logs) as (directory, log_directory):
        async with _server(directory, port) as server, connect(BusSettings(url=server.url)) as client:
            quotes = Quotes(client, keys)
            services = stand.services(directory, log_directory, server.url)
            _say_where(server, stand.page_url, as_json=as_json)
            try:
                title = f"{stand.page_url}  {len(stand.venues)} simulated venues; Ctrl-C ends"
                async with _running(services, stand.settings_file(directory), quotes, title, as_json=as_json):
                    await _time_is_over(seconds)
                    last = await _last(client, keys, quotes)  # before the services end: a connector's last event is that it is down
            except* CrosstapeError:
                _print_logs(log_directory)
                raise
        legs = legs_to_show(list(stand.venues))
        proven = max((count for name, count in quotes.most_venues.items() if not is_composite(name)), default=0) >= legs
        for event in last:
            sys.stdout.buffer.write(event + b"\n" if as_json else b"")
        sys.stdout.flush()
        if not as_json and quotes.most_venues:
            _sum_up(quotes)
        if not proven:
            too_early = not quotes.most_venues and time.monotonic() - began < BEGIN_S
            why = f": the demo ended before it had begun; give it {BEGIN_S:g} s" if too_early else ""
            sys.stderr.write(f"crosstape: no quote was consolidated from {counted(legs, 'venue')}{why}\n")
            if not too_early:
                _print_logs(log_directory)
        return Exit.OK if proven else Exit.UNPROVEN


@asynccontextmanager
async def _server(directory: Path, port: int | None) -> AsyncIterator[EmbeddedServer]:
    """Run the server for the length of the block. If it dies, it is started again on its data: services can also publish while they end."""
    server = EmbeddedServer(directory, port=port, persist=True)
    await server.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(keep_running(server), name="keep the server")
            try:
                yield server
            finally:
                keeping.cancel()
    finally:
        await server.stop()


def _say_where(server: EmbeddedServer, page_url: str, *, as_json: bool) -> None:
    """Print how to read the tape by hand, in a program and in a browser; with --json on standard error: standard output is for quotes."""
    if as_json and not sys.stderr.isatty():
        return
    url = server.tcp_url if server.port else server.url
    lines = (
        f"the tape is on {url}",
        f"  by hand:      {redis_cli(url)} psubscribe 'tape:cbbo:*'",
        f"  as a table:   CROSSTAPE_BUS__URL={url} {command()} watch BTC-USDT (or --bars 1m, --depth BTC-USDT, --edges)",
        f"  in Python:    redis.Redis.from_url({url!r}).xread({{'tape:cbbo:BTC-USDT': '0'}}, count=1)",
        f"the page is on {page_url}",
    )
    (sys.stderr if as_json else sys.stdout).write("\n".join((*lines, "")))
    sys.stdout.flush()


async def _time_is_over(seconds: float | None) -> None:
    """Return after this time, or after Ctrl-C."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.uncancel() > 0:
            raise


@asynccontextmanager
async def _running(services: list[Service], settings_file: Path, quotes: Quotes, title: str, *, as_json: bool) -> AsyncIterator[None]:
    """Run all processes for the length of the block, the simulator first."""
    simulator, *others = services
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(supervise([simulator], drain_s=DRAIN_S), name="supervise the simulator")]
        try:
            await _exists(settings_file, running[0])
            running.append(tasks.create_task(supervise(others, drain_s=DRAIN_S), name="supervise the services"))
            running.append(tasks.create_task(quotes.run(), name="follow quotes"))  # type: ignore[arg-type]
            console = Console(stderr=as_json)
            if console.is_terminal or not as_json:
                showing = show(quotes.latest, console=console, title=lambda: quotes.titled(title), silent=quotes.silent)
                running.append(tasks.create_task(showing, name="show quotes"))  # type: ignore[arg-type]
            yield
        finally:
            for task in running:
                task.cancel()


async def _exists(path: Path, simulator: asyncio.Task[Exit]) -> None:
    """Return when the simulator has written its settings."""
    try:
        async with asyncio.timeout(START_S):
            while not path.exists():  # noqa: ASYNC240  # a local file, and nothing else to do
                if simulator.done():
                    raise CrosstapeError("the simulator cannot run; its log says why")
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise CrosstapeError(f"the simulator did not start within {START_S:g} s") from None


async def _last(client: Client, keys: Keys, quotes: Quotes) -> list[bytes]:
    """The newest consolidated quote of each instrument, byte for byte as it was published; by name.

    While the server is away, the newest that was read from it.
    """
    try:
        found = [await execute(client, "HGET", keys.last("cbbo", name), CONSOLIDATED) for name in sorted(quotes.latest)]
    except UNAVAILABLE:
        return [encode(quotes.latest[name]) for name in sorted(quotes.latest)]
    return [event for event in found if isinstance(event, bytes)]


def _sum_up(quotes: Quotes) -> None:
    console = Console()
    if not console.is_terminal:
        for name in sorted(quotes.latest):
            console.print(line(quotes.latest[name]), soft_wrap=True, markup=False, highlight=False)
    console.print(summary(quotes.most_venues), soft_wrap=True, highlight=False)


def summary(most_venues: Mapping[str, int]) -> str:
    """One line about the demo, from how many venues each instrument had at once: `9 instruments were consolidated: 6 from 3 venues, …`.

    Composites are named behind them: what they had at once are legs.
    """
    consolidated = {name: count for name, count in most_venues.items() if not is_composite(name)}
    counts = Counter(consolidated.values())
    parts = ", ".join(f"{count} from {counted(venues, 'venue')}" for venues, count in sorted(counts.items(), reverse=True))
    every = "" if len(counts) < 2 else " (not every venue lists every instrument)"
    text = f"{counted(len(consolidated), 'instrument')} {'was' if len(consolidated) == 1 else 'were'} consolidated: {parts}{every}"
    composites = [f"{name} from {counted(most_venues[name], 'leg')}" for name in sorted(most_venues.keys() - consolidated.keys())]
    return "; ".join([text, f"composites: {', '.join(composites)}"] if composites else [text])


def _print_logs(directory: Path) -> None:
    for path in sorted(directory.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()[-TAIL:]
        sys.stderr.write("".join(f"{path.stem}: {text}\n" for text in lines))


@contextmanager
def _directories(logs: Path | None) -> Iterator[tuple[Path, Path]]:
    """Make the run directory of this demo, and the one for logs; two demos at once do not share one."""
    with ExitStack() as stack:
        try:
            made = tempfile.TemporaryDirectory(prefix="crosstape-demo-", ignore_cleanup_errors=True)
        except OSError as exc:
            raise StorageError(f"no directory for temporary files can be written: {exc.strerror}; set TMPDIR to one") from exc
        directory = Path(stack.enter_context(made))
        if logs is None:
            logs = directory / "logs"
        try:
            logs.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise SettingsError(f"--logs {logs}: cannot be made: {exc.strerror}") from exc
        yield directory, logs
