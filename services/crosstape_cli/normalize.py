"""`crosstape normalize`: turns a capture into events, exactly as the connector would have published them."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import zstandard
from cyclopts import Parameter

from crosstape.errors import CrosstapeError, SettingsError
from crosstape.runtime.lifecycle import Exit
from crosstape_cli.options import chosen_timeframes, find_venue
from crosstape_connector.capture.reader import CaptureFile, opened
from crosstape_connector.replay.normalize import normalize as events_of
from crosstape_connector.replay.summary import Summary
from crosstape_connector.venue_choice import check_candles
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import encode

STDIN: Final = Path("-")
SHOWN_BYTES: Final = 200
"""Marks a frame that could not be used."""


def normalize(
    venue: Annotated[str, Parameter(help=f"Venue of the capture: {', '.join(VENUES)}.")],
    file: Annotated[Path, Parameter(help="The capture, plain or zstd; -: standard input.", allow_leading_hyphen=True)] = STDIN,
    /,
    *,
    delta: Annotated[bool, Parameter(negative="", help="Print the single changes of books, too.")] = False,
    candles: Annotated[str, Parameter(help="Timeframes of candles to print, too, divided by commas: 1m,1h.")] = "",
    book_depth: Annotated[int, Parameter(help="Levels a side in book events.")] = 10,
    book_interval_s: Annotated[float, Parameter(help="At most one book event per interval and instrument; 0: one per change.")] = 0.1,
    quiet: Annotated[bool, Parameter(negative="", help="Print no summary.")] = False,
) -> Exit:
    """Turn a capture into events: one JSON object per line on standard output, in order; a summary as JSON on standard error.

    Parsers, books and checks are those of the running connector. Instruments and snapshots come from the capture's REST lines. In a file
    these may be anywhere; on standard input a snapshot must come before the frames that need it. The epoch of all events is 0, and seq
    counts 1, 2, 3 … per stream, so the same capture always gives the same bytes.
    """
    table = find_venue(venue, "venue")
    if book_depth < 1 or not 0 <= book_interval_s < math.inf:
        raise SettingsError("--book-depth must be at least 1, --book-interval-s at least 0")
    timeframes = chosen_timeframes(candles, "--candles")
    check_candles(table, timeframes, "--candles")
    out = sys.stdout.buffer
    with _lines(file) as lines:
        interval_ns = round(book_interval_s * 1e9)
        made = events_of(table, lines, delta=delta, candles=timeframes, book_depth=book_depth, book_interval_ns=interval_ns)
        for event in made:
            out.write(encode(event))
            out.write(b"\n")
        out.flush()
        if not quiet:
            sys.stderr.write(_as_json(made.summary) + "\n")
    return Exit.OK


@contextmanager
def _lines(file: Path) -> Iterator[Iterable[bytes]]:
    """Opens a file or standard input for the length of the block. Raises `SettingsError` or `CrosstapeError`, naming the file."""
    try:
        if file == STDIN:
            yield _unpacked(sys.stdin.buffer)
        elif file.is_file():
            yield CaptureFile(file)
        else:
            with opened(file) as lines:
                yield lines
    except BrokenPipeError:
        raise  # the pipe of our output, not of the capture
    except OSError as exc:
        raise SettingsError(f"{_name(file)}: cannot be read: {exc.strerror or exc}") from exc
    except zstandard.ZstdError as exc:
        raise CrosstapeError(f"{_name(file)}: incomplete zstd: {exc}") from exc
    except CrosstapeError as exc:
        raise type(exc)(f"{_name(file)}: {exc}") from exc


def _name(file: Path) -> str:
    return "standard input" if file == STDIN else str(file)


def _unpacked(stream: Any) -> Iterator[bytes]:
    """Returns the lines of a pipe, decompressed if they are zstd. It peeks: a pipe cannot be read from the start again."""
    if stream.peek(4)[:4] != zstandard.MAGIC_NUMBER.to_bytes(4, "little"):
        return iter(stream)
    return iter(io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)))


def _as_json(summary: Summary) -> str:
    """Returns the summary as indented JSON, with frames as text."""
    raw: dict[str, Any] = msgspec.to_builtins(summary, builtin_types=(bytes,))
    for first in raw["first_unhandled"]:
        first["frame"] = first["frame"][:SHOWN_BYTES].decode(errors="replace")
    return msgspec.json.format(msgspec.json.encode(raw), indent=2).decode()
