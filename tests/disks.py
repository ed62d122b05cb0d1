"""Directories that cannot be written, for real: a full disk, a read-only one, one without permission."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE = 16 * 1024


@contextlib.contextmanager
def small_disk(path: Path, size: int = SIZE) -> Iterator[Path]:
    """A file system of a few KB at `path`, ours alone; the test is skipped where none can be mounted."""
    path.mkdir(parents=True)
    options = f"size={size},mode=700,uid={os.geteuid()}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path) -> Path:
    """Use up the disk at `path`; the file that does, which makes room by being removed."""
    filling = path / "filling"
    with contextlib.suppress(OSError), filling.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filling


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[Path]:
    """One on which there is no room left."""
    with small_disk(path):
        fill(path)
        yield path


@contextlib.contextmanager
def read_only_disk(path: Path) -> Iterator[Path]:
    """One that was mounted so."""
    with small_disk(path):
        subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)
        yield path


@contextlib.contextmanager
def forbidden(path: Path) -> Iterator[Path]:
    """A directory of ours without permission to write. That stops root only in a process begun with `unprivileged`."""
    path.mkdir(parents=True)
    path.chmod(0o500)
    try:
        yield path
    finally:
        path.chmod(0o700)


def unprivileged() -> tuple[str, ...]:
    """What a command begins with, so that permissions count for it, though root runs the tests."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root is not stopped by permissions, and there is no setpriv to make it so")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
