"""The `crosstape` command. Each subcommand is imported when it is used: a connector's process does not load the table of `watch`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from crosstape.errors import CrosstapeError
from crosstape.runtime.exit_codes import Exit, code_of
from crosstape.version import __version__

if TYPE_CHECKING:
    from cyclopts import App

COMMANDS: Final = {
    "demo": "Simulated venues and a consolidated quote, offline: a complete tape on this machine.",
    "up": "Run the live venues of your settings, the aggregator and, if you set none, the server.",
    "watch": "Live table of a running tape: legs and consolidated quotes.",
    "connector": "Run one venue's connector.",
    "aggregator": "Run the aggregator.",
    "simulate": "Serve simulated venues on this machine.",
    "normalize": "Turn a capture of a venue's frames into events, one JSON object per line.",
    "schema": "Print the JSON Schema or the AsyncAPI document of the tape.",
    "health": "Ask a running service whether it is healthy.",
}

RELOADING: Final = frozenset({"up", "connector"})
"""Commands that read their settings again at SIGHUP."""

SERVICES: Final = frozenset({"demo", "up", "watch", "connector", "aggregator", "simulate"})
"""Commands that run until they are stopped."""


def build(*, summaries: bool = True) -> App:
    """The command line. A summary given here would hide the command's own help: they are for the list of commands only."""
    from cyclopts import App  # noqa: PLC0415  # see `_run`

    app = App(
        name="crosstape",
        help="An auditable consolidated tape for crypto: venues' WebSockets → Redis Streams → one consolidated quote.",
        help_format="plaintext",
        help_epilogue=(
            "Settings: a TOML file (--settings FILE or CROSSTAPE_SETTINGS), then CROSSTAPE_SECTION__KEY variables over it."
            " Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 bus unreachable, 4 superseded, 5 not proven (demo),"
            " 6 no room or permission to write, 7 not on this tape (simulated and live)."
        ),
        version=__version__,
    )
    for order, (name, summary) in enumerate(COMMANDS.items()):
        app.command(f"crosstape_cli.{name}:{name}", name=name, help=summary if summaries else None, sort_key=order)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Mistakes in a command line or a setting are printed on standard error, one line each."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and tokens and tokens[0] in SERVICES:
        _heed_signals(reloading=tokens[0] in RELOADING)
    try:
        done = _run(tokens)
        sys.stdout.flush()
    except CrosstapeError as exc:
        _complain(str(exc))
        return code_of(exc)
    except BrokenPipeError:
        # Who read our output has gone, as `head` does. Standard output must not be flushed into the broken pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return done if isinstance(done, int) else Exit.OK


def _run(tokens: Sequence[str]) -> Any:
    """What the command returns. Its arguments are parsed by cyclopts, which takes longer to load than a health check to be made."""
    if list(tokens) == ["health"]:  # nothing to parse
        from crosstape_cli.health_request import probe  # noqa: PLC0415

        return probe()

    from cyclopts import CycloptsError  # noqa: PLC0415

    try:
        app = build(summaries=not tokens or tokens[0] not in COMMANDS)
        return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as exc:
        command = next((token for token in tokens if token in COMMANDS), "")
        _complain(f"{_one_line(exc)} (see: crosstape {command}{' ' if command else ''}--help)")
        return Exit.USAGE


def _heed_signals(*, reloading: bool) -> None:
    """End at once at a signal that comes before the service runs; then `lifecycle` takes over.

    Loading a service takes a second. By default a signal in it ends us as if by a crash or, as a container's first process, not at all.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(Exit.OK))  # nothing is open yet; an exception could be caught by what is being loaded
    if reloading:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the settings are about to be read


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"crosstape: {line}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
