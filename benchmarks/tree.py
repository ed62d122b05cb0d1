"""Makes a tree of another revision, with an environment in which the benchmarks run with its packages."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
LOCK = "requirements.lock"
MAKE_S = 900.0


class Tree(NamedTuple):
    """A folder with the project's packages, and the interpreter that runs them."""

    folder: Path
    python: str

    def environment(self) -> dict[str, str]:
        """Returns the variables of a process that imports this tree's packages and no others' of this name."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())
        folders = project["tool"]["hatch"]["build"]["dev-mode-dirs"]
        return os.environ | {"PYTHONPATH": os.pathsep.join(str(self.folder / name) for name in folders)}

    def check(self) -> None:
        """End the program if the environment's packages are not this tree's."""
        command = (self.python, "-c", "import crosstape, crosstape_cli; print(crosstape.__file__)")
        done = subprocess.run(command, env=self.environment(), stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode or not Path(done.stdout.strip()).is_relative_to(self.folder):
            raise SystemExit(f"bench: {self.python} does not import the packages of {self.folder}")


def ours() -> Tree:
    """Returns the tree that these benchmarks are of."""
    return Tree(ROOT, sys.executable)


@contextlib.contextmanager
def of_revision(revision: str) -> Iterator[Tree]:
    """Yields the tree of a git revision in a temporary folder. Ends the program if there is no such revision.

    If its lock file is ours, our environment serves it: the packages are those on PYTHONPATH. Otherwise it gets an environment of its own,
    which takes about a minute.
    """
    archive = subprocess.run(("git", "archive", "--format=tar", revision), cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"bench: git knows no revision {revision}: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="crosstape-bench-tree-") as name:
        folder = Path(name).resolve()
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later; Debian 12 has 3.11.2
            tar.extractall(folder)
        if (folder / LOCK).read_bytes() == (ROOT / LOCK).read_bytes():
            python = sys.executable
        else:
            print(f"{revision} has another {LOCK}: making an environment for it", file=sys.stderr, flush=True)
            command = ("make", "-C", str(folder), ".venv/.ready", f"PYTHON={sys.executable}")
            subprocess.run(command, stdout=sys.stderr, timeout=MAKE_S, check=True)
            python = str(folder / ".venv" / "bin" / "python")
        found = Tree(folder, python)
        found.check()
        yield found
