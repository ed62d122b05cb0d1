"""The environment that `make` installs: what a target waits for, and what is begun again. A script notes what is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.engine import ROOT

FILES = ("Makefile", ".ci/make-venv", "requirements.lock", "docker/run.lock", "docker/build.lock", "pyproject.toml")

PYTHON = """#!/bin/sh
# Makes an environment that has only this script, and notes what pip would install. Fails where the file `fails` names what is asked for.
case "$*" in
-c*) ;;
--version) echo "Python 3.11.0" ;;
"-m venv "*) for dir; do :; done; rm -rf "$dir"; mkdir -p "$dir/bin"; cp "$0" "$dir/bin/python"; echo made >> done ;;
"-m pip "*)
    case "$*" in *run.lock*) what=run ;; *requirements.lock*) what=rest ;; *--editable*) what=project ;; esac
    echo "$what" >> done
    [ "$(cat fails 2>/dev/null)" != "$what" ]
    ;;
"-m crosstape_cli.main "*) echo "ran" >> done ;;
esac
"""

RUN = ["made", "run", "project"]


class Clone:
    """A clone with nothing but what makes its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        (folder / "python").write_text(PYTHON)
        (folder / "python").chmod(0o755)

    def make(self, *arguments: str, fails: str = "") -> list[str]:
        """Run make; what fails is what pip is to fail at. Returns what was done, in order."""
        (self.folder / "done").write_text("")
        (self.folder / "fails").write_text(fails)
        command = ["make", *arguments, f"PYTHON={self.folder / 'python'}"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # `make test` runs us
        ended = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode != 0) == bool(fails), ended.stderr
        return (self.folder / "done").read_text().split()

    def age(self) -> None:
        """Make all files an hour older, in their order."""
        for path in [path for path in self.folder.rglob("*") if path.is_file()]:
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns - 3_600 * 10**9, status.st_mtime_ns - 3_600 * 10**9))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh one."""
    return Clone(tmp_path)


def test_a_first_demo_waits_for_what_runs_alone(clone: Clone) -> None:
    """What tests need is added later, to the same environment; each is installed once."""
    assert clone.make("demo") == [*RUN, "ran"]
    assert clone.make("up") == ["ran"]
    assert clone.make(".venv/.ready") == ["rest"]
    assert clone.make("demo") == ["ran"]
    assert clone.make(".venv/.ready") == []


def test_the_environment_of_a_test_is_that_of_a_run_and_the_rest(clone: Clone) -> None:
    """Also where nothing ran before."""
    assert clone.make(".venv/.ready") == [*RUN, "rest"]


@pytest.mark.parametrize("part", ["run", "project"])
def test_an_interrupted_start_is_begun_again(clone: Clone, part: str) -> None:
    """Nothing that may be half there is used."""
    clone.make("demo", fails=part)
    assert clone.make("demo") == [*RUN, "ran"]


def test_an_interrupted_addition_is_begun_again(clone: Clone) -> None:
    """From the start: a package may be half there. What runs does not wait for that."""
    clone.make(".venv/.ready", fails="rest")
    assert clone.make("demo") == ["ran"]
    assert clone.make(".venv/.ready") == [*RUN, "rest"]


@pytest.mark.parametrize("name", ["requirements.lock", "docker/run.lock", "docker/build.lock", "pyproject.toml"])
def test_what_is_out_of_date_is_made_from_the_start(clone: Clone, name: str) -> None:
    """So that nothing stays that is named no more. A demo remakes only what it needs."""
    clone.make(".venv/.ready")
    clone.age()
    (clone.folder / name).touch()

    assert clone.make("demo") == ([*RUN, "ran"] if name != "requirements.lock" else ["ran"])
    assert clone.make(".venv/.ready") == (["rest"] if name != "requirements.lock" else [*RUN, "rest"])


def test_a_complete_environment_of_before_is_used(clone: Clone) -> None:
    """One that was made when there was one part only has no mark of the first."""
    clone.make(".venv/.ready")
    (clone.folder / ".venv" / ".run").unlink()

    assert clone.make("demo") == ["ran"]
    assert clone.make(".venv/.ready") == []
