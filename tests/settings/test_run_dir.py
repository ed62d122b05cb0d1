"""The run directory: private to the user, or refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from crosstape.errors import SettingsError
from crosstape.run_dir import run_dir
from crosstape.settings import RunSettings


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


def test_one_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """And left as it is: it may be `/tmp`."""
    tmp_path.chmod(0o777)

    with pytest.raises(SettingsError, match="others may write to it"):
        run_dir(RunSettings(dir=str(tmp_path)), {})

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


def test_one_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """With the setting's name."""
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"run.dir = .*file: cannot be made"):
        run_dir(RunSettings(dir=str(tmp_path / "file")), {})


def test_one_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could change it at any time."""
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)

    with pytest.raises(SettingsError, match="belongs to another user"):
        run_dir(RunSettings(dir=str(tmp_path)), {})
