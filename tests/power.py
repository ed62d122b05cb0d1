"""A server's machine that loses power: of what the server had written to its file, the newest part was never on the disk.

A killed process loses nothing that it gave to the system, so that losing power is that and a shorter file.
"""

from __future__ import annotations

import os
from pathlib import Path


def written(run_dir: Path) -> int:
    """Bytes in the file that the server of this directory appends to."""
    return _file(run_dir).stat().st_size


def forget(run_dir: Path, size: int) -> None:
    """Of one that does not run: leave it so many bytes of that file, whatever ends there in the middle."""
    os.truncate(_file(run_dir), size)


def _file(run_dir: Path) -> Path:
    (path,) = (run_dir / "appendonlydir").glob("*.incr.aof")
    return path
