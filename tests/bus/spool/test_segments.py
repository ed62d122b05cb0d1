"""The spool on disk: what is read is what was appended, in order, up to the first damage; never anything else."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.bus.spool.directory import SpoolDirectory
from crosstape.bus.spool.format import HEADER_BYTES, SegmentHeader, frame, header, parse_frames, parse_header

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=12)
BLOCKS = st.lists(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20), max_size=30)
SMALL = 64 << 10
"""Segments of 4 KiB."""


def spool(path: Path, bound: int = SMALL) -> SpoolDirectory:
    """Opened: it is ours."""
    file = SpoolDirectory(path / "spool", bound)
    file.open()
    return file


def rest(file: SpoolDirectory, most: int = 7) -> tuple[list[bytes], int]:
    """Returns all entries that can be read from the present position, and how many were lost."""
    payloads, lost = [], 0
    while (place := file.next_stretch()) is not None:
        chunk = place.read(most, 100)
        file.advance(chunk)
        payloads += chunk.payloads
        lost += chunk.lost
    return payloads, lost


@given(payloads=PAYLOADS, cut=st.integers(0, 1_000))
def test_frames_cut_anywhere_give_those_before_the_cut(payloads: list[bytes], cut: int) -> None:
    """A torn tail takes the frame that it is in, and no other."""
    data = b"".join(map(frame, payloads))[:cut]
    found = parse_frames(data, most=100)
    assert found.payloads == payloads[: len(found.payloads)]
    assert not found.bad
    whole = sum(len(frame(payload)) for payload in found.payloads)
    assert found.end == whole
    assert len(found.payloads) == len(payloads) or len(data) < whole + len(frame(payloads[len(found.payloads)]))


@given(payloads=PAYLOADS.filter(bool), at=st.integers(0), flip=st.integers(1, 255), behind=st.binary(max_size=30))
def test_a_wrong_byte_anywhere_gives_those_before_it(payloads: list[bytes], at: int, flip: int, behind: bytes) -> None:
    """Never an entry that was not appended."""
    data = bytearray(b"".join(map(frame, payloads)) + behind)
    data[at % (len(data) - len(behind))] ^= flip
    found = parse_frames(bytes(data), most=100)
    assert len(found.payloads) < len(payloads)
    assert found.payloads == payloads[: len(found.payloads)]


def test_zeros_are_no_entries() -> None:
    """A file system may leave them where data had no time to be written."""
    found = parse_frames(frame(b"one") + bytes(64), most=100)
    assert (found.payloads, found.bad) == ([b"one"], True)


@given(at=st.integers(0, HEADER_BYTES - 1), flip=st.integers(1, 255))
def test_a_header_is_believed_only_whole(at: int, flip: int) -> None:
    """A header of another version, or a cut or changed one, counts as no header."""
    value = SegmentHeader(1_700_000_000_000_000_000, 5, 7, 8, 9)
    data = bytearray(header(value))
    assert parse_header(bytes(data)) == value
    assert parse_header(bytes(data[:at])) is None
    data[at] ^= flip
    assert parse_header(bytes(data)) is None


@pytest.mark.parametrize("size", [0, (1 << 26) + 1])
def test_an_entry_is_neither_empty_nor_endless(size: int) -> None:
    """Lengths that a reader would not believe are not written."""
    with pytest.raises(ValueError, match=str(size)):
        frame(bytes(size))


def test_what_is_appended_is_read_in_order_over_segments(tmp_path: Path) -> None:
    """Also while more is appended. A segment is removed when all its entries were used; only the user can read the file."""
    file = spool(tmp_path)
    wanted = [b"%d" % number * 40 for number in range(1, 501)]
    for start in range(0, 250, 5):
        assert file.append(wanted[start : start + 5])
    place = file.next_stretch()
    assert place is not None
    file.advance(first := place.read(10, 10_000))
    for start in range(250, 500, 5):
        assert file.append(wanted[start : start + 5])
    assert (first.payloads, file.unread) == (wanted[:10], 490)
    assert rest(file) == (wanted[10:], 0)
    paths = sorted((tmp_path / "spool").iterdir())
    assert len(paths) > 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert file.size == sum(path.stat().st_size for path in paths)
    file.discard_to(250)
    assert 0 < len(sorted((tmp_path / "spool").iterdir())) < len(paths)
    file.discard_to(500)
    assert not file.exists()
    assert file.size == 0
    file.append([b"again"])
    assert rest(file) == ([b"again"], 0)
    file.close()


def test_an_entry_larger_than_a_read_is_read(tmp_path: Path) -> None:
    """The limit of a read does not limit the size of an entry."""
    file = spool(tmp_path)
    file.append([b"x" * 5_000, b"y"])
    assert rest(file) == ([b"x" * 5_000, b"y"], 0)
    file.close()


def test_the_bound_holds(tmp_path: Path) -> None:
    """A block is there wholly or not at all; there is room again once a segment was used."""
    file = spool(tmp_path)
    written = 0
    while file.append([b"z" * 500] * 3):
        written += 3
    held = sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    assert SMALL - 2_000 < held <= SMALL
    payloads, lost = rest(file)
    assert (len(payloads), lost) == (written, 0)
    assert not file.append([b"z" * 500] * 3)
    file.discard_to(10)
    assert file.append([b"z" * 500] * 3)
    file.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second process gets an error until the first one has closed the spool; then it finds the entries."""
    first, second = spool(tmp_path), SpoolDirectory(tmp_path / "spool", SMALL)
    first.append([b"one"])
    with pytest.raises(BlockingIOError):
        second.open()
    first.close()
    assert second.open()
    assert rest(second) == ([b"one"], 0)
    second.close()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk becomes full in the middle of a block: the part that was written is cut off, and later blocks are complete."""
    file = spool(tmp_path)
    file.append([b"one"])
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        if len(data) > 20:
            return real(fd, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        file.append([b"t" * 100, b"w" * 100])
    monkeypatch.setattr(os, "write", real)
    file.append([b"two"])
    file.close()
    again = spool(tmp_path)
    assert (again.unread, again.torn) == (2, 0)
    assert rest(again) == ([b"one", b"two"], 0)
    again.close()


@settings(max_examples=60, deadline=None)
@given(blocks=BLOCKS, which=st.integers(0), at=st.integers(0), flip=st.integers(0, 255), behind=st.lists(st.binary(min_size=1), max_size=3))
def test_whatever_is_damaged_what_is_read_was_appended(
    blocks: list[list[bytes]], which: int, at: int, flip: int, behind: list[bytes]
) -> None:
    """A flipped byte, or with `flip` 0 a cut, in any segment: a part of what was appended, in order, and the number lost is exact.

    But for the last segment of a process that is gone: there only the bytes are known. What a successor appends is read after it.
    """
    with tempfile.TemporaryDirectory() as name:
        file = spool(Path(name))
        written = [block for block in blocks if file.append(block)]
        file.close()
        paths = sorted(Path(name, "spool").iterdir())
        hurt = paths[which % len(paths)] if paths else None
        if hurt is not None:
            data = bytearray(hurt.read_bytes())
            if flip:
                data[at % len(data)] ^= flip
            else:
                del data[at % len(data) :]
            hurt.write_bytes(data)

        again = spool(Path(name))
        assert not behind or again.append(behind) or again.size > SMALL - 1_000
        payloads, lost = rest(again)
        again.close()
    all_ = [payload for block in written for payload in block]
    got = payloads[: len(payloads) - len(behind)] if behind and payloads[-len(behind) :] == behind else payloads
    if hurt is None:
        assert got == all_
    elif hurt == paths[-1]:
        assert lost == 0
        assert got == all_[: len(got)]
        assert again.torn or len(got) == len(all_) or not flip
    else:
        assert len(got) + lost == len(all_)
        kept = [got[:start] + got[start:] for start in range(len(got) + 1) if got == all_[:start] + all_[start + lost :]]
        assert kept, "what is lost is one stretch"
