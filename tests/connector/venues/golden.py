"""Golden frames and answers of each venue, read from the files in its test folder; and a command that writes what is expected of them.

frames.jsonl    {"endpoint": …, "name": …, "frame": …}: frames in the documented format, of our own making, as they stand on the wire
rest.jsonl      {"name": …, "body": …}: answers; `instruments`, `trades`, `quotes`, `snapshot`, `trading` and `candles` (of 1m, or of
                the venue's shortest timeframe) are those of the venue's sources, `open_interest`, `mark_funding` … of its polled ones
expected.jsonl  {"endpoint": …, "name": …, "outputs": […]}: what each becomes, without fields that have their default; the endpoint of an
                answer is `rest`

python -m tests.connector.venues.golden VENUE     writes expected.jsonl: read the difference before you commit it
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint, PolledSource, Venue
from crosstape_schemas import Instrument, Quote, Trade, decode, encode

HERE: Final = Path(__file__).parent
RECEIVED_TS: Final = 7
L = TypeVar("L")
OutputT = TypeVar("OutputT")


class FrameLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One frame. `endpoint`: the name in the venue's table; `name`: unique within the endpoint."""

    endpoint: str
    name: str
    frame: msgspec.Raw


class RestLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer."""

    name: str
    body: msgspec.Raw


class ExpectedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a parser returns for a frame or an answer."""

    endpoint: str
    name: str
    outputs: Any


def folder(venue_id: str) -> Path:
    """The test folder of a venue."""
    return HERE / venue_id


def frames_of(venue_id: str, endpoint: str | None = None) -> dict[str, bytes]:
    """Name → frame, in the file's order; of one endpoint, or of the venue's first."""
    wanted = VENUES[venue_id].endpoints[0].name if endpoint is None else endpoint
    return {line.name: bytes(line.frame) for line in _lines(folder(venue_id) / "frames.jsonl", FrameLine) if line.endpoint == wanted}


def answers_of(venue_id: str) -> dict[str, bytes]:
    """Name → body of a REST answer."""
    return {line.name: bytes(line.body) for line in _lines(folder(venue_id) / "rest.jsonl", RestLine)}


@cache
def expected_of(venue_id: str) -> dict[tuple[str, str], Any]:
    """(endpoint, name) → the outputs as JSON."""
    return {(line.endpoint, line.name): line.outputs for line in _lines(folder(venue_id) / "expected.jsonl", ExpectedLine)}


@cache
def symbols_of(venue_id: str) -> dict[str, Instrument]:
    """Their symbol → our instrument, of the list in `rest.jsonl`: what the frames are about."""
    body = answers_of(venue_id).get("instruments")
    rows = VENUES[venue_id].instruments.parse(body) if body is not None else ()
    return {row.symbol: row for row in rows if isinstance(row, Instrument)}


def instrument(name: str, symbol: str = "", venue: str = "") -> Instrument:
    """A spot instrument with this name, for a parser that asks for no more."""
    base, _, quote = name.partition("-")
    return Instrument(name, venue, symbol or name, base, quote)


def outputs(venue: Venue) -> Iterator[ExpectedLine]:
    """What the venue's parsers return now: for all frames of an endpoint as one connection, then for each answer."""
    for endpoint in venue.endpoints:
        yield from _of_frames(venue, endpoint)
    bodies = answers_of(venue.id)
    names = symbols_of(venue.id)
    first = next(iter(names.values()), instrument(""))
    if "instruments" in bodies:
        yield ExpectedLine("rest", "instruments", plain(venue.instruments.parse(bodies["instruments"])))
    if venue.snapshots is not None and "snapshot" in bodies:
        yield ExpectedLine("rest", "snapshot", plain([venue.snapshots.parse(bodies["snapshot"], first, RECEIVED_TS)]))
    if venue.trades is not None and "trades" in bodies:
        yield ExpectedLine("rest", "trades", plain([venue.trades.parse(bodies["trades"], first, RECEIVED_TS)]))
    if venue.quotes is not None and "quotes" in bodies:
        asked = dict(list(names.items())[: venue.quotes.batch])
        yield ExpectedLine("rest", "quotes", plain(venue.quotes.parse(bodies["quotes"], asked, RECEIVED_TS)))
    if venue.candles is not None and venue.candle_source is not None and "candles" in bodies:
        timeframe = "1m" if "1m" in venue.candles.timeframes else next(iter(venue.candles.timeframes))
        yield ExpectedLine("rest", "candles", plain([venue.candle_source.parse(bodies["candles"], first, timeframe, RECEIVED_TS)]))
    for source in venue.polled:
        if polled_name(source) in bodies:
            asked = dict(list(names.items())[: source.batch])
            yield ExpectedLine("rest", polled_name(source), plain(source.parse(bodies[polled_name(source)], asked, RECEIVED_TS)))
    if venue.trading is not None and "trading" in bodies:
        yield ExpectedLine("rest", "trading", dict(venue.trading.parse(bodies["trading"], list(names))))


def polled_name(source: PolledSource) -> str:
    """The name of a polled source's answer in `rest.jsonl`: its kinds."""
    return "_".join(source.kinds)


def as_read(output: OutputT) -> OutputT | Trade | Quote:
    """What a reader of the tape gets for an event: numbers as decimals. Any other output is returned as it is."""
    if not isinstance(output, Trade | Quote):
        return output
    event = decode(encode(output))
    assert isinstance(event, Trade | Quote)
    return event


def plain(found: Iterable[Any]) -> list[Any]:
    """Outputs as JSON holds them, each with the name of its class, and without the fields that have their default."""
    return [msgspec.json.decode(msgspec.json.encode(_written(one))) for one in found]


def _written(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        value = as_read(value)
        found = [(field, getattr(value, field.name)) for field in msgspec.structs.fields(value)]
        return {"is": type(value).__name__} | {field.name: _written(own) for field, own in found if not _is_default(field, own)}
    return [_written(one) for one in value] if isinstance(value, list | tuple) else value


def _is_default(field: msgspec.structs.FieldInfo, value: Any) -> bool:
    """Whether a field has its default, to the digit: the number 1.0 is another text than 1."""
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return type(value) is type(default) and repr(value) == repr(default)


def _of_frames(venue: Venue, endpoint: Endpoint) -> Iterator[ExpectedLine]:
    parser = endpoint.parser(symbols_of(venue.id))
    for name, frame in frames_of(venue.id, endpoint.name).items():
        yield ExpectedLine(endpoint.name, name, plain(parser(frame, RECEIVED_TS)))


@cache
def _lines(path: Path, line: type[L]) -> list[L]:
    """The lines of a file; none if it is not there. Raises `ValueError` with the place of one that cannot be read."""
    found: list[L] = []
    for number, text in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            found.append(msgspec.json.decode(text, type=line))
        except msgspec.MsgspecError as exc:
            raise ValueError(f"{path.parent.name}/{path.name}:{number}: {exc}") from exc
    return found


if __name__ == "__main__":
    chosen = VENUES[sys.argv[1]]
    made = b"".join(msgspec.json.encode(line) + b"\n" for line in outputs(chosen))
    (folder(chosen.id) / "expected.jsonl").write_bytes(made)
