"""Shares the files of a run directory with a group: the group may use them as the user may who made them.

Container platforms start us as some user of a group, and the next time as another one. A spool, a lock, or a server's data that only its
maker can open would then be of no use. In a directory that only its user may write to, nothing here changes anything.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crosstape.errors import StorageError

SERVER_UMASK: Final = 0o027
"""umask of the embedded server in such a directory: the group can read what it writes, and nobody else can."""


def is_shared(directory: os.stat_result) -> bool:
    """Whether a group that we are in may write to this directory, and not everyone."""
    mode = directory.st_mode
    return bool(mode & stat.S_IWGRP) and not mode & stat.S_IWOTH and directory.st_gid in {os.getegid(), *os.getgroups()}


def share_with_group(path: Path) -> None:
    """Give the group that may write to the file's directory the same rights to the file as we have. A file that is not ours stays as it is.

    Where the file system refuses that, only we can use the file.
    """
    with contextlib.suppress(OSError):
        parent, found = path.parent.stat(), path.lstat()
        if not is_shared(parent) or found.st_uid != os.geteuid() or stat.S_ISLNK(found.st_mode):
            return
        mode = stat.S_IMODE(found.st_mode)
        wanted = mode | (mode & stat.S_IRWXU) >> 3 | (stat.S_ISGID if stat.S_ISDIR(found.st_mode) else 0)
        if found.st_gid != parent.st_gid:
            os.chown(path, -1, parent.st_gid)
        elif wanted == mode:
            return
        path.chmod(wanted)


def make_directory(path: Path) -> None:
    """Make the directory, and those above it, with mode 0700 or for the group as well. What exists is not changed. Raises `OSError`."""
    if not path.parent.is_dir():
        make_directory(path.parent)
    if not path.is_dir():
        path.mkdir(mode=0o700, exist_ok=True)
        share_with_group(path)


def check_leftovers(run_dir: Path, name: str) -> None:
    """Raise `StorageError` if an earlier run of another user left something in this sub-directory that we cannot use.

    Files that we left ourselves, as an earlier release did, are given to the group.
    """
    for path in _found(run_dir, run_dir / name):
        share_with_group(path)
        is_directory = path.is_dir()
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK if is_directory else os.R_OK, effective_ids=True):
            try:
                found = path.stat()
            except FileNotFoundError:  # a process that still uses it has removed it
                continue
            verb = "write to" if is_directory else "read"
            raise StorageError(
                f"run.dir = {run_dir}: {path} belongs to another user ({found.st_uid}, group {found.st_gid}; we are {os.geteuid()}, group "
                f"{os.getegid()}), and we may not {verb} it; {remedy(run_dir)}"
            )


def remedy(run_dir: Path) -> str:
    """Says what to do where files of another user cannot be used."""
    found = run_dir.stat()
    if is_shared(found):
        what = f"let its group use what is in it (chgrp -R {found.st_gid} and chmod -R g+rwX)"
    else:
        what = f"make what is in it ours (chown -R {os.geteuid()})"
    return f"{what}, or set run.dir (CROSSTAPE_RUN__DIR) to another directory"


def _found(run_dir: Path, path: Path) -> Iterator[Path]:
    """Yields the directories from the run directory down to this one, and all that is in it; each one after the directory it is in."""
    for above in reversed(path.relative_to(run_dir).parents[:-1]):
        if not (run_dir / above).exists():
            return
        yield run_dir / above
    yield from _tree(path)


def _tree(path: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):  # another of our processes may remove it meanwhile
        if path.exists():
            yield path
            if path.is_dir() and not path.is_symlink():
                for below in sorted(path.iterdir()):
                    yield from _tree(below)
