"""Expands names of files as people write them: `~` is the home directory."""

from __future__ import annotations

from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Returns the path with its `~` replaced. Raises `ValueError` if there is no such home: no HOME, and no entry in the user database."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: there is no such home directory (HOME is not set); give an absolute path") from None
