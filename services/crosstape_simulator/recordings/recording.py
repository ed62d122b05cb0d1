"""Captures: reads them, and says what is in them. Nothing here plays.

A capture is JSON lines, plain or zstd: a header, then frames and REST answers in order of time (`docs` describe the format). It is read
line by line, once to learn what it holds and once more to play it, so that its size does not matter.
"""

from __future__ import annotations

import base64
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
import zstandard

from crosstape.text_file import decode_utf8
from crosstape_simulator.errors import RecordingError, SimulatorError
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.venues.registry import VENUES
from crosstape_simulator.venues.spec import Role, SimulatedVenue

RestKey = tuple[str, str]
"""Path and, where the query names one, the symbol."""

_GZIP_IN_BASE64: Final = "H4sI"
"""How gzip (`1f 8b 08`) begins in base64."""

_GZIP: Final = 16 + zlib.MAX_WBITS
FRAME_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the text of a binary frame at most."""

_SYMBOL_PARAMETERS: Final = ("symbol", "pair", "product_id")


class Header(msgspec.Struct):
    """A capture's first line."""

    capture: int
    venue: str
    url: str = ""


class Line(msgspec.Struct):
    """A line of a capture."""

    d: str
    t: int | None = None
    """Receive time, ns since the epoch."""
    c: int = 0
    f: str | None = None
    b: str | None = None
    """A binary frame, base64."""
    u: str | None = None

    def payload(self) -> bytes:
        """The frame's bytes, or the answer's."""
        return base64.b64decode(self.b) if self.b is not None else (self.f or "").encode()

    def text(self) -> bytes:
        """The frame's text: unpacked, if the venue sends gzip. Gzip that cannot be unpacked is returned as it is."""
        payload = self.payload()
        if not self.is_packed:
            return payload
        stream = zlib.decompressobj(_GZIP)
        try:
            text = stream.decompress(payload, FRAME_BYTES)
        except zlib.error:
            return payload
        return text if stream.eof else payload

    @property
    def is_packed(self) -> bool:
        """Whether the frame is binary and of gzip."""
        return self.b is not None and self.b.startswith(_GZIP_IN_BASE64)


class Recording:
    """What one file holds."""

    def __init__(self, path: Path) -> None:
        """Reads the complete file. Raises `RecordingError` if it is not a capture of a venue that can be played."""
        self.path = path
        self.header = self._header()
        self.venue = venue_of(self.header.venue)
        """The venue that plays it."""
        self.needs: set[tuple[str, tuple[Topic, ...]]] = set()
        """(endpoint, alternatives) of all data frames: one of the alternatives has to be subscribed."""
        self.endpoints: set[str] = set()
        self.rest: dict[RestKey, list[bytes]] = {}
        """Bodies of answers in order, by request."""
        self.first_number: dict[str, int] = {}
        """The first number of each endpoint whose frames are numbered."""
        self.acknowledges: set[str] = set()
        """Endpoints whose acknowledgements are in the recording and carry numbers."""
        self.depths: dict[str, int] = {}
        """Depth of a symbol's book, where data frames do not say it."""
        self.greeting: bytes | None = None
        """The frame that greeted the client."""
        self.frames = 0
        """How many data frames it holds."""
        for line, endpoint in self.lines():
            self._note(line, endpoint)

    def lines(self) -> Iterator[tuple[Line, str]]:
        """Every line after the header, with the name of the endpoint that its connection belongs to."""
        default = self.venue.recorded.endpoint(self.header.venue, self.header.url)
        endpoints: dict[int, str] = {}
        decoder = msgspec.json.Decoder(Line)
        with self._open() as stream:
            stream.readline()
            for number, raw in enumerate(stream, start=2):
                try:
                    line = decoder.decode(raw)
                except msgspec.MsgspecError as exc:
                    if not raw.endswith(b"\n"):
                        return  # the recorder was killed while writing it
                    raise RecordingError(f"{self.path}, line {number}: {exc}") from exc
                if line.d == "open":
                    endpoints[line.c] = self.venue.recorded.endpoint(self.header.venue, line.u or "")
                endpoint = endpoints.get(line.c, default)
                yield self._as_text(line, endpoint), endpoint

    def _as_text(self, line: Line, endpoint: str) -> Line:
        """A packed frame as the text that is in it, as everything here sees it."""
        dialect = self.venue.dialect(endpoint)
        if line.b is None or line.d != "in" or dialect.binary is None:
            return line
        try:
            return msgspec.structs.replace(line, b=None, f=dialect.text(line.payload()).decode())
        except UnicodeDecodeError:
            return line

    def _note(self, line: Line, endpoint: str) -> None:
        if line.d == "rest" and line.u is not None:
            self.rest.setdefault(rest_key(line.u), []).append(line.payload())
        if line.d == "open":
            self.endpoints.add(endpoint)
        if line.d != "in":
            return
        self.endpoints.add(endpoint)
        text = line.text()
        if self.greeting is None and not self.frames and self.venue.recorded.is_greeting(text):
            self.greeting = text
        seen = self.venue.classify(endpoint, text)
        if seen.number is not None:
            self.first_number.setdefault(endpoint, seen.number)
            if seen.role is Role.REPLY:
                self.acknowledges.add(endpoint)
        if seen.book_depth is not None:
            self.depths.setdefault(*seen.book_depth)
        if seen.role is Role.DATA:
            self.frames += 1
            self.needs.add((endpoint, seen.topics))

    def _header(self) -> Header:
        try:
            with self._open() as stream:
                return msgspec.json.decode(decode_utf8(stream.readline()), type=Header)
        except (OSError, ValueError, zstandard.ZstdError) as exc:  # msgspec's errors are ValueErrors
            raise RecordingError(f"{self.path}: not a capture: {exc}") from exc

    def _open(self) -> io.BufferedReader:
        raw = self.path.open("rb")
        if self.path.suffix != ".zst":
            return raw
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True)
        return io.BufferedReader(reader, 1 << 20)


def rest_key(url: str) -> RestKey:
    """What identifies a REST request: its path and symbol; limits and the like do not count."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return parts.path.rstrip("/"), next((query[name] for name in _SYMBOL_PARAMETERS if name in query), "")


def venue_of(name: str) -> SimulatedVenue:
    """The venue that plays recordings of `name`. Raises `SimulatorError` if none does."""
    for venue in VENUES.values():
        if re.fullmatch(venue.recorded.names or re.escape(venue.id), name):
            return venue
    raise SimulatorError(f"recordings of {name} cannot be played")
