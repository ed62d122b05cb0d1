"""Lists, reads, writes and deletes the files of a history: in a folder of the disk, or in an S3 bucket.

Files are never changed: a name is written once, and belongs to whoever wrote it first. All methods block. They raise `HistoryError`, which
names the file or folder and says what to do; `FileNotFoundError` where one that was listed is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec
import pyarrow.fs as pafs

from crosstape.errors import HistoryError
from crosstape.runtime.group_files import share_with_group

HIDDEN: Final = "."
"""What a name begins with that is not, or not yet, part of the history."""
PART: Final = ".part-"
"""What the name of a file begins with while it is written."""


ATTEMPTS: Final = 5
"""How often a file is written whose folder is removed meanwhile."""


class Found(msgspec.Struct, frozen=True):
    """A file of a folder."""

    name: str
    """Relative to the folder, with `/`."""
    size: int
    changed_ts: int
    """When it got this name, by the clock of the disk or bucket; ns since the epoch."""


class Folder(Protocol):
    """The files of a history."""

    @property
    def url(self) -> str:
        """Where it is, for people: a path or `s3://BUCKET/PREFIX`."""
        ...

    @property
    def local_path(self) -> str:
        """The folder on the disk; empty: it is not on the disk."""
        ...

    def files(self, prefix: str = "") -> list[Found]:
        """Returns all files whose name begins with `prefix`, a folder below this one (`trade/`), by name. None: it does not exist yet."""
        ...

    def put(self, name: str, data: bytes) -> bool:
        """Writes a file under a name that is free. Returns False where the name is taken. It is on the disk, or in the bucket, then.

        When it raises, the file may be there or not, or come later.
        """
        ...

    def copy(self, source: str, target: str) -> None:
        """Gives a file a second name."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Deletes files, in this order. One that is not there is no error."""
        ...

    def leftovers(self) -> list[Found]:
        """Returns what processes left that were killed while they wrote; it is not in `files`."""
        ...

    def read(self, name: str) -> bytes:
        """Returns the content of a small file."""
        ...

    def file_system(self) -> pafs.FileSystem:
        """Returns what pyarrow reads the files with, by their names."""
        ...


class LocalFolder:
    """A folder of the disk. It is made when it is first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._synced: set[Path] = set()

    @property
    def url(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def local_path(self) -> str:
        """The path."""
        return str(self.path)

    def files(self, prefix: str = "") -> list[Found]:
        """See `Folder`."""
        with _named("read", self.path / prefix):
            return sorted((found for found in self._walk(prefix.rstrip("/")) if not _is_hidden(found.name)), key=lambda found: found.name)

    def put(self, name: str, data: bytes) -> bool:
        """See `Folder`. The bytes go to a hidden file first, and to the disk; then the name is made, which only one process can."""
        path = self.path / name
        with _named("written", path):
            for _ in range(ATTEMPTS - 1):
                with contextlib.suppress(FileNotFoundError):  # the folder has just been removed: see `delete`
                    return self._put(path, data)
            return self._put(path, data)

    def copy(self, source: str, target: str) -> None:
        """See `Folder`: a hard link."""
        path = self.path / target
        with _named("written", path):
            self._make(path.parent)
            _link(self.path / source, path)

    def delete(self, names: Iterable[str]) -> None:
        """See `Folder`. Folders that are empty then go, too."""
        for name in names:
            path = self.path / name
            with _named("deleted", path):
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it is not empty, or another process was faster
                    path.parent.rmdir()

    def read(self, name: str) -> bytes:
        """See `Folder`."""
        with _named("read", self.path / name):
            return (self.path / name).read_bytes()

    def leftovers(self) -> list[Found]:
        """See `Folder`."""
        with _named("read", self.path):
            return [found for found in self._walk("") if found.name.rpartition("/")[2].startswith(PART)]

    def file_system(self) -> pafs.FileSystem:
        """See `Folder`."""
        return pafs.SubTreeFileSystem(str(self.path), pafs.LocalFileSystem(use_mmap=False))

    def _walk(self, prefix: str) -> Iterator[Found]:
        try:
            entries = os.scandir(self.path / prefix)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            if self.path.is_dir():  # a file with the name of a kind; else the history itself is said to be in a file
                return
            raise
        with entries:
            for entry in entries:
                name = f"{prefix}/{entry.name}" if prefix else entry.name
                try:
                    if entry.is_dir():
                        yield from self._walk(name)
                    else:
                        status = entry.stat()
                        # Of a file that was written, when it got its name; a copy of it has the time of the first for `st_mtime`.
                        yield Found(name, status.st_size, status.st_ctime_ns)
                except FileNotFoundError:  # another process has deleted it meanwhile
                    continue

    def _put(self, path: Path, data: bytes) -> bool:
        self._make(path.parent)
        part = path.with_name(f"{PART}{path.name}-{secrets.token_hex(8)}")
        try:
            number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                _write(number, data)
                os.fsync(number)
            finally:
                os.close(number)
            share_with_group(part)
            return _link(part, path)
        finally:
            part.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """Makes a folder, with the rights that the user's umask gives, and forces its name to the disk.

        Its name may be on the disk already, or only just made by another process: so it is forced there once by each of them.
        """
        if folder in self._synced and folder.is_dir():
            return
        if not folder.is_dir():
            if not folder.parent.is_dir():
                self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            share_with_group(folder)
        _sync(folder.parent)
        self._synced.add(folder)


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name. Returns False where it is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        # A file server that lost its first answer does the same again, and finds what it made.
        if not _is_same(source, target):
            return False
    except OSError as exc:
        if exc.errno in {errno.EPERM, errno.ENOTSUP, errno.EMLINK}:
            raise HistoryError(
                f"{target}: the file system cannot give a file a second name (hard link), by which each commit is written once: "
                "choose a folder on another one"
            ) from exc
        raise
    _sync(target.parent)
    return True


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.write(number, view)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def _sync(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder above ours that we may not read: we did not make it
        return
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _is_hidden(name: str) -> bool:
    return any(part.startswith(HIDDEN) for part in name.split("/"))


REMEDIES: Final[dict[int, str]] = {
    errno.ENOSPC: "the disk is full: make room, keep less (recorder.keep_days, recorder.keep_bytes), or choose another folder",
    errno.EDQUOT: "the quota is used up: make room, keep less (recorder.keep_days, recorder.keep_bytes), or choose another folder",
    errno.EACCES: "give this user the right to it, or set recorder.store (CROSSTAPE_RECORDER__STORE) to another folder",
    errno.EPERM: "give this user the right to it, or set recorder.store (CROSSTAPE_RECORDER__STORE) to another folder",
    errno.EROFS: "it is mounted to be read only: set recorder.store (CROSSTAPE_RECORDER__STORE) to another folder",
    errno.EMFILE: "this process has too many files open: raise its limit (ulimit -n)",
}


@contextlib.contextmanager
def _named(verb: str, path: Path) -> Iterator[None]:
    """Names the file in an error of the system, and what to do. A file that is gone stays `FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        remedy = REMEDIES.get(exc.errno or 0)
        raise HistoryError(f"{path}: cannot be {verb}: {exc.strerror or exc}{f'; {remedy}' if remedy else ''}") from exc
