"""Gets a venue's list of instruments, by REST or from a cache, and finds the wanted instruments in it."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from crosstape.origin import Origin
from crosstape.runtime.group_files import make_directory, share_with_group
from crosstape_connector.errors import FRAME_ERRORS, RestFailed
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Instrument, asset

log = structlog.get_logger(__name__)


class ListedInstruments(msgspec.Struct, frozen=True):
    """A venue's instruments, as listed at `received_ts` (ns since the epoch)."""

    venue: str
    received_ts: int
    instruments: list[Instrument]
    odd: list[OddRow] = []
    """Rows of the list that cannot be used, or not unchanged."""
    ours: Callable[[str], str] = asset
    """The venue's name of an asset → our name."""

    def age_s(self, now: int) -> float:
        """Return the seconds since the list was fetched. `now`: ns since the epoch."""
        return (now - self.received_ts) / 1e9


class CachedAnswer(msgspec.Struct, frozen=True):
    """The content of the cache: the venue's answer unchanged, so that it is parsed, and captured, as a fresh one is."""

    venue: str
    received_ts: int
    body: str
    more: list[str] = []
    """The answers to `InstrumentSource.more`."""

    @property
    def bodies(self) -> list[bytes]:
        """All answers, in the order of `InstrumentSource.paths`."""
        return [text.encode() for text in (self.body, *self.more)]


class InstrumentCache:
    """The cache file. If it cannot be written, the connector goes on; that is logged once, and again only after a write succeeded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fails = False

    def bind(self, origin: Origin) -> None:
        """Use a separate file for a simulated venue's list: a live connector must use the real venue's list only."""
        suffix = ".simulated.json" if origin is Origin.SIMULATED else ".json"
        self.path = self.path.with_name(self.path.name.removesuffix(".json").removesuffix(".simulated") + suffix)

    async def store(self, answer: CachedAnswer) -> None:
        """Replace the file by this answer; after an error the old file remains."""
        try:
            await asyncio.to_thread(self._write, msgspec.json.encode(answer))
            self._fails = False
        except OSError as exc:
            if not self._fails:
                log.warning("instruments.not_cached", venue=answer.venue, path=str(self.path), error=str(exc))
            self._fails = True

    def _write(self, content: bytes) -> None:
        part = self.path.with_suffix(".part")
        try:
            make_directory(self.path.parent)
            part.unlink(missing_ok=True)  # left by a process that was killed, maybe another user's
            part.write_bytes(content)
            share_with_group(part)
            part.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)  # on a full disk, it would take the last space
            raise


class Selection(msgspec.Struct, frozen=True):
    """The wanted names: those that the venue lists, and those that it does not."""

    listed: dict[str, Instrument]
    refused: dict[str, str]
    """Name → why it cannot be had, with the nearest names that are listed."""


def select(listing: ListedInstruments, wanted: Iterable[str]) -> Selection:
    """Split the wanted names by whether the venue trades them now."""
    by_name: dict[str, Instrument] = {}
    for instrument in listing.instruments:
        if instrument.name not in by_name or (instrument.active and not by_name[instrument.name].active):
            by_name[instrument.name] = instrument
    listed: dict[str, Instrument] = {}
    refused: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        found = by_name.get(name)
        if found is not None and found.active:
            listed[name] = found
        else:
            refused[name] = _refusal(name, found, listing, by_name)
    return Selection(listed, refused)


def _refusal(name: str, found: Instrument | None, listing: ListedInstruments, by_name: Mapping[str, Instrument]) -> str:
    """Return why this name cannot be had."""
    venue = listing.venue
    row = next((one for one in listing.odd if one.instrument == name or (one.symbol and _squashed(one.symbol) == _squashed(name))), None)
    if found is not None:
        return f"listed on {venue} as {found.symbol}, but " + ("not trading" if row is None else row.reason.partition(": ")[2])
    if row is not None:
        return f"its row in the list of {venue} cannot be used: {row.reason}"
    theirs = next((one for one in by_name.values() if _squashed(one.symbol) == _squashed(name)), None)
    if theirs is not None:
        return f"not our name: {venue} lists it as {theirs.symbol}, we call it {theirs.name}"
    near = nearest(_spellings(name, listing.ours), [one.name for one in by_name.values() if one.active])
    unnamed = sum(not one.symbol and not one.instrument for one in listing.odd)
    return "; ".join(
        (
            f"not listed on {venue}",
            *([f"near: {', '.join(near)}"] if near else []),
            *([f"{unnamed} rows of the list have no name, see the log"] if unnamed else []),
        )
    )


def _squashed(name: str) -> str:
    """Return a name or symbol without separators, to compare them: `BTC-USD`, `BTC/USD` and `BTCUSD` are the same."""
    return "".join(filter(str.isalnum, name)).upper()


def _spellings(name: str, ours: Callable[[str], str]) -> list[str]:
    """Return the name itself and, if its assets are written the venue's way, as we would write it."""
    parts = re.split(r"[^A-Z0-9]+", name.upper())
    return list(dict.fromkeys([name.upper(), "-".join(ours(part) for part in parts)]))


def nearest(spellings: Sequence[str], known: Collection[str], count: int = 3) -> list[str]:
    """Return the listed names that look most like one of these: the same base with another quote asset, or a typing error."""
    found: list[str] = []
    for name in spellings:
        base, dash, _ = name.partition("-")
        found += difflib.get_close_matches(name, [one for one in known if dash and one.startswith(f"{base}-")], n=count, cutoff=0.0)
    for name in spellings:
        found += difflib.get_close_matches(name, known, n=count, cutoff=0.6)
    return list(dict.fromkeys(found))[:count]


async def fetch(rest: RestClient, venue: Venue, cache: InstrumentCache | None) -> ListedInstruments:
    """Fetch the list by REST and write it to `cache`. Raises `RestFailed`, also for an answer without any instrument that can be used."""
    source = venue.instruments
    bodies: list[bytes] = []
    for path in source.paths:
        body, received_ts = await rest.get(source.rest, path, instruments=True)
        bodies.append(body)
    try:
        listing = parse(venue, bodies, received_ts)
        text, *more = (body.decode(errors="replace") for body in bodies)
    except FRAME_ERRORS as exc:
        raise RestFailed(f"{venue.id}: instruments: {exc}") from exc
    rest.odd_rows.report("instruments", listing.odd)
    if not listing.instruments:
        what = f"none of {len(listing.odd)} rows can be used: {listing.odd[0].reason}" if listing.odd else "an empty list"
        raise RestFailed(f"{venue.id}: instruments: {what}")
    if cache is not None:
        await cache.store(CachedAnswer(venue.id, received_ts, text, more))
    return listing


def parse(venue: Venue, bodies: Iterable[bytes], received_ts: int) -> ListedInstruments:
    """Parse the answers of all lists. Raises one of `FRAME_ERRORS`."""
    rows = [row for body in bodies for row in venue.instruments.parse(body)]
    return ListedInstruments(
        venue.id,
        received_ts,
        [row for row in rows if isinstance(row, Instrument)],
        [row for row in rows if isinstance(row, OddRow)],
        venue.instruments.ours,
    )


def load_cached(cache: InstrumentCache | None, venue: Venue) -> tuple[ListedInstruments, list[bytes]] | None:
    """Return the cached list and the answers that it is from; None: no cache, one that cannot be read, or another venue's."""
    if cache is None:
        return None
    try:
        kept = msgspec.json.decode(cache.path.read_bytes(), type=CachedAnswer)
        if kept.venue != venue.id or len(kept.bodies) != len(venue.instruments.paths):
            return None
        listing = parse(venue, kept.bodies, kept.received_ts)
        return (listing, kept.bodies) if listing.instruments else None
    except FileNotFoundError:
        return None
    except (OSError, *FRAME_ERRORS) as exc:
        log.warning("instruments.cache_unreadable", venue=venue.id, path=str(cache.path), error=str(exc))
        return None


async def load(rest: RestClient, venue: Venue, cache: InstrumentCache | None) -> ListedInstruments:
    """Fetch the list by REST, or else load it from the cache, however old that is. Raises `RestFailed` where there is neither.

    An old list is better than none: a wrong symbol in it is refused by the venue, or found to be silent.
    """
    try:
        listing = await fetch(rest, venue, cache)
    except RestFailed as exc:
        kept = load_cached(cache, venue)
        if kept is None:
            raise
        listing, bodies = kept
        rest.odd_rows.report("instruments", listing.odd)
        for path, body in zip(venue.instruments.paths, bodies, strict=True):
            rest.record_cached(venue.instruments.rest, path, body)
        log.warning("instruments.from_cache", venue=venue.id, age_s=round(listing.age_s(time.time_ns())), error=str(exc))
        return listing
    log.info("instruments.loaded", venue=venue.id, listed=len(listing.instruments))
    return listing


def counts(selection: Selection) -> Mapping[str, int]:
    """Return how many wanted names are listed and refused, for the metrics."""
    return {"listed": len(selection.listed), "refused": len(selection.refused)}


def log_refused(venue: str, refused: Mapping[str, str], logged: set[str]) -> None:
    """Log each refused name once, with its reason. `logged`: the names that were logged before; it is updated."""
    for name, reason in refused.items():
        if name not in logged:
            log.error("instrument.refused", venue=venue, instrument=name, reason=reason)
    logged.update(refused)
