"""Turns binary frames into the text that a parser reads, within bounds. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from crosstape_connector.errors import UndecodableFrame
from crosstape_connector.venues.spec import Endpoint

_GZIP = 16 + zlib.MAX_WBITS


def gunzip(limit_bytes: int) -> Callable[[bytes], bytes]:
    """Return the function for frames of gzip, whose text has `limit_bytes` at most. It raises `UndecodableFrame`."""

    def unpack(data: bytes) -> bytes:
        stream = zlib.decompressobj(_GZIP)
        try:
            text = stream.decompress(data, limit_bytes + 1)  # stops there: a small frame may unpack to gigabytes
        except zlib.error as exc:
            raise UndecodableFrame(f"not gzip: {exc}") from exc
        if len(text) > limit_bytes:
            raise UndecodableFrame(f"more than {limit_bytes} bytes of text")
        if not stream.eof:
            raise UndecodableFrame("gzip that is cut off")
        if stream.unused_data:
            raise UndecodableFrame(f"{len(stream.unused_data)} bytes after the end of the gzip data")
        return text

    return unpack


def as_text(data: bytes) -> bytes:
    """Return the frame as it is: text that a venue sends in binary frames."""
    return data


def bounded(endpoint: Endpoint) -> Callable[[bytes], bytes] | None:
    """Return the endpoint's function for binary frames with its bound on their text, which raises `UndecodableFrame`; None: it has none."""
    unpack, limit = endpoint.binary, endpoint.max_frame_bytes
    if unpack is None:
        return None

    def unpack_bounded(data: bytes) -> bytes:
        text = unpack(data)
        if len(text) > limit:
            raise UndecodableFrame(f"{len(text)} bytes of text, {limit} at most")
        return text

    return unpack_bounded
