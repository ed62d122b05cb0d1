"""`crosstape probe`: connects to a venue, records it, and reports which claims of its table hold."""

from __future__ import annotations

import asyncio
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import zstandard
from cyclopts import Parameter
from msgspec.structs import replace

from crosstape.errors import CrosstapeError, SettingsError, StorageError
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape.runtime.lifecycle import Exit, main
from crosstape.settings import Settings, VenueSettings
from crosstape.version import __version__
from crosstape_cli.options import SettingsFile, begin_logging, chosen_timeframes, find_venue, load
from crosstape_connector.capture.reader import CaptureFile, read
from crosstape_connector.evidence.examination import Examination, examine
from crosstape_connector.evidence.finding import Verdict
from crosstape_connector.evidence.report import Subject, written
from crosstape_connector.replay.normalize import check_header
from crosstape_connector.rest.instruments import InstrumentCache, load_cached, select
from crosstape_connector.service import run
from crosstape_connector.venue_choice import chosen
from crosstape_connector.venues.registry import VENUES, find
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import CANDLE

MINUTE_S: Final = 60.0
LONGEST: Final = 1_440.0
"""Minutes. A capture of a busy instrument grows by some 10 MB an hour."""
KINDS: Final = VenueSettings().kinds
LOOK_S: Final = 0.2
"""How often the probe looks whether the connector has the venue's list of instruments."""
CAPTURES: Final = "*.jsonl.zst"


def probe(
    venue: Annotated[str, Parameter(help=f"Venue: {', '.join(VENUES)}.")],
    instrument: Annotated[str, Parameter(help="Instrument by our name: BTC-USDT, BTC-USDT-PERP.")],
    /,
    *,
    minutes: Annotated[float, Parameter(help="How long to record; Ctrl-C ends it sooner, and the report is of what came.")] = 10.0,
    out: Annotated[Path | None, Parameter(help="Directory for the capture and report.md; default: a new one here.")] = None,
    candles: Annotated[str, Parameter(help="Timeframes of candles, divided by commas; default: 1m, or the venue's shortest.")] = "",
    environment: Annotated[str, Parameter(help="Testnet or sandbox in place of the live market.")] = "",
    capture: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Report on capture files that you have, in place of connecting.")
    ] = (),
    settings: SettingsFile = None,
) -> Exit:
    """Connect to a venue, record one instrument, and write a report: what the venue's table claims, and what was seen of it.

    All kinds of data that the venue has are recorded: chains and checksums of books, ids and sides of trades, what candles open at and when
    they are closed, intervals without trades, pace and lag of each feed. The report is a page of Markdown that names nothing of your
    machine: put it into an issue. Addresses, proxy and timeouts are those of [venues.VENUE] in your settings, if it is there.

    An instrument that the venue does not list ends it at once, with the names that are near.

    Exit codes: 0 nothing contradicts the table, 1 something does, 2 the instrument is not listed, 5 nothing of the instrument was
    received.
    """
    table = find_venue(venue, "venue")
    if not 0 < minutes <= LONGEST:
        raise SettingsError(f"--minutes {minutes:g}: must be above 0 and at most {LONGEST:g}")
    loaded = load(settings)
    own = loaded.venues.get(venue)
    environment = environment or (own.environment if own is not None else "")
    timeframes = chosen_timeframes(candles, "--candles") or _shortest(table)
    table = chosen(table, environment, timeframes)
    directory = Path(f"probe-{venue}-{instrument}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}") if out is None else out
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(f"--out {directory}: cannot be made: {exc.strerror}") from exc
    elsewhere = own is not None and bool(own.ws_url or own.rest_url)
    market = "addresses from the settings" if elsewhere else environment or "the live market"
    subject = Subject(venue, market, instrument, __version__, platform.python_version(), minutes)
    if capture:
        subject = replace(subject, market="captures that were there", minutes=None)
    else:
        if any(directory.glob(CAPTURES)):
            raise SettingsError(f"--out {directory}: there is a capture already")
        asked = replace(
            loaded,
            venues={
                venue: replace(own or VenueSettings(), instruments=(instrument,), kinds=KINDS, candles=timeframes, environment=environment)
            },
            connector=replace(loaded.connector, capture_dir=str(directory), replica=""),
            telemetry=replace(loaded.telemetry, http_enabled=False, log_level="warning"),
        )
        begin_logging(asked, service=f"probe.{venue}")
        done = main(lambda: _record(asked, venue, minutes), short=True)
        if done is Exit.USAGE:  # nothing of the instrument came: the same --out can be named again
            for path in directory.glob(CAPTURES):
                path.unlink()
            if out is None:
                directory.rmdir()
        if done is not Exit.OK:
            return done
        capture = tuple(path for path in sorted(directory.glob(CAPTURES)) if any(True for _ in CaptureFile(path)))
        if not capture:
            sys.stderr.write(f"crosstape: nothing was received from {venue}\n")
            return Exit.UNPROVEN
    found = _examined(table, instrument, capture, timeframes)
    report = directory / "report.md"
    try:
        report.write_text(written(subject, found), encoding="utf-8")
    except OSError as exc:
        raise StorageError(f"{report}: cannot be written: {exc.strerror}") from exc
    sys.stdout.write(written(subject, found))
    sys.stderr.write(f"crosstape: the report is {report}\n")
    if found.count(Verdict.BROKEN):
        return Exit.FAILED
    return Exit.OK if found.events else Exit.UNPROVEN


async def _record(settings: Settings, venue: str, minutes: float) -> Exit:
    """Run the venue's connector on a server of its own for so many minutes, or until Ctrl-C. Raises what the connector raises."""
    task = asyncio.current_task()
    assert task is not None
    with tempfile.TemporaryDirectory(prefix="crosstape-probe-", ignore_cleanup_errors=True) as name:
        server = EmbeddedServer(Path(name))
        await server.start()
        try:
            asked = replace(settings, bus=replace(settings.bus, url=server.url), run=replace(settings.run, dir=name))
            until = datetime.fromtimestamp(time.time() + minutes * MINUTE_S, UTC)
            sys.stderr.write(f"crosstape: recording {venue} until {until:%H:%M:%S} UTC; Ctrl-C ends it sooner\n")
            async with asyncio.timeout(minutes * MINUTE_S):
                await _run(asked, venue)
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            task.uncancel()  # Ctrl-C: the report is of what came
        finally:
            await server.stop()
    return Exit.OK


async def _run(settings: Settings, venue: str) -> None:
    """Run the connector until it ends. Raises what it raises, and `SettingsError` once the venue's list shows that nothing will come."""
    recording = asyncio.create_task(run(settings, venue))
    listed = asyncio.create_task(_refusal(settings, venue))
    try:
        await asyncio.wait((recording, listed), return_when=asyncio.FIRST_COMPLETED)
        if listed.done() and (reason := listed.result()):
            raise SettingsError(f"{reason}: nothing was recorded")
        await recording
    finally:
        recording.cancel()
        listed.cancel()
        await asyncio.wait((recording, listed))  # the connector publishes what is pending within `run.drain_s`


async def _refusal(settings: Settings, venue: str) -> str:
    """Wait until the connector has the venue's list, and return why our instrument is refused, else nothing. The caller sets a limit."""
    while True:
        if (reason := await asyncio.to_thread(_listed, settings, venue)) is not None:
            return reason
        await asyncio.sleep(LOOK_S)


def _listed(settings: Settings, venue: str) -> str | None:
    """Look the instrument up in the list that the connector has fetched. None: there is no list yet."""
    (wanted,) = settings.venues[venue].instruments
    for file in Path(settings.run.dir).glob("instruments/*.json"):
        if (cached := load_cached(InstrumentCache(file), find(venue))) is not None:
            reason = select(cached[0], (wanted,)).refused.get(wanted, "")
            return f"{wanted}: {reason}" if reason else ""
    return None


def _examined(table: Venue, instrument: str, files: Sequence[Path], timeframes: Sequence[str]) -> Examination:
    """Examine the files as one capture. Raises `SettingsError` or `CrosstapeError`, naming the file."""
    for path in files:
        try:
            check_header(read(iter(CaptureFile(path)))[0], table)
        except OSError as exc:
            raise SettingsError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
        except CrosstapeError as exc:
            raise type(exc)(f"{path}: {exc}") from exc
    try:
        return examine(table, CaptureFile(*files), instrument, kinds=KINDS, timeframes=timeframes)
    except zstandard.ZstdError as exc:
        raise CrosstapeError(f"{files[-1]}: incomplete zstd: {exc}") from exc


def _shortest(venue: Venue) -> tuple[str, ...]:
    """Return a minute, where the venue's stream has such candles, else its shortest timeframe."""
    if venue.candles is None or not any(kind.startswith(CANDLE) for endpoint in venue.endpoints for kind in endpoint.channels):
        return ()
    return ("1m",) if "1m" in venue.candles.timeframes else (next(iter(venue.candles.timeframes)),)
