"""Captures can be read after any failure, are bounded, and never delay the connector."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard
from structlog.testing import capture_logs

from crosstape_connector.capture.writer import Capture
from tests.disks import small_disk
from tests.waiting import wait_until

NOW = 1_700_000_000_000_000_000


def begin(directory: Path, **options: Any) -> Capture:
    """Start a capture that has no reason to rotate."""
    defaults: dict[str, Any] = {"max_bytes": 1 << 30, "max_s": 3600.0}
    capture = Capture(directory, "fake", "wss://venue.test/ws", **(defaults | options))
    capture.start()
    return capture


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return every line of a file, which must be one complete zstd frame."""
    text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    return [json.loads(line) for line in text.splitlines()]


def all_lines(directory: Path) -> list[list[dict[str, Any]]]:
    """Return the lines by file, in the order of the file names, which is the order of time."""
    return [lines_of(path) for path in sorted(directory.iterdir())]


def test_every_kind_of_line_is_as_the_format_says(tmp_path: Path) -> None:
    """Text as text, bytes as base64, and bad frames with their kind."""
    capture = begin(tmp_path)
    capture.opened(NOW, 1, "wss://venue.test/ws")
    capture.frame_out(NOW + 1, 1, b'{"op":"subscribe"}')
    capture.frame_in(NOW + 2, 1, '{"s":"币安"}'.encode())
    capture.frame_bad(NOW + 3, 1, b"\xff\xfe", "encoding", binary=False)
    capture.frame_bad(NOW + 4, 1, b"text", "encoding", binary=True)
    capture.answered(NOW + 5, "https://venue.test/instruments", b"[]")
    capture.closed(NOW + 6, 1, "stopped")
    capture.stop()
    ((header, *lines),) = all_lines(tmp_path)
    assert header == {"capture": 1, "venue": "fake", "url": "wss://venue.test/ws", "source": "crosstape"}
    assert lines == [
        {"t": NOW, "c": 1, "d": "open", "u": "wss://venue.test/ws"},
        {"t": NOW + 1, "c": 1, "d": "out", "f": '{"op":"subscribe"}'},
        {"t": NOW + 2, "c": 1, "d": "in", "f": '{"s":"币安"}'},
        {"t": NOW + 3, "c": 1, "d": "in", "b": base64.b64encode(b"\xff\xfe").decode(), "bad": "encoding"},
        {"t": NOW + 4, "c": 1, "d": "in", "b": base64.b64encode(b"text").decode(), "bad": "encoding"},
        {"t": NOW + 5, "c": 0, "d": "rest", "u": "https://venue.test/instruments", "f": "[]"},
        {"t": NOW + 6, "c": 1, "d": "close", "f": "stopped"},
    ]


def test_nothing_written_is_no_file(tmp_path: Path) -> None:
    """A connector that never connected leaves no file."""
    begin(tmp_path / "captures").stop()
    assert list((tmp_path / "captures").iterdir()) == []


def test_a_file_is_rotated_by_size_and_each_can_be_read_alone(tmp_path: Path) -> None:
    """The next file begins with the instruments and the open connections; no frame is lost or written twice."""
    times = iter(range(NOW, NOW + 10**12, 10**9))
    capture = begin(tmp_path, max_bytes=2000, clock=lambda: next(times))
    capture.answered(NOW - 3, "https://venue.test/instruments", b'{"AAAUSD":true}', instruments=True)
    capture.opened(NOW - 2, 1, "wss://venue.test/ws")
    capture.opened(NOW - 2, 2, "wss://venue.test/ws")
    capture.closed(NOW - 1, 2, "lost")
    for number in range(100):
        capture.frame_in(NOW + number, 1, b'{"number":%d}' % number)
    capture.stop()
    files = all_lines(tmp_path)
    assert len(files) > 2
    frames = [line["f"] for file in files for line in file if line.get("d") == "in"]
    assert frames == [f'{{"number":{number}}}' for number in range(100)]
    for header, instruments, opened, *_ in files[1:]:
        assert header["capture"] == 1
        assert instruments == {
            "t": NOW - 3,
            "c": 0,
            "d": "rest",
            "u": "https://venue.test/instruments",
            "f": '{"AAAUSD":true}',
            "repeated": True,
        }
        assert opened == {"t": NOW - 2, "c": 1, "d": "open", "u": "wss://venue.test/ws", "repeated": True}
    assert sum(json.loads(f)["number"] for f in frames) == 4950


def test_each_part_of_a_list_is_at_the_head_of_the_next_file(tmp_path: Path) -> None:
    """The newest answer of each address: a list of several answers is not complete without one of them."""
    capture = begin(tmp_path, max_bytes=200)
    for number, url in enumerate(("/list?part=1", "/list?part=2", "/list?part=1")):
        capture.answered(NOW + number, url, b'{"n":%d}' % number, instruments=True)
    capture.frame_in(NOW + 9, 1, b"{}" * 200)
    capture.stop()

    repeated = [(line["u"], line["f"]) for line in all_lines(tmp_path)[-1][1:] if line.get("repeated")]
    assert repeated == [("/list?part=1", '{"n":2}'), ("/list?part=2", '{"n":1}')]


async def test_a_file_is_rotated_by_time(tmp_path: Path) -> None:
    """Also while no line comes: the file is closed, and the next one begins with the next line."""
    now = NOW
    capture = begin(tmp_path, max_s=60.0, clock=lambda: now)
    capture.frame_in(now, 1, b"{}")
    await wait_until(lambda: list(tmp_path.iterdir()), what="the first file")
    now += 61 * 10**9

    await wait_until(lambda: capture.files_ended == 1, what="the first file is closed")
    capture.frame_in(now, 1, b"{}")
    capture.stop()
    assert [len(file) for file in all_lines(tmp_path)] == [2, 2]


def test_a_full_queue_drops_lines_and_counts_them(tmp_path: Path) -> None:
    """The file has the number at the place where lines are missing."""
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0, lines=3)
    for number in range(5):
        capture.frame_in(NOW + number, 1, b"{}")
    assert capture.dropped == 2
    capture.start()
    capture.stop()
    ((_, *lines),) = all_lines(tmp_path)
    assert [line["d"] for line in lines] == ["in", "in", "in", "dropped"]
    assert lines[-1]["n"] == 2


async def test_a_disk_that_fails_ends_the_capture_only(tmp_path: Path) -> None:
    """It is logged once. Lines that were not written, and later ones, are counted, and no error is raised."""
    with capture_logs() as logs:
        capture = begin(tmp_path / "captures")
        (tmp_path / "captures").rmdir()
        capture.frame_in(NOW, 1, b"{}")
        await wait_until(lambda: [log for log in logs if log["event"] == "capture.failed"], what="the failure is logged")
        capture.frame_in(NOW + 1, 1, b"{}")
        capture.stop()
    assert capture.dropped == 2
    assert len([log for log in logs if log["event"] == "capture.failed"]) == 1


async def test_a_full_disk_leaves_what_was_flushed_and_counts_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is in a file or counted, and the unfinished file can be read."""
    monkeypatch.setattr("crosstape_connector.capture.writer.FLUSH_S", 0.0)
    put = 0
    with small_disk(tmp_path / "disk") as disk, capture_logs() as logs:
        capture = begin(disk)
        capture.frame_in(NOW, 1, b"{}")
        await wait_until(lambda: list(disk.iterdir()), what="the file is begun")
        (file,) = disk.iterdir()
        await wait_until(lambda: file.stat().st_size, what="the line is flushed")

        def fails() -> bool:
            nonlocal put
            for _ in range(50):
                put += 1
                capture.frame_in(NOW + put, 1, os.urandom(64).hex().encode())
            return bool([log for log in logs if log["event"] == "capture.failed"])

        await wait_until(fails, what="the disk is full")
        capture.frame_in(NOW, 1, b"{}")
        capture.stop()
        lines = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes()).count(b"\n") - 1  # but for the header
    assert [log["error"] for log in logs if log["event"] == "capture.failed"] == ["[Errno 28] No space left on device"]
    assert lines >= 1
    assert put + 2 - lines <= capture.dropped <= put + 1


async def test_what_a_killed_process_wrote_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the last flush. The zstd frame has no end, which a stream reader accepts."""
    monkeypatch.setattr("crosstape_connector.capture.writer.FLUSH_S", 0.0)
    capture = begin(tmp_path)
    capture.frame_in(NOW, 1, b'{"number":1}')

    def there() -> bool:
        return any(
            b'\\"number\\":1' in zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()) for path in tmp_path.iterdir()
        )

    await wait_until(there, what="the line is on the disk")
    capture.stop()
