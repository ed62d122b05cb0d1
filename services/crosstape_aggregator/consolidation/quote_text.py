"""Decodes events for the legs. Of a quote that is in order it keeps the text of the numbers; any other quote comes with decimals.

Most quotes are replaced by a newer one before a consolidated quote is computed, so the decimals of most quotes are never needed. What a leg
needs to know of each quote at once is only whether it has a fault: a fault counts even if the next quote has none. So a quote is checked
here. A leg need not check a quote with text again; of one with decimals it finds out what is wrong with it. Pure.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from crosstape_aggregator.decimals import DIGITS, HIGH, LOW
from crosstape_schemas import AnyEvent, Quote, decode
from crosstape_schemas.events import AnyEventWithTextQuotes

_Number = Annotated[float, msgspec.Meta(gt=float(LOW), lt=float(HIGH))]
# Floats are only compared, and never kept: they are cheap, and enough here. The decoder rounds correctly, which never changes the order of
# two numbers: if the float of one is below the float of another, so is the number itself. If they are equal, decimals decide.
_as_floats: Final = msgspec.json.Decoder(tuple[_Number, _Number, _Number, _Number]).decode
_decode: Final = msgspec.json.Decoder(AnyEventWithTextQuotes).decode


def decode_for_legs(data: bytes) -> AnyEventWithTextQuotes | AnyEvent:
    """Returns the event of these bytes. A quote with text is in order: its numbers are usable (`decimals`), and its bid is below its ask.

    A number that is missing, odd or too near to another makes the quote one with decimals. Raises what `decode` raises, for the same bytes.
    """
    try:
        event: AnyEventWithTextQuotes = _decode(data)
    except (ValueError, RecursionError):  # a `MsgspecError` is a `ValueError`
        return decode(data)  # it is no event of ours, or its numbers are not text
    if event.__class__ is not Quote:
        return event
    if event.bid_size is not None and event.ask_size is not None:
        text = f"[{event.bid_price},{event.bid_size},{event.ask_price},{event.ask_size}]"
        if len(text) <= DIGITS:
            try:
                bid, _, ask, _ = _as_floats(text)  # faster than `float` of each
            except ValueError:
                return decode(data)
            if bid < ask:
                return event
    return decode(data)
