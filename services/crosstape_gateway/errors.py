"""Defines what the gateway answers to a request that it cannot serve."""

from __future__ import annotations

from crosstape.errors import CrosstapeError


class RequestError(CrosstapeError):
    """A request that cannot be served. Its text is for the client: it names what is wrong and where."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the answer."""
        self.code = code
        """A constant word for programs, such as `unknown_topic`."""
        self.retry_after_s = retry_after_s
        """After how many seconds the same request may succeed; None: it will not."""
