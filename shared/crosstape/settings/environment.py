"""Reads settings from the environment: `CROSSTAPE_<SECTION>__<KEY>` sets one key, with two underscores between levels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

import msgspec

from crosstape.settings.model import Section, Settings, hiding
from crosstape.settings.secrets import SUFFIX
from crosstape.settings.service_variables import is_service_variable

PREFIX: Final = "CROSSTAPE_"
FILE_VARIABLE: Final = "CROSSTAPE_SETTINGS"
"""Name of the variable that names the settings file, where no file is given."""

RENAMED: Final[dict[tuple[str, ...], str]] = {("connector", "line"): "replica"}
"""Old name of a setting → its name now. The old name is read for one release."""

_LEVEL: Final = "__"
DOTTED: Final = ("venues", "ccxt")
"""The next key belongs to the name of the venue, after a dot: `CROSSTAPE_VENUES__CCXT__KRAKEN__KINDS` is of the venue `ccxt.kraken`."""


class EnvironmentText(str):
    """The value of a variable: text, whatever the type of the setting is."""

    __slots__ = ()


def ignored_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the variables that start as settings do and that a container platform has added for its services."""
    environ = os.environ if environ is None else environ
    return [name for name in sorted(environ) if name.startswith(PREFIX) and name != FILE_VARIABLE and _is_ignored(name, environ)]


def variables(environ: Mapping[str, str], mistakes: list[str]) -> Iterable[tuple[str, tuple[str, ...], str]]:
    """Yields (name, keys, text) of each variable that sets a key, sorted by name.

    A variable that was meant to set one, as `CROSSTAPE_BUS_URL`, is added to `mistakes`.
    """
    sections = get_type_hints(Settings)
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE or _is_ignored(name, environ):
            continue
        keys = _keys(name)
        if len(keys) > 1 and all(keys):
            yield name, keys, environ[name]
        elif (first := keys[0].split("_")[0]) in sections:
            rest = name.removeprefix(PREFIX)[len(first) :].strip("_")
            meant = f"{PREFIX}{first.upper()}{_LEVEL}{rest or '<KEY>'}"
            mistakes.append(f"{name} (environment): no such setting; did you mean {meant} (two underscores between levels)?")


def _keys(name: str) -> tuple[str, ...]:
    keys = tuple(name.removeprefix(PREFIX).lower().split(_LEVEL))
    return (keys[0], f"{keys[1]}.{keys[2]}", *keys[3:]) if keys[:2] == DOTTED and len(keys) > 3 else keys


def _is_ignored(name: str, environ: Mapping[str, str]) -> bool:
    """Whether a variable is a container platform's. A setting that exists is read, whatever its value looks like."""
    return is_service_variable(name, environ) and not _is_setting(_keys(name))


def _is_setting(keys: tuple[str, ...], section: type[Section] = Settings) -> bool:
    """Whether there is a setting of this path. A venue may have any name."""
    hints = get_type_hints(section, include_extras=True)
    key, *rest = keys
    hint = hints.get(key)
    if not rest:
        return hint is not None or hiding(hints.get(key.removesuffix(SUFFIX))) is not None
    if isinstance(hint, type) and issubclass(hint, Section):
        return _is_setting(tuple(rest), hint)
    inner = None if hint is None else table_of(hint)
    return inner is not None and len(rest) > 1 and _is_setting(tuple(rest[1:]), inner)


def variable_of(path: tuple[str, ...]) -> str:
    """Name of the variable that sets the key with this path."""
    return PREFIX + _LEVEL.join(key.replace(".", _LEVEL) for key in path).upper()


def table_of(hint: Any) -> type[Section] | None:
    """The section of a setting that is a table of tables: `dict[str, VenueSettings]` → `VenueSettings`."""
    info = msgspec.inspect.type_info(hint)
    if isinstance(info, msgspec.inspect.DictType) and isinstance(info.value_type, msgspec.inspect.StructType):
        return cast("type[Section]", info.value_type.cls)
    return None


def item_of(hint: Any) -> Any:
    """The type of what stands in a setting that is a table of values: `dict[str, Decimal]` → `Decimal`; None for other settings."""
    found = get_args(hint)
    return found[1] if get_origin(hint) is dict and table_of(hint) is None else None
