"""The runner tells a tree that lacks something from a benchmark that failed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import harness
import pytest
import run
import tree

SCRIPT = """
import asyncio, json, sys
async def main():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(part())
async def part():
    {fails}
asyncio.run(main())
"""


def script(folder: Path, fails: str) -> list[str]:
    """Returns the command of a benchmark that runs this line in a task."""
    path = folder / "script.py"
    path.write_text(SCRIPT.format(fails=fails))
    return [str(path)]


def other(folder: Path) -> tree.Tree:
    """Returns a tree with our packages and another name."""
    project = folder / "pyproject.toml"
    project.write_text('[tool.hatch.build]\ndev-mode-dirs = ["services"]\n')
    return tree.Tree(folder, sys.executable)


def test_what_the_other_tree_lacks_is_not_comparable(tmp_path: Path) -> None:
    """The reason is the error's line, also of an error in a group of tasks."""
    with pytest.raises(run.NotComparable, match="ModuleNotFoundError: No module named 'crosstape_new'"):
        run.once(other(tmp_path), script(tmp_path, "import crosstape_new"))


def test_the_same_error_in_our_tree_is_a_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ours has all that our scripts need. The error is shown."""
    with pytest.raises(run.RunFailed):
        run.once(tree.ours(), script(tmp_path, "import crosstape_new"))
    assert "crosstape_new" in capfd.readouterr().err


def test_a_benchmark_that_ends_with_an_error_has_failed(tmp_path: Path) -> None:
    """It is no sign of what a tree lacks."""
    with pytest.raises(run.RunFailed):
        run.once(other(tmp_path), script(tmp_path, "sys.exit('it published nothing')"))


def test_figures_are_those_of_the_output(tmp_path: Path) -> None:
    """Logs beside them are ignored."""
    assert run.once(tree.ours(), script(tmp_path, "print('12:00 started'); print(json.dumps({'us': 2}))")) == {"us": 2.0}


def test_every_small_benchmark_is_there_and_knows_its_options() -> None:
    """`make bench` runs each; a renamed option would end it."""
    for name, options in run.SMALL.items():
        text = (harness.HERE / f"{name}.py").read_text()
        assert [option for option in options if option.startswith("--") and f'"{option}"' not in text] == [], name


def test_what_services_log_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """But their warnings are, and the exit code is the script's."""
    path = tmp_path / "script.py"
    path.write_text("import sys\nsys.stderr.write('12:00 [info     ] started\\n12:00 [warning  ] late\\n')\nsys.exit(3)\n")

    assert run.shown([str(path)]) == 3
    assert capsys.readouterr().err == "12:00 [warning  ] late\n"


@pytest.mark.slow
def test_a_comparison_prints_its_ratios(tmp_path: Path) -> None:
    """A whole run of the command, of the shortest benchmark against the present revision."""
    command = (sys.executable, str(harness.HERE / "run.py"), "book", "--against", "HEAD", "--pairs", "2", "--json", "--", "--updates", "50")
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    machine, found = map(json.loads, done.stdout.splitlines())

    assert machine["python"]
    assert found["pairs"] == 2
    assert found["figures"]["us_per_update"]["least"] <= found["figures"]["us_per_update"]["ratio"]
