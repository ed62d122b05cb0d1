"""Binary frames become text, within bounds."""

from __future__ import annotations

import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FrameError, UndecodableFrame, frame_error_kind
from crosstape_connector.venues.parsing.binary import as_text, bounded, gunzip
from tests.connector.fake_venue import endpoint

TEXT = b'{"ch":"trades","s":"AAAUSD"}'


@given(st.binary(max_size=2000))
def test_gzip_gives_the_text_that_was_packed(text: bytes) -> None:
    """Any bytes, also none."""
    assert gunzip(2000)(gzip.compress(text)) == text


BAD = {
    "a bomb": gzip.compress(b" " * 50_000_000),
    "cut off": gzip.compress(TEXT)[:-3],
    "nothing": b"",
    "its header only": gzip.compress(TEXT)[:10],
    "a byte after its end": gzip.compress(TEXT) + b"x",
    "a second member": gzip.compress(TEXT) * 2,
    "text": TEXT,
    "a wrong checksum": gzip.compress(TEXT)[:-8] + bytes(8),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_one_complete_gzip_is_refused(what: str) -> None:
    """All are one kind of bad frame."""
    with pytest.raises(UndecodableFrame) as caught:
        gunzip(1000)(BAD[what])
    assert frame_error_kind(caught.value) == "binary"


def test_the_bound_is_of_the_text() -> None:
    """Exactly as much is allowed."""
    packed = gzip.compress(b"x" * 1000)
    assert len(gunzip(1000)(packed)) == 1000
    with pytest.raises(UndecodableFrame, match="more than 999 bytes"):
        gunzip(999)(packed)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_bad_frame(data: bytes) -> None:
    """No other error comes out."""
    with contextlib.suppress(FrameError):
        gunzip(1000)(data)


def test_an_endpoint_bounds_any_text() -> None:
    """`max_frame_bytes` holds for the text, too, whatever the endpoint's own function allows."""
    unpack = bounded(endpoint(binary=gunzip(10_000), max_frame_bytes=100))
    assert unpack is not None
    assert unpack(gzip.compress(TEXT)) == TEXT
    with pytest.raises(UndecodableFrame, match="1000 bytes of text, 100 at most"):
        unpack(gzip.compress(b"x" * 1000))
    plain = bounded(endpoint(binary=as_text))
    assert plain is not None
    assert plain(TEXT) is TEXT
    assert bounded(endpoint()) is None
