"""Finds the answers of polled sources in a capture: figures that the venue has only by REST. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from crosstape_connector.capture.reader import CaptureLine
from crosstape_connector.venues.spec import PolledSource, Symbols, Venue


def is_polled(venue: Venue, line: CaptureLine) -> bool:
    """Whether a line is the answer of a polled source."""
    return line.d == "rest" and not line.bad and find_source(venue, line.u) is not None


def find_source(venue: Venue, url: str) -> PolledSource | None:
    """Return the polled source that has this address but for its query; None: none has."""
    path = urlsplit(url).path
    return next((one for one in venue.polled if path.endswith(urlsplit(one.path(("",))).path)), None)


def asked_for(source: PolledSource, url: str, symbols: Symbols) -> Symbols:
    """Return the symbols that a request named. One for many symbols may have named any of them."""
    if source.batch > 1:
        return symbols
    return {symbol: instrument for symbol, instrument in symbols.items() if url.endswith(source.path((symbol,)))}
