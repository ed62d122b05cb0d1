"""Checks the settings of one venue against its table: which environment, which addresses, which candles. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import msgspec

from crosstape.errors import SettingsError
from crosstape.settings.words import nearest
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import CANDLE, TIMEFRAMES


def in_environment(venue: Venue, name: str) -> Venue:
    """Return the table of this venue with the addresses of a testnet or sandbox; empty: of the live venue. Raises `SettingsError`.

    Endpoints that the environment does not have are left out: never the live one in their place.
    """
    if not name:
        return venue
    where = f"venues.{venue.id}.environment"
    if not venue.environments:
        raise SettingsError(f"{where}: {name}: the venue has no environment but the live one")
    chosen = venue.environments.get(name)
    if chosen is None:
        raise SettingsError(f"{where}: {name}: there is no such environment; the venue has {', '.join(venue.environments)}")
    there = [endpoint for endpoint in venue.endpoints if endpoint.name in chosen.ws_urls]
    endpoints = tuple(msgspec.structs.replace(endpoint, url=chosen.ws_urls[endpoint.name]) for endpoint in there)
    headers = {**venue.headers, **chosen.headers}
    return msgspec.structs.replace(venue, endpoints=endpoints, rest_urls=chosen.rest_urls, headers=headers)


def check_candles(venue: Venue, timeframes: Sequence[str], where: str = "") -> None:
    """Raise `SettingsError` if the venue does not have candles of all these timeframes. `where` begins each line: where they are named."""
    where = where or f"venues.{venue.id}.candles:"
    refused = [f"{where} {timeframe}: {reason}" for timeframe in timeframes if (reason := _refusal(venue, timeframe))]
    if refused:
        raise SettingsError("\n".join(refused))


def chosen(venue: Venue, environment: str, timeframes: Sequence[str]) -> Venue:
    """Return the venue in this environment, if it has candles of these timeframes. Raises one `SettingsError` for all that is wrong.

    If there is no such environment, the candles are checked against the live one, so that their mistakes are not found only later.
    """
    mistakes = []
    found = venue
    try:
        found = in_environment(venue, environment)
    except SettingsError as exc:
        mistakes.append(str(exc))
    try:
        check_candles(found, timeframes)
    except SettingsError as exc:
        mistakes.append(str(exc))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return found


def _refusal(venue: Venue, timeframe: str) -> str:
    """Return why the venue does not have candles of this timeframe, and which it has; empty: it does."""
    if venue.candles is None:
        return "the venue publishes no candles"
    if timeframe in venue.candles.timeframes:
        has_channel = any(f"{CANDLE}{timeframe}" in endpoint.channels for endpoint in venue.endpoints)
        return "" if has_channel else "this environment of the venue has no candles"
    has = f"the venue has {', '.join(venue.candles.timeframes)}"
    if timeframe in venue.candles.refused:
        return f"{venue.candles.refused[timeframe]}; {has}"
    guess = None if timeframe in TIMEFRAMES else nearest(timeframe, venue.candles.timeframes)
    return f"did you mean {guess}? {has}" if guess else f"there are no such candles; {has}"


def addresses(where: str, own: Mapping[str, str], given: str | Mapping[str, str]) -> dict[str, str]:
    """Name → URL: the venue's own, or `given` in its place, for all names or by name. Raises `SettingsError` for an unknown name."""
    if isinstance(given, str):
        return {name: given or url for name, url in own.items()}
    for name in given:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.0)
            raise SettingsError(f"{where}.{name}: there is no such endpoint; the nearest is {near[0]}")
    return {name: given.get(name, url) for name, url in own.items()}
