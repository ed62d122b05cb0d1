"""Errors of the connector."""

from typing import Final

import msgspec

from crosstape.errors import CrosstapeError


class FeedError(CrosstapeError):
    """A feed cannot go on as it is; a new connection or call may help."""


class ConnectionLost(FeedError):
    """The session was closed, or was silent for too long."""


class ConnectFailed(FeedError):
    """No session could be had; `retry_after_s` is what the venue asked for, if it did."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RestFailed(FeedError):
    """A REST call did not give an answer that can be used; `retry_after_s` as above."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownVenue(CrosstapeError):
    """No venue of that name is registered; the message lists those that are."""


class FrameError(CrosstapeError):
    """A frame that cannot be used. Counted by `kind`, quarantined, skipped: it never ends a session."""

    kind = "malformed"


class UnknownFrame(FrameError):
    """Well-formed, but of a type that the venue's documents do not name."""

    kind = "unknown"


class UnknownSymbol(FrameError):
    """Of a symbol that was not asked for."""

    kind = "symbol"


class NotANumber(FrameError):
    """Text that `Decimal` reads though it is no number, or one with too many digits."""

    kind = "number"


class OversizedFrame(FrameError):
    """Larger than the endpoint's `max_frame_bytes`."""

    kind = "oversized"


class BinaryFrame(FrameError):
    """Not text, from an endpoint whose frames are."""

    kind = "encoding"


FRAME_ERRORS: Final = (FrameError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that a parser may raise: what the bytes on a socket can do to it. `except FRAME_ERRORS`, count by `frame_error_kind`, go on."""

JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for what is no JSON, or nested too deep; a `msgspec.ValidationError` among them is of JSON with another form."""


def frame_error_kind(error: BaseException) -> str:
    """The word to count one of `FRAME_ERRORS` by."""
    match error:
        case FrameError():
            return error.kind
        case UnicodeDecodeError():
            return BinaryFrame.kind
        case msgspec.ValidationError():
            return "schema"
        case msgspec.DecodeError() if "truncated" in str(error):
            return "truncated"
        case _:
            return FrameError.kind
