"""Another revision is measured with its own packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tree


def test_a_revision_is_imported_from_its_own_folder() -> None:
    """Its folder is temporary, its packages come before those that our environment has installed, and our own are untouched."""
    with tree.of_revision("HEAD") as other:
        command = (other.python, "-c", "import crosstape_schemas, crosstape_cli; print(crosstape_schemas.__file__, crosstape_cli.__file__)")
        found = subprocess.run(command, env=other.environment(), stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        assert all(Path(file).is_relative_to(other.folder) for file in found)
        tree.ours().check()

    assert not other.folder.exists()


def test_an_environment_with_other_packages_is_refused(tmp_path: Path) -> None:
    """A tree whose folders are empty would be measured with our packages."""
    (tmp_path / "pyproject.toml").write_text('[tool.hatch.build]\ndev-mode-dirs = ["services"]\n')

    with pytest.raises(SystemExit, match="does not import the packages"):
        tree.Tree(tmp_path, sys.executable).check()


def test_an_unknown_revision_is_named() -> None:
    """The error says what git was asked for."""
    with pytest.raises(SystemExit, match="no-such-revision"), tree.of_revision("no-such-revision"):
        pass
