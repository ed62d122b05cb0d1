"""Options that several commands share, and the settings and logs that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from crosstape.errors import SettingsError
from crosstape.settings import Settings
from crosstape.settings import load as settings_file
from crosstape.settings.environment import ignored_variables
from crosstape.settings.mistakes import Mistake
from crosstape.settings.words import dotted, nearest
from crosstape_schemas import TIMEFRAMES

if TYPE_CHECKING:
    from crosstape_connector.venues.spec import Venue

SettingsFile = Annotated[
    Path | None,
    Parameter(name="--settings", help="Settings file (TOML); default: the one CROSSTAPE_SETTINGS names, else none."),
]

IMeanIt = Annotated[
    bool,
    Parameter(
        name="--i-mean-it",
        negative="",
        help="Let venues of another origin (live, testnet, simulated) write to a tape: connector.any_origin.",
    ),
]


_old_names: list[str] = []
"""Old names of settings that `load` found. `begin_logging` logs them: the format of logs is itself a setting, unknown before `load`."""


def load(path: Path | None) -> Settings:
    """Read the settings, and check that all their venues exist and have what is wanted of them.

    Raises `SettingsError` with one line per mistake.
    """
    _old_names.clear()
    return settings_file.load(path, old_names=_old_names, check=_venue_mistakes)


def _venue_mistakes(settings: Settings) -> Iterator[Mistake]:
    from crosstape_connector.venue_choice import chosen  # noqa: PLC0415  # `health` needs no venue
    from crosstape_connector.venues.registry import VENUES, get, like  # noqa: PLC0415

    tables: dict[tuple[str, ...], Iterable[str]] = {
        ("venues",): settings.venues,
        ("aggregator", "taker_fees_bps"): settings.aggregator.taker_fees_bps,
    }
    for place, names in tables.items():
        for name in names:
            if get(name) is None:
                guess = nearest(name, like(name))
                text = f"did you mean {dotted((*place, guess))}?" if guess else f"there are {', '.join(VENUES)}"
                if name == "ccxt":
                    text = f"a venue by ccxt is one key in quotes: {dotted((*place, 'ccxt.kraken'))}"
                yield Mistake((*place, name), f"no such venue; {text}")
    for name, own in settings.venues.items():
        if (venue := get(name)) is None:
            continue  # reported above
        try:
            chosen(venue, own.environment, own.candles)
        except SettingsError as exc:
            for line in str(exc).splitlines():
                path, _, text = line.partition(": ")
                yield Mistake(tuple(path.split(".")), text)


def find_venue(name: str, where: str) -> Venue:
    """Return the venue of this name. Raises `SettingsError`, which names the option `where` and the nearest venue, else all of ours."""
    from crosstape_connector.venues.registry import VENUES, get  # noqa: PLC0415

    venue = get(name)
    if venue is None:
        raise no_such_venue(name, VENUES, where)
    return venue


def no_such_venue(name: str, venues: Iterable[str], where: str) -> SettingsError:
    """Returns the error for a venue that is none of these: with the nearest one, else with all."""
    from crosstape_connector.venues.registry import like  # noqa: PLC0415

    names = list(venues)
    guess = nearest(name, like(name) if name.startswith("ccxt.") else names)
    if guess == name:
        return SettingsError(f"{where} {name}: venues by ccxt cannot be had here; there are {', '.join(names)}")
    return SettingsError(f"{where} {name}: " + (f"did you mean {guess}?" if guess else f"there are {', '.join(names)}"))


def not_in_settings(name: str, settings: Settings) -> SettingsError:
    """Returns the error for a venue that exists and has no table in the settings: with the table to write."""
    table = dotted(("venues", name))
    return SettingsError(
        f"{table}: not in the settings; they have {', '.join(sorted(settings.venues))}. Write [{table}] with its instruments "
        "into a settings file, and name the file with --settings"
    )


def chosen_timeframes(text: str, option: str) -> tuple[str, ...]:
    """Returns the timeframes that a list names, each once. Raises `SettingsError`, with the nearest one, for one that is none of ours."""
    names = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    for name in names:
        if name not in TIMEFRAMES:
            guess = nearest(name, TIMEFRAMES)
            raise SettingsError(f"{option} {name}: " + (f"did you mean {guess}?" if guess else f"there are {', '.join(TIMEFRAMES)}"))
    return names


def begin_logging(settings: Settings, *, service: str) -> None:
    """Set up the logs of a service as the settings say. Then log which variables were ignored, and which settings have new names."""
    import structlog  # noqa: PLC0415  # `health` logs nothing, and runs every few seconds

    from crosstape.runtime.telemetry import configure_logging  # noqa: PLC0415

    configure_logging(settings.telemetry, service=service)
    if names := ignored_variables():
        structlog.get_logger(__name__).info(
            "settings.service_variables_ignored", names=names, reason="the container platform sets them to describe its services"
        )
    if _old_names:
        structlog.get_logger(__name__).warning("settings.old_names", names=list(_old_names), until="the next release")
