"""Takes from aiohttp's log what clients sent: a header that cannot be parsed may be one with a token."""

from __future__ import annotations

import logging
from typing import Final

_LOGGERS: Final = ("aiohttp.server", "aiohttp.web", "aiohttp.websocket")


class _WithoutContent(logging.Filter):
    """Leaves of an error its type: the text of a parser's error shows the bytes that it could not parse."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it pass."""
        if record.exc_info:
            kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
            record.msg = f"{record.getMessage()} ({kind.__name__ if kind else 'an error'})"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True


_FILTER: Final = _WithoutContent()


def hide_contents() -> None:
    """Keep contents of requests out of the log of this process. Calling it again changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
