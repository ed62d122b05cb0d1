"""Finds instruments and venues that a request names among those of the tape."""

from __future__ import annotations

from crosstape_gateway.parts import Parts
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.parameters import Parameters
from crosstape_gateway.symbols import instrument_of
from crosstape_gateway.topics import ALL
from crosstape_schemas import CONSOLIDATED


async def ensure_known(parts: Parts) -> None:
    """Look up the streams of the tape if none is known yet. Raises `RequestError` while the bus is away."""
    if not parts.catalogue.streams:
        async with bus.reading(parts):
            await parts.catalogue.look()


async def instrument(parts: Parts, parameters: Parameters) -> str:
    """Returns the instrument of `instrument` (or `symbol`). Raises `RequestError` if it is missing, or none of the tape."""
    text = parameters.required("instrument", "symbol", example="BTC-USDT")
    await ensure_known(parts)
    return instrument_of(text, parts.catalogue.instruments)


async def instruments(parts: Parts, parameters: Parameters, *kinds: str) -> list[str]:
    """Returns the instrument of `instrument` (or `symbol`); if none is given, or `*`, all that have a stream of one of these kinds."""
    text = parameters.text("instrument", "symbol")
    await ensure_known(parts)
    if text not in ("", ALL):
        return [instrument_of(text, parts.catalogue.instruments)]
    return sorted({name for kind, name in parts.catalogue.streams if kind in kinds})


async def venue(parts: Parts, parameters: Parameters) -> str:
    """Returns the venue of `venue`; empty if none is given. Raises `RequestError` for one that the tape does not have."""
    await ensure_known(parts)
    return parameters.venue(sorted({*parts.catalogue.venues, CONSOLIDATED}))
