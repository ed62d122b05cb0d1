"""Commands that the documentation shows exist: of compose in the old program in Python and in today's, of ours with these options."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from crosstape_cli.main import COMMANDS, build
from tests.deploy.composed import BUNDLED

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "compose.yaml", ".env.example", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md")))]

GLOBAL = {"-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--project-directory"}
"""Options that stand before the command, in both programs."""

OLD = {
    "build": {"--build-arg", "--no-cache", "--pull", "--quiet", "-q"},
    "config": {"--services", "--volumes", "--quiet", "-q"},
    "down": {"--rmi", "--remove-orphans", "--volumes", "-v", "--timeout", "-t"},
    "exec": {"--detach", "-d", "--env", "-e", "--index", "--user", "-u", "--workdir", "-w", "-T"},
    "kill": {"-s"},
    "logs": {"--follow", "-f", "--no-color", "--no-log-prefix", "--tail", "--timestamps", "-t"},
    "ps": {"--all", "-a", "--filter", "--quiet", "-q", "--services"},
    "pull": {"--quiet", "-q"},
    "restart": {"--timeout", "-t"},
    "rm": {"--force", "-f", "--stop", "-s", "-v"},
    "run": {"--detach", "-d", "--entrypoint", "-e", "--no-deps", "--publish", "-p", "--rm", "--user", "-u", "--volume", "-v", "-T"},
    "start": set(),
    "stop": {"--timeout", "-t"},
    "up": {"--build", "--detach", "-d", "--force-recreate", "--no-build", "--no-deps", "--no-recreate", "--no-start", "--scale",
           "--remove-orphans", "--timeout", "-t"},
}  # fmt: skip
"""Commands of docker-compose 1.29.2, and those of their options that we may need, from its own help. It has no `cp`."""

SHOWN = re.compile(r"(?:docker compose|docker-compose)((?: +(?!-> )[^\s`#()|&;,]+)+)")


def shown() -> Iterator[tuple[str, list[str]]]:
    """Yields the page and the words after `docker compose` of each command that is shown, in a block or within a sentence."""
    for page in PAGES:
        for line in (ROOT / page).read_text().splitlines():
            for found in SHOWN.finditer(line.partition(" # ")[0] if line.startswith("docker") else line):
                sentence_end = re.sub(r"(?<=\w)\.(?: .*)?$", "", found[1])
                words = shlex.split(sentence_end.replace("'", ""))
                if words[0].startswith("-") or words[0] in OLD or f"`{found[0]}`" in line or line.startswith("docker"):
                    yield page, words


def split(words: list[str]) -> tuple[set[str], str, set[str]]:
    """Options before the command, the command, and its own options; what `exec` and `run` are given to run is not looked at."""
    before: set[str] = set()
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        before.add(option.partition("=")[0])
        if "=" not in option:
            rest.pop(0)
    command = rest.pop(0) if rest else ""
    own: set[str] = set()
    for word in rest:
        if word.startswith("-"):
            own.add(word.partition("=")[0])
        elif command in {"exec", "run"}:
            break
    return before, command, own


@functools.cache
def help_of(command: str) -> str:
    """Returns the help of a command from the installed program."""
    return subprocess.run([str(BUNDLED), command, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout


def test_what_is_shown_is_found() -> None:
    """Commands in blocks and in sentences; else the tests below would look at nothing."""
    found = list(shown())

    assert len(found) > 30
    assert ("docs/how-to/deploy.md", ["--profile", "demo", "up", "-d", "--build"]) in found
    assert ("docs/how-to/operate.md", ["kill", "-s", "HUP", "connector-kraken"]) in found
    assert split(["--profile", "demo", "exec", "-T", "demo-redis", "redis-cli", "-p", "1"]) == ({"--profile"}, "exec", {"-T"})


@pytest.mark.parametrize(("page", "words"), [pytest.param(page, words, id=f"{page}: {' '.join(words)}") for page, words in shown()])
def test_the_old_compose_has_it(page: str, words: list[str]) -> None:
    """`docker-compose` 1.29, which the how-to names as one that will do."""
    before, command, own = split(words)

    assert before <= GLOBAL
    assert command in OLD, f"{page}: docker-compose 1.29 has no {command}"
    assert own <= OLD[command], f"{page}: docker-compose 1.29 has no {command} {' '.join(own - OLD[command])}"


@pytest.mark.skipif(not BUNDLED.exists(), reason="today's compose is not among the tools here")
@pytest.mark.parametrize(("page", "words"), [pytest.param(page, words, id=f"{page}: {' '.join(words)}") for page, words in shown()])
def test_todays_compose_has_it(page: str, words: list[str]) -> None:
    """The command's own help has the option."""
    _, command, own = split(words)

    known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", help_of(command)))
    assert own <= known, f"{page}: docker compose has no {command} {' '.join(own - known)}"


@pytest.mark.parametrize("option", ["--since", "--until", "-n"])
def test_options_that_only_one_of_them_has_are_refused(option: str) -> None:
    """Commands as they once stood in the pages."""
    with pytest.raises(AssertionError):
        test_the_old_compose_has_it("page", ["logs", option, "10m", "redis"])
    with pytest.raises(AssertionError):
        test_the_old_compose_has_it("page", ["cp", "redis:/data", "."])


OURS = re.compile(r"(?:^|`|\$ |-- )(?:\S*/)?crosstape ((?:" + "|".join(COMMANDS) + r")\b[^`#|&;>]*)", re.MULTILINE)


def ours() -> Iterator[tuple[str, list[str]]]:
    """Yields the page and the words after `crosstape` of each of our commands that is shown with its options."""
    for page in PAGES:
        if page != "docs/reference/commands.md":
            for found in OURS.finditer((ROOT / page).read_text()):
                line = found[1].partition("\n")[0]
                yield page, line.split()


@pytest.mark.parametrize(("page", "words"), [pytest.param(page, words, id=f"{page}: {' '.join(words)}") for page, words in ours()])
def test_our_command_has_it(page: str, words: list[str]) -> None:
    """The command's own help has the option."""
    app: App = build()[words[0]]
    known = {name for argument in app.assemble_argument_collection(parse_docstring=False) for name in argument.names}

    options = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    assert options <= known | {"--help"}, f"{page}: crosstape {words[0]} has no {' '.join(options - known)}"
