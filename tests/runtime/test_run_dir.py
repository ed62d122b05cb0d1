"""The run directory: private to the user and to be written, or refused."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from crosstape.errors import SettingsError, StorageError
from crosstape.runtime.run_dir import REMEDY, run_dir, try_to_write
from crosstape.settings import RunSettings
from tests.disks import fill, full_disk, read_only_disk, small_disk


def test_it_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """Whoever could write there could plant a socket."""
    made = run_dir(RunSettings(dir=str(tmp_path / "deep" / "run")), {})

    assert made == tmp_path / "deep" / "run"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_by_default_it_lies_where_state_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG: `$XDG_STATE_HOME` if absolute, else `~/.local/state`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert run_dir(RunSettings(), {"XDG_STATE_HOME": str(tmp_path / "state")}) == tmp_path / "state" / "crosstape"
    assert run_dir(RunSettings(), {"XDG_STATE_HOME": "relative"}) == tmp_path / "home" / ".local" / "state" / "crosstape"


def test_within_one_that_everyone_may_write_to_we_have_our_own(tmp_path: Path) -> None:
    """`/tmp` and a Kubernetes `emptyDir` are such directories. They are not changed, and the next start finds the same directory."""
    tmp_path.chmod(0o1777)

    made = run_dir(RunSettings(dir=str(tmp_path)), {})

    assert made == run_dir(RunSettings(dir=str(tmp_path)), {}) == tmp_path / f"crosstape-{os.geteuid()}"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_one_of_ours_that_was_planted_there_is_refused(tmp_path: Path) -> None:
    """Whoever was there first may have left anything."""
    tmp_path.chmod(0o777)
    planted = tmp_path / f"crosstape-{os.geteuid()}"
    planted.mkdir()
    planted.chmod(0o777)

    with pytest.raises(StorageError, match="others may write to it"):
        run_dir(RunSettings(dir=str(tmp_path)), {})


@pytest.mark.parametrize("owner", [0, 1])
def test_one_that_a_group_of_ours_may_write_to_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int) -> None:
    """The volumes of container platforms are such directories, whoever owns them."""
    tmp_path.chmod(0o2775)
    found = tmp_path.stat()
    monkeypatch.setattr("os.geteuid", lambda: found.st_uid + owner)
    monkeypatch.setattr("os.getegid", lambda: found.st_gid + 1)
    monkeypatch.setattr("os.getgroups", lambda: [found.st_gid + 1, found.st_gid])

    assert run_dir(RunSettings(dir=str(tmp_path)), {}) == tmp_path


@pytest.mark.parametrize(
    ("mode", "owner", "complaint"), [(0o770, 0, "others may write"), (0o770, 1, "belongs to"), (0o755, 1, "belongs to")]
)
def test_one_of_another_group_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, complaint: str) -> None:
    """The members of that group could put a socket there; the error says what to set."""
    tmp_path.chmod(mode)
    found = tmp_path.stat()
    monkeypatch.setattr("os.geteuid", lambda: found.st_uid + owner)
    monkeypatch.setattr("os.getegid", lambda: found.st_gid + 1)
    monkeypatch.setattr("os.getgroups", lambda: [found.st_gid + 1])

    with pytest.raises(StorageError, match=rf"run.dir = .*: {complaint}.*{re.escape(REMEDY)}"):
        run_dir(RunSettings(dir=str(tmp_path)), {})


@pytest.mark.parametrize(("given", "complaint"), [("", "run.dir is not set, and this user has no home"), ("~/run", "run.dir = ~/run: ")])
def test_without_a_home_it_must_be_set(given: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose user is a number has no home."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 1_000_680_000)

    with pytest.raises(SettingsError) as caught:
        run_dir(RunSettings(dir=given), {})

    assert str(caught.value).startswith(complaint)
    assert len(str(caught.value).splitlines()) == 1


def test_one_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """The error names the setting."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match=r"run.dir = .*file: cannot be made"):
        run_dir(RunSettings(dir=str(tmp_path / "file")), {})


def test_one_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner could change the directory at any time."""
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)

    with pytest.raises(StorageError, match="belongs to another user"):
        run_dir(RunSettings(dir=str(tmp_path)), {})


def test_a_full_disk_is_found_out(tmp_path: Path) -> None:
    """It is found before anything needs the disk; nothing is left behind, and with free space the directory works."""
    with small_disk(tmp_path / "run") as path:
        filling = fill(path)
        with pytest.raises(StorageError, match=r"run.dir = .*run: cannot be written: No space left on device"):
            run_dir(RunSettings(dir=str(path)), {})
        assert [left.name for left in path.iterdir()] == [filling.name]

        filling.unlink()
        assert run_dir(RunSettings(dir=str(path)), {}) == path
        assert list(path.iterdir()) == []


def test_a_read_only_disk_is_found_out(tmp_path: Path) -> None:
    """Whether the directory is there or would have to be made."""
    with read_only_disk(tmp_path / "run") as path:
        with pytest.raises(StorageError, match=r"cannot be written: Read-only file system"):
            run_dir(RunSettings(dir=str(path)), {})
        with pytest.raises(StorageError, match=r"cannot be made: Read-only file system"):
            run_dir(RunSettings(dir=str(path / "more")), {})


def test_who_writes_nothing_does_not_mind_a_full_disk(tmp_path: Path) -> None:
    """`watch` looks for the server only."""
    with full_disk(tmp_path / "run") as path:
        assert run_dir(RunSettings(dir=str(path)), {}, written=False) == path


def test_a_disk_that_fails_only_when_synced_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network disks report a full quota only then."""

    def fail(_: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(OSError, match="quota"):
        try_to_write(tmp_path)
    assert list(tmp_path.iterdir()) == []
