"""Names of files as people give them: `~` is the home directory, where there is one."""

from __future__ import annotations

from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with its `~` replaced. Raises `ValueError` where nobody has that home: no HOME, and no entry in the user database."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: there is no such home directory (HOME is not set); give an absolute path") from None
