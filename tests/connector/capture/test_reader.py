"""Reading captures."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import zstandard

from crosstape_connector.capture import reader
from crosstape_connector.capture.reader import CaptureHeader, CaptureLine, NotACaptureError, opened, read
from crosstape_connector.errors import FrameError

HEADER = b'{"capture":1,"venue":"kraken","url":"wss://ws.kraken.com/v2","source":"here"}'
LINES = [
    HEADER,
    b'{"t":5,"c":2,"d":"in","f":"{\\"channel\\":\\"heartbeat\\"}","bad":"malformed"}',
    b"",
    b'{"t":null,"c":0,"d":"in","b":"' + base64.b64encode(b"\x00\xff") + b'"}',
    b'{"t":6,"c":0,"d":"rest","u":"https://example.com","f":"[]","made":true}',
]


def test_a_capture_is_a_header_and_lines() -> None:
    """Unknown fields and empty lines are ignored."""
    header, lines = read(LINES)

    assert header == CaptureHeader(1, "kraken", "wss://ws.kraken.com/v2")
    assert list(lines) == [
        CaptureLine(5, 2, "in", '{"channel":"heartbeat"}', bad="malformed"),
        CaptureLine(None, 0, "in", None, "AP8="),
        CaptureLine(6, 0, "rest", "[]", None, "https://example.com"),
    ]


def test_a_frame_is_text_or_base64() -> None:
    """A line with neither has an empty frame."""
    assert CaptureLine(f="é").body() == "é".encode()
    assert CaptureLine(b="AP8=").body() == b"\x00\xff"
    assert CaptureLine().body() == b""
    with pytest.raises(FrameError):
        CaptureLine(b="no base64").body()


@pytest.mark.parametrize("lines", [[], [b"{}"], [b"\xff"], [b"[1"], [b'{"capture":2,"venue":"kraken"}']])
def test_a_file_without_a_header_is_no_capture(lines: list[bytes]) -> None:
    """The error comes before any line is read."""
    with pytest.raises(NotACaptureError):
        read(lines)


def test_the_error_of_a_torn_line_has_its_number() -> None:
    """It comes when the line is reached."""
    _, lines = read([HEADER, b'{"t":1}', b'{"t":'])

    assert next(lines) == CaptureLine(1)
    with pytest.raises(FrameError, match="line 3"):
        next(lines)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_may_be_compressed(tmp_path: Path, *, packed: bool) -> None:
    """Its first bytes show it. Several zstd frames in a row are one file, as after a restart of a killed writer."""
    text = b"\n".join(LINES)
    compress = zstandard.ZstdCompressor().compress
    path = tmp_path / "capture"
    path.write_bytes(compress(text[:100]) + compress(text[100:]) if packed else text)

    with opened(path) as lines:
        header, rest = read(lines)
        assert header.venue == "kraken"
        assert len(list(rest)) == 3


def test_a_compressed_file_that_ends_with_a_line_break_is_complete(tmp_path: Path) -> None:
    """No line is added at its end."""
    path = tmp_path / "capture"
    path.write_bytes(zstandard.ZstdCompressor().compress(HEADER + b"\n"))

    with opened(path) as lines:
        assert list(lines) == [HEADER]


def test_a_line_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without line breaks does not fill the memory."""
    monkeypatch.setattr(reader, "LINE", 10)
    path = tmp_path / "capture"
    path.write_bytes(zstandard.ZstdCompressor().compress(b"x" * 100))

    with opened(path) as lines, pytest.raises(FrameError):
        list(lines)


@pytest.mark.parametrize(
    "line", [b'{"t":-1,"d":"in","f":"{}"}', b'{"t":10000000000000000000,"d":"in","f":"{}"}', b'{"d":"rest","u":"http://[bad","f":"{}"}']
)
def test_an_impossible_time_or_address_is_an_error_of_its_line(line: bytes) -> None:
    """It names the line, before whoever reads it can stumble."""
    with pytest.raises(FrameError, match="line 3 of the capture"):
        list(read([b'{"capture":1,"venue":"kraken"}', b'{"t":null,"d":"in","f":"{}"}', line])[1])
