"""Writes the skeleton of a new venue: `make new-venue NAME=cryptocom`. What is left to do then, the contract tests say.

It writes the connector's folder, the simulator's file, the test folder, and the line in the connector's registry.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SKELETON: Final = Path(__file__).parent / "skeleton"
CONNECTOR: Final = "services/crosstape_connector/venues"
TESTS: Final = "tests/connector/venues"
FILES: Final = {
    f"{CONNECTOR}/__ID__/__init__.py": "connector_init",
    f"{CONNECTOR}/__ID__/stream.py": "connector_stream",
    f"{CONNECTOR}/__ID__/rest.py": "connector_rest",
    "services/crosstape_simulator/venues/__ID__.py": "simulator",
    f"{TESTS}/__ID__/evidence.py": "evidence",
    f"{TESTS}/__ID__/test___ID__.py": "test",
}
"""Path → the template of it, in `skeleton`."""
EMPTY: Final = tuple(f"{TESTS}/__ID__/{name}.jsonl" for name in ("frames", "rest", "expected"))
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
LINE: Final = 140
"""Longest line, as the formatter has it."""


class NewVenueError(Exception):
    """The skeleton cannot be written; nothing was."""


def write(name: str, root: Path = ROOT) -> list[Path]:
    """Write the skeleton of the venue of this id; the files. Raises `NewVenueError` if the name is no id, or the venue is there already."""
    if not NAME.fullmatch(name):
        raise NewVenueError(f"{name!r} is no venue's id: lower-case letters, digits and _ only, a letter first")
    texts = {path: (SKELETON / f"{template}.txt").read_text() for path, template in FILES.items()} | dict.fromkeys(EMPTY, "")
    made = {root / _filled(path, name): _filled(text, name) for path, text in texts.items()}
    if there := [str(path.relative_to(root)) for path in made if path.exists()]:
        raise NewVenueError(f"{name} is there already: {', '.join(there)}")
    registry = root / CONNECTOR / "registry.py"
    registered = _registered(registry.read_text(), name)
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    registry.write_text(registered)
    return [*made, registry]


def _filled(text: str, name: str) -> str:
    return text.replace("__ID__", name).replace("__TITLE__", name.replace("_", " ").title())


def _registered(text: str, name: str) -> str:
    """The registry's text with the venue's import and entry, in the order of the alphabet."""
    found = re.search(r"^from crosstape_connector\.venues import (?:([\w, ]+)|\(([\w,\s]+)\))$", text, re.MULTILINE)
    entries = re.search(r"\(\n((?: +\w+\.\w+,\n)+) +\)", text)
    if found is None or entries is None:
        raise NewVenueError(f"{CONNECTOR}/registry.py has not the form that is known: add the venue by hand")
    names = sorted({*re.findall(r"\w+", found[1] or found[2]), name})
    imported = f"from crosstape_connector.venues import {', '.join(names)}"
    if len(imported) > LINE:
        imported = "\n".join(("from crosstape_connector.venues import (", *(f"    {one}," for one in names), ")"))
    tables = sorted([*re.findall(r"\w+\.\w+", entries[1]), f"{name}.VENUE"], key=lambda table: table.partition(".")[0])
    text = text.replace(entries[1], "".join(f"        {table},\n" for table in tables))
    return text.replace(found[0], imported)


def main() -> None:
    """The command: prints what was written, and what to do next."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        files = write(name)
    except NewVenueError as exc:
        raise SystemExit(f"new-venue: {exc}") from exc
    for path in files:
        print(path.relative_to(ROOT))  # noqa: T201
    print(f"\nNext: docs/how-to/add-a-venue.md, and\n    .venv/bin/python -m pytest -q {TESTS}/test_contract.py -k {name}")  # noqa: T201


if __name__ == "__main__":
    main()
