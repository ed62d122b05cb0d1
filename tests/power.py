"""A server's machine that loses power: of what the server had written to its file, the newest part was never on the disk.

A killed process loses nothing that it gave to the system, so that losing power is that and a shorter file.
"""

from __future__ import annotations

import os
from pathlib import Path

from crosstape.embedded import EmbeddedServer


def written(server: EmbeddedServer) -> int:
    """Bytes in the file that it appends to."""
    return _file(server).stat().st_size


def forget(server: EmbeddedServer, size: int) -> None:
    """Of one that does not run: leave it so many bytes of that file, whatever ends there in the middle."""
    os.truncate(_file(server), size)


def _file(server: EmbeddedServer) -> Path:
    (path,) = (server.run_dir / "appendonlydir").glob("*.incr.aof")
    return path
