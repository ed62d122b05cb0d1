"""The log of the library: events with fields, written by structlog where it is installed, else by Python's `logging`."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, Protocol

try:
    import structlog
except ImportError:  # a program that only reads the tape has msgspec and redis alone
    structlog = None  # type: ignore[assignment]

NAME: Final = "crosstape"
"""Name of the logger where `logging` writes."""


class Log(Protocol):
    """What writes the log. The event is a constant, dotted name."""

    def debug(self, event: str, **fields: Any) -> object:
        """For developers."""

    def info(self, event: str, **fields: Any) -> object:
        """Something changed."""

    def warning(self, event: str, **fields: Any) -> object:
        """Something is wrong, and is dealt with."""

    def error(self, event: str, **fields: Any) -> object:
        """Something does not work."""


def get_log(name: str = NAME) -> Log:
    """Returns the log of a module. Without structlog, a program that has not set up `logging` sees warnings on standard error."""
    if structlog is None:
        return StandardLog(logging.getLogger(name))
    if not structlog.is_configured():
        # By default structlog writes to standard output, where logs would mix with a program's own output, and shows with an error the
        # values of all variables, a password among them.
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(
            processors=[*structlog.get_config()["processors"][:-1], renderer], logger_factory=lambda *_: structlog.PrintLogger(sys.stderr)
        )
    log: Log = structlog.get_logger(name)
    return log


class StandardLog:
    """Writes by Python's `logging`: `bus.unavailable who='tape' reason='…'`. A field `exc_info` is the error whose traceback is wanted."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: Any) -> None:
        """For developers."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something changed."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something is wrong, and is dealt with."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something does not work."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            exc_info = fields.pop("exc_info", None)
            text = " ".join([event, *(f"{name}={value!r}" for name, value in fields.items())])
            self._logger.log(level, "%s", text, exc_info=exc_info, stacklevel=3)
