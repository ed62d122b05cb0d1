"""Defines the exit codes of a process, and whether starting it again can help. `lifecycle` turns a coroutine into a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final

from crosstape.errors import BusError, SettingsError, StorageError, Superseded, UnknownName, WrongTape


class Exit(IntEnum):
    """The exit codes of a process. 128 + n: ended by signal n, without an orderly stop."""

    OK = 0
    """The work is done, or SIGTERM or SIGINT stopped the process in an orderly way."""
    FAILED = 1
    """There was an unexpected error. Of `check-bars`: a bar differs from its candle. Of `audit`: a value is not what its inputs give."""
    USAGE = 2
    """The command line or a setting is wrong."""
    UNREACHABLE = 3
    """The bus could not be used at the start within `bus.start_s`, or it refused this process. A later outage is waited out."""
    SUPERSEDED = 4
    """Another process with the same producer name has started since and goes on. This process has stopped publishing."""
    UNPROVEN = 5
    """It ran, but did not show what it should show (`demo`), or had nothing to compare (`check-bars`, `audit`)."""
    STORAGE = 6
    """The run directory or the capture directory cannot be used: no space, read-only, no permission, or another user or run has it."""
    WRONG_TAPE = 7
    """The events do not belong on this tape: those of a simulated venue on a live tape, or of a live venue on a simulated one."""


RESTART_ADVICE: Final[Mapping[Exit, str]] = {
    Exit.OK: "is not needed: it was asked to stop",
    Exit.FAILED: "may help: please report the traceback",
    Exit.USAGE: "cannot help: correct what the error names",
    Exit.UNREACHABLE: "helps once the server can be reached, or accepts the password",
    Exit.SUPERSEDED: "cannot help while the other process runs: this one would end again; stop one of them",
    Exit.UNPROVEN: "may help",
    Exit.STORAGE: "helps once there is space or permission, or the other run has ended",
    Exit.WRONG_TAPE: "cannot help: give it a tape of its own, as the error says",
}
"""Says whether it helps to start the same process again."""

NOT_RESTARTED: Final = frozenset({Exit.USAGE, Exit.SUPERSEDED, Exit.WRONG_TAPE})
"""Codes after which a supervisor should not start the process again."""

_WORST_FIRST: Final = (Exit.WRONG_TAPE, Exit.SUPERSEDED, Exit.USAGE, Exit.STORAGE, Exit.UNREACHABLE, Exit.FAILED)


def code_of(exc: BaseException) -> Exit:
    """Returns the exit code for an error; for a group, that of the worst error in it."""
    found = {_code(leaf) for leaf in leaves(exc)}
    return next(code for code in _WORST_FIRST if code in found)


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """Yields the single errors of a group, and of the groups within it."""
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from leaves(inner)
    else:
        yield exc


def _code(exc: BaseException) -> Exit:
    match exc:
        case SettingsError() | UnknownName():
            return Exit.USAGE
        case StorageError():
            return Exit.STORAGE
        case Superseded():
            return Exit.SUPERSEDED
        case WrongTape():
            return Exit.WRONG_TAPE
        case BusError():
            return Exit.UNREACHABLE
    from redis.exceptions import RedisError  # noqa: PLC0415  # a command without an error does not need redis-py

    return Exit.UNREACHABLE if isinstance(exc, RedisError) else Exit.FAILED
