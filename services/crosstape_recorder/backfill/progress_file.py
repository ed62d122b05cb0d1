"""A file that holds which ranges of an instrument's past are in the history: a second run goes on where the first one ended.

It is written after a commit, never before: if it is lost, or older than the history, a run fetches again what it then leaves out as known.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from crosstape.errors import StorageError
from crosstape.runtime.group_files import make_directory, share_with_group
from crosstape_recorder.backfill.spans import Span, merged

FOLDER: Final = "backfill"


class Progress(msgspec.Struct, frozen=True):
    """The content of the file."""

    store: str
    """Which store this is about: a digest of its address, which may hold a password."""
    number: int
    """Of the newest commit that was known: a store with fewer commits is another one at the same address."""
    complete: tuple[Span, ...] = ()


class ProgressFile:
    """The file of one venue, instrument and kind of rows."""

    def __init__(self, run_dir: Path, venue: str, instrument: str, feed: str, store: str) -> None:
        """`feed`: `trade`, `candle:1m`. `store`: address of the history."""
        self.path = run_dir / FOLDER / f"{quote(f'{venue} {instrument} {feed}', safe=' ')}.json"
        self._store = hashlib.sha256(store.encode()).hexdigest()[:16]
        self._complete: list[Span] = []

    def load(self, number: int) -> list[Span]:
        """Return the ranges that are in the history, whose newest commit has this number. A file that cannot be read says nothing."""
        self._complete = []
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found = msgspec.json.decode(self.path.read_bytes(), type=Progress)
            if found.store == self._store and found.number <= number:
                self._complete = merged(found.complete)
        return list(self._complete)

    def add(self, span: Span, number: int) -> None:
        """Note that a range is in the history now, up to its commit `number`. Raises `StorageError`."""
        self._complete = merged([*self._complete, span])
        content = msgspec.json.encode(Progress(self._store, number, tuple(self._complete)))
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            make_directory(self.path.parent)
            part.write_bytes(content)
            share_with_group(part)
            part.replace(self.path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise StorageError(f"run.dir: {self.path}: cannot be written: {exc.strerror}") from exc
