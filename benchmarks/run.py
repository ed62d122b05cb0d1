"""Runs the small benchmarks once, or compares this tree with another revision.

    make bench                                                           each once, in less than a minute; prints JSON lines
    make bench ARGS='--against main~20'                                  seven pairs of each; prints a table of ratios
    make bench ARGS='connector aggregator --against v0.1.0 --pairs 3'
    make bench ARGS='connector --against main -- --count 400000'         with its own options, behind two dashes

A pair is a run of this tree and one of the other, the second pair begins with the other one, and so on: what slows the machine for a while
slows both. A ratio is ours / theirs. It prints the median of the pairs' ratios, the least and the greatest. Both trees are measured by the
scripts of this one. A script that needs what the other tree does not have cannot compare it, says so, and the next one is run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Final

import comparison
import harness
import interpreter
import tree

SMALL: Final = {
    "connector": ("--count", "50000"),
    "aggregator": ("--events", "100000", "--instruments", "10", "200"),
    "latency": ("--rate", "2000", "--seconds", "2"),
    "server": ("--shapes", "20x50", "20x1"),
    "scale": ("--seconds", "1", "--instruments", "20", "1000"),
    "memory": ("--instruments", "20"),
    "book": ("--updates", "5000", "--runs", "2"),
    "gateway": ("--clients", "200", "--seconds", "1", "--only", "gathered"),
    "recorded_rows": ("--rows", "10000", "--rounds", "3", "--merged", "2"),
    "recorder": ("--trades", "100000", "--rounds", "1"),
    "history": ("--trades", "100000", "--rounds", "2"),
}
"""The options of each benchmark of the small set."""
PAIRS: Final = 7
LIMIT_S: Final = 1_800.0
LACKS: Final = ("ImportError", "ModuleNotFoundError", "AttributeError", "TypeError")
"""How a script ends in a tree that lacks what it calls."""
INFO: Final = "[info "
"""In each line of a log that tells of no trouble."""


class NotComparable(Exception):
    """The other tree lacks what the benchmark needs."""


class RunFailed(Exception):
    """A run ended with an error, which standard error shows."""


def command(name: str, options: Sequence[str] | None) -> list[str]:
    """Returns the script of a benchmark with its options: the given ones, else those of the small set."""
    return [str(harness.HERE / f"{name}.py"), *(SMALL.get(name, ()) if options is None else options)]


def once(where: tree.Tree, script: Sequence[str]) -> dict[str, float]:
    """Run a benchmark with the packages of a tree; returns its figures.

    Raises NotComparable if it ends because the other tree lacks what it needs, RunFailed if it fails in another way.
    """
    try:
        done = subprocess.run(
            (where.python, *script), env=where.environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise RunFailed(f"it did not end within {LIMIT_S:.0f} s") from exc
    if not done.returncode:
        return comparison.figures(done.stdout.splitlines())
    lines = [line.strip(" |+-") for line in done.stderr.splitlines()]
    lacks = next((line for line in reversed(lines) if line.startswith(LACKS)), "")
    if lacks and where != tree.ours():
        raise NotComparable(lacks)
    print(done.stderr, file=sys.stderr, flush=True)
    raise RunFailed(f"it failed in {where.folder}")


def shown(script: Sequence[str]) -> int:
    """Run a benchmark, whose figures go to standard output; returns its exit code. What services log of their work is not shown."""
    with tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run((sys.executable, *script), env=tree.ours().environment(), stderr=errors, check=False)
        finally:
            errors.seek(0)
            sys.stderr.writelines(line for line in errors if INFO not in line)
    return done.returncode


def compare(name: str, script: Sequence[str], other: tree.Tree, pairs: int, *, as_json: bool) -> bool:
    """Compare one benchmark in both trees, and print its table or its JSON line. Returns whether no run failed."""
    here: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    try:
        for pair in range(pairs):
            both = [(tree.ours(), here), (other, there)]
            for where, runs in both[:: -1 if pair % 2 else 1]:
                runs.append(once(where, script))
            print(f"{name}: pair {pair + 1} of {pairs}", file=sys.stderr, flush=True)
    except (NotComparable, RunFailed) as exc:
        what = "not comparable" if isinstance(exc, NotComparable) else "failed"
        print(json.dumps({"benchmark": name, what: str(exc)}) if as_json else f"\n{name}: {what}: {exc}", flush=True)
        return isinstance(exc, NotComparable)
    rows, lacking = comparison.compared(here, there), comparison.missing(here, there)
    if as_json:
        found = {row.name: {key: round(value, 4) for key, value in zip(row._fields[1:], row[1:], strict=True)} for row in rows}
        print(json.dumps({"benchmark": name, "pairs": pairs, "figures": found, "not comparable": lacking}), flush=True)
    else:
        print(
            f"\n{name}: {comparison.meaning(pairs)}",
            *comparison.table(rows),
            *(f"{each}: not comparable" for each in lacking),
            sep="\n",
            flush=True,
        )
    return True


def main() -> None:
    """Run or compare the chosen benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of benchmarks, as their files; none: the small set")
    parser.add_argument("--against", default="", metavar="REV", help="a git revision to compare with")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of runs, with --against")
    parser.add_argument("--json", action="store_true", help="with --against: JSON lines in place of tables")
    arguments, dashes, behind = sys.argv[1:], "--" in sys.argv[1:], None
    if dashes:
        at = arguments.index("--")
        arguments, behind = arguments[:at], arguments[at + 1 :]
    options = parser.parse_args(arguments)
    names = options.names or list(SMALL)
    if unknown := [name for name in names if not (harness.HERE / f"{name}.py").exists()]:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    if behind is not None and len(names) != 1:
        parser.error("options behind -- need the name of one benchmark")
    print(json.dumps(interpreter.described()), flush=True)
    if not options.against:
        for name in names:
            if code := shown(command(name, behind)):
                raise SystemExit(code)
        return
    with tree.of_revision(options.against) as other:
        good = [compare(name, command(name, behind), other, options.pairs, as_json=options.json) for name in names]
    if not all(good):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
