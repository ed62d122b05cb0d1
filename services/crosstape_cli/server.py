"""The server that a command uses: how it is found, and how users type that they want to look into it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from crosstape.runtime.announced_server import announced, check_embedded, located, with_url

__all__ = ["announced", "check_embedded", "command", "located", "redis_cli", "with_url"]


def redis_cli(url: str) -> str:
    """Returns the `redis-cli` command that connects to this server."""
    return f"redis-cli -s {url.removeprefix('unix://')}" if url.startswith("unix://") else f"redis-cli -u {url}"


def command() -> str:
    """Returns what to type for `crosstape`: its name if it is on the PATH, else the path of the one in this environment."""
    if shutil.which("crosstape"):
        return "crosstape"
    path = Path(sys.executable).with_name("crosstape")
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
