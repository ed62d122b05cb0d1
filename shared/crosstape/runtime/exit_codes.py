"""How a process ends: its exit code, and whether starting it again can help. What makes a process of a coroutine is in `lifecycle`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final

from crosstape.errors import BusError, SettingsError, StorageError, Superseded, WrongTape


class Exit(IntEnum):
    """What a process's exit code says. 128 + n: ended by signal n, without having stopped in order."""

    OK = 0
    """Done, or stopped in order by SIGTERM or SIGINT."""
    FAILED = 1
    """An error nobody expected."""
    USAGE = 2
    """The command line or a setting is wrong."""
    UNREACHABLE = 3
    """The bus could not be used at the start, for `bus.start_s`, or it refused us. Once it has been used, an outage is waited out."""
    SUPERSEDED = 4
    """Another process with the same producer name has started since, and goes on: this one gave way, and need not come back by itself."""
    UNPROVEN = 5
    """It ran, but what it was to show did not happen (`demo`)."""
    STORAGE = 6
    """The run directory, or the capture's, cannot be used: no space, read-only, no permission, another user's, or another run has it."""
    WRONG_TAPE = 7
    """What is to be published does not belong on this tape: a simulated venue on a live one, or a live one on a simulated."""


RESTART_ADVICE: Final[Mapping[Exit, str]] = {
    Exit.OK: "is not needed: it was asked to stop",
    Exit.FAILED: "may help: tell us of the traceback",
    Exit.USAGE: "cannot help: change what the line names",
    Exit.UNREACHABLE: "helps once the server is there, or takes the password",
    Exit.SUPERSEDED: "cannot help while the other goes on: it would end again; stop one of them",
    Exit.UNPROVEN: "may help",
    Exit.STORAGE: "helps once there is room, or permission, or the other run has ended",
    Exit.WRONG_TAPE: "cannot help: give it a tape of its own, see the line",
}
"""What starting the same again does."""

NOT_RESTARTED: Final = frozenset({Exit.USAGE, Exit.SUPERSEDED, Exit.WRONG_TAPE})
"""Codes after which a supervisor should not start the same again."""

_WORST_FIRST: Final = (Exit.WRONG_TAPE, Exit.SUPERSEDED, Exit.USAGE, Exit.STORAGE, Exit.UNREACHABLE, Exit.FAILED)


def code_of(exc: BaseException) -> Exit:
    """The exit code for an error, or for the worst to go on with of a group."""
    found = {_code(leaf) for leaf in leaves(exc)}
    return next(code for code in _WORST_FIRST if code in found)


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """The errors themselves, out of whatever groups they are in."""
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from leaves(inner)
    else:
        yield exc


def _code(exc: BaseException) -> Exit:
    match exc:
        case SettingsError():
            return Exit.USAGE
        case StorageError():
            return Exit.STORAGE
        case Superseded():
            return Exit.SUPERSEDED
        case WrongTape():
            return Exit.WRONG_TAPE
        case BusError():
            return Exit.UNREACHABLE
    from redis.exceptions import RedisError  # noqa: PLC0415  # a command that ends well has no use for all of redis-py

    return Exit.UNREACHABLE if isinstance(exc, RedisError) else Exit.FAILED
