"""Errors of the connector."""

from typing import Final

import msgspec

from crosstape.errors import CrosstapeError


class FeedError(CrosstapeError):
    """A feed cannot continue as it is; a new connection or call may help."""


def first_of(group: BaseExceptionGroup[FeedError]) -> FeedError:
    """Return the first error of a group, however deep it is."""
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    assert isinstance(exc, FeedError)
    return exc


class ConnectionLost(FeedError):
    """The connection was closed, or was silent for too long."""


class ConnectFailed(FeedError):
    """No connection could be opened. `retry_after_s`: the pause that the venue asked for, or None."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RestFailed(FeedError):
    """A REST call got no usable answer. `retry_after_s`: the pause that the venue asked for, or None. `status`: of HTTP; 0: none."""

    def __init__(self, message: str, retry_after_s: float | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.status = status


class PastFailed(CrosstapeError):
    """The past of an instrument cannot be fetched. The text names the venue, the instrument and what the venue says."""


class UnknownVenue(CrosstapeError):
    """No venue of this name is registered. The message lists the registered ones."""


class FrameError(CrosstapeError):
    """A frame that cannot be used. It is counted by `kind`, captured and skipped; it never ends a session."""

    kind = "malformed"


class UnknownFrame(FrameError):
    """A well-formed frame of a type that the venue does not document."""

    kind = "unknown"


class UnknownSymbol(FrameError):
    """A frame for a symbol that was not subscribed."""

    kind = "symbol"


class NotANumber(FrameError):
    """Text that is not a number though `Decimal` reads it, or a number with too many digits."""

    kind = "number"


class OversizedFrame(FrameError):
    """A frame larger than the endpoint's `max_frame_bytes`."""

    kind = "oversized"


class UndecodableFrame(FrameError):
    """A binary frame that cannot be turned into text: it is not compressed as the venue documents, is cut off, or unpacks to too much."""

    kind = "binary"


class BinaryFrame(FrameError):
    """A binary frame from an endpoint that sends text."""

    kind = "encoding"


FRAME_ERRORS: Final = (FrameError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Every error that the bytes on a socket can cause in a parser. Catch them, count them by `frame_error_kind`, continue."""

JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of a decoder for bytes that are not JSON, or nested too deep. A `msgspec.ValidationError` means JSON of another shape."""


def frame_error_kind(error: BaseException) -> str:
    """Return the kind by which to count one of `FRAME_ERRORS`."""
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
