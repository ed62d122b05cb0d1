"""The `crosstape` command. It imports a subcommand's module only when it is used: a connector does not load the table of `watch`."""

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
    "watch": "Live table of a running tape: legs and consolidated quotes, bars, books, edges, candles.",
    "check-bars": "Compare the bars on a tape with the candles that venues publish.",
    "connector": "Run one venue's connector.",
    "aggregator": "Run the aggregator.",
    "gateway": "Serve REST, Server-Sent Events, WebSocket and the dashboard page.",
    "recorder": "Record the tape to files, a bucket or a database; verify what was recorded.",
    "history": "Print what was recorded: events or candles, as JSON lines, CSV or Parquet.",
    "backfill": "Fetch a venue's past trades or candles into the history.",
    "gaps": "List what the recorded history lacks, and whether it can be repaired.",
    "repair": "Fill gaps of the recorded history from the venues.",
    "audit": "Compute again what was published, from the recorded inputs, and compare it digit by digit.",
    "plan": "Show the connections that your settings lead to, without connecting.",
    "probe": "Connect to a venue, record it, and report which claims of its table hold.",
    "venues": "List the venues that there are, what each has, and what of it is proven.",
    "simulate": "Serve simulated venues on this machine.",
    "normalize": "Turn a capture of a venue's frames into events, one JSON object per line.",
    "schema": "Print the JSON Schema, AsyncAPI or OpenAPI document of the tape.",
    "health": "Ask a running service whether it works.",
}

RELOADING: Final = frozenset({"up", "connector"})
"""The commands that read their settings again at SIGHUP."""

SERVICES: Final = frozenset({"demo", "up", "watch", "connector", "aggregator", "gateway", "recorder", "simulate"})
"""The commands that run until they are stopped by a signal."""


def build(*, summaries: bool = True) -> App:
    """Build the command line. `summaries`: show `COMMANDS` as the help of each command; only for the list of all commands.

    A command's own `--help` needs False: a summary would replace the docstring of the command.
    """
    from cyclopts import App  # noqa: PLC0415  # see `_run`

    app = App(
        name="crosstape",
        help="An auditable consolidated tape for crypto: venues' WebSockets → Redis Streams → one consolidated quote.",
        help_format="plaintext",
        help_epilogue=(
            "Settings: a TOML file (--settings FILE or CROSSTAPE_SETTINGS), then CROSSTAPE_SECTION__KEY variables over it."
            " Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 bus unreachable, 4 superseded, 5 not proven (demo, check-bars,"
            " audit), 6 no room or permission to write, 7 not on this tape (simulated and live)."
        ),
        version=__version__,
    )
    for order, (name, summary) in enumerate(COMMANDS.items()):
        made = name.replace("-", "_")
        app.command(f"crosstape_cli.{made}:{made}", name=name, help=summary if summaries else None, sort_key=order)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Prints mistakes in the command line and in settings on standard error, one per line."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and tokens and tokens[0] in SERVICES:
        _handle_early_signals(reloading=tokens[0] in RELOADING)
    try:
        done = _run(tokens)
        sys.stdout.flush()
    except CrosstapeError as exc:
        _print_error(str(exc))
        return code_of(exc)
    except BrokenPipeError:
        # The reader of our output has closed the pipe, as `head` does. Without this, Python would flush into it at exit, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return done if isinstance(done, int) else Exit.OK


def _run(tokens: Sequence[str]) -> Any:
    """Run the command; returns what it returns.

    `health` without options goes past cyclopts, the parser of arguments: to import it takes longer than the health check itself.
    """
    if list(tokens) == ["health"]:  # nothing to parse
        from crosstape_cli.health_request import probe  # noqa: PLC0415

        return probe()

    from cyclopts import CycloptsError  # noqa: PLC0415

    try:
        app = build(summaries=not tokens or tokens[0] not in COMMANDS)
        return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as exc:
        command = next((token for token in tokens if token in COMMANDS), "")
        _print_error(f"{_one_line(exc)} (see: crosstape {command}{' ' if command else ''}--help)")
        return Exit.USAGE


def _handle_early_signals(*, reloading: bool) -> None:
    """Make SIGTERM and SIGINT end the process at once while the service is being imported. Later `lifecycle` sets its own handlers.

    The import takes about a second. Without these handlers a signal in that second would look like a crash, and would be ignored where we
    are the first process of a container.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(Exit.OK))  # nothing is open yet; a module being imported could catch an exception
    if reloading:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the settings are not read yet: there is nothing to read again


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())


def _print_error(text: str) -> None:
    for line in text.splitlines():
        print(f"crosstape: {line}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
