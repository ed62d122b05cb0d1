"""Reads the settings: one TOML file, then the environment over it. Every mistake is named with its path.

`CROSSTAPE_<SECTION>__<KEY>` sets one key, with two underscores between levels: `CROSSTAPE_VENUES__KRAKEN__WS_URL`. All mistakes are found
at once, before anything starts, and no message shows a secret. A secret can be given as the name of a file that holds it, by its key with
`_file` (`CROSSTAPE_BUS__PASSWORD_FILE`): see `secrets`.
"""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

import msgspec

from crosstape.errors import SettingsError
from crosstape.paths import expanded
from crosstape.settings import computed
from crosstape.settings.environment import FILE_VARIABLE, RENAMED, EnvironmentText, item_of, table_of, variable_of, variables
from crosstape.settings.mistakes import Mistake
from crosstape.settings.model import Section, Settings, hiding
from crosstape.settings.secrets import SUFFIX, secret_in
from crosstape.settings.words import describe, dotted, fits, nearest, show, suggestion
from crosstape.text_file import decode_utf8

S = TypeVar("S", bound=Section)


def load(
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    old_names: list[str] | None = None,
    check: Callable[[Settings], Iterable[Mistake]] | None = None,
) -> Settings:
    """Returns the settings of `path` (or of the file that `CROSSTAPE_SETTINGS` names, or the defaults), with the environment's over them.

    Adds to `old_names` one line for each setting that is given by its old name. `check` yields mistakes that only the caller knows, as
    those of venues. Raises `SettingsError`, with one line for each mistake.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get(FILE_VARIABLE) or None
    reader = _Reader()
    settings = Settings()
    if path is not None:
        settings = reader.section(settings, _parse_file(path), (), str(path))
    for name, keys, text in variables(environ, reader.mistakes):
        settings = reader.section(settings, _nested(keys, EnvironmentText(text)), (), name)
    settings = reader.with_secrets(settings)
    reader.add(computed.mistakes(settings.aggregator))
    if check is not None:
        reader.add(check(settings))
    if reader.mistakes:
        raise SettingsError("\n".join(reader.mistakes))
    if old_names is not None:
        old_names += reader.old_names
    return settings


class _Origin(NamedTuple):
    """Where a value was given: the name of a variable, or of the settings file."""

    source: str
    environment: bool


class _Reader:
    """Puts raw tables over settings. Collects mistakes instead of stopping at the first.

    Files of secrets are read at the end, when it is known which are needed: the environment may name another file than the settings file
    does, or give the secret itself.
    """

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self.old_names: list[str] = []
        self._sources: dict[tuple[str, ...], str] = {}  # path → where it was given last
        self._refused: set[tuple[str, ...]] = set()  # paths whose value is a mistake by itself
        self._given: dict[tuple[str, ...], _Origin] = {}  # path of a secret → where the secret itself was given
        self._files: dict[tuple[str, ...], tuple[str, _Origin]] = {}  # path of a secret → the file that holds it, and where that was named

    def add(self, mistakes: Iterable[Mistake]) -> None:
        """Add mistakes with where their keys were given, or else the tables around them."""
        for path, text, needs in mistakes:
            if not needs or not any(refused[: len(needs)] == needs for refused in self._refused):
                around = (self._sources.get(path[:length]) for length in range(len(path), 0, -1))
                source = next((f" ({found})" for found in around if found), "")
                self.mistakes.append(f"{dotted(path)}{source}: {text}")

    def section(self, current: S, table: Mapping[str, Any], path: tuple[str, ...], source: str) -> S:
        """Returns `current` with the keys of `table` replaced, at all levels."""
        hints = get_type_hints(type(current), include_extras=True)
        changed: dict[str, Any] = {}
        for name, value in table.items():
            key = RENAMED.get((*path, name), name)
            here = (*path, key)
            self._sources[here] = source
            if key != name:
                self.old_names.append(f"{dotted((*path, name))} ({source}) is now {dotted(here)}")
            if key != name and key in table:
                self.mistakes.append(f"{dotted((*path, name))} ({source}): this is the old name of {dotted(here)}; leave it out")
            elif key not in hints and hiding(hints.get(key.removesuffix(SUFFIX))):
                self._file((*path, key.removesuffix(SUFFIX)), value, source)
            elif key not in hints:
                self._unknown(here, hints, source)
            elif isinstance(before := getattr(current, key), Section):
                if self._is_table(value, here, source):
                    changed[key] = self.section(before, value, here, source)
            elif inner := table_of(hints[key]):
                if self._is_table(tables := _parsed(value), here, source):
                    changed[key] = self._tables(before, inner, tables, here, source)
            elif isinstance(before, dict) and (item := item_of(hints[key])) is not None:
                if self._is_table(items := _parsed(value), here, source):
                    changed[key] = self._items(before, item, items, here, source)
            else:
                self._value(changed, hints[key], value, here, source)
        return msgspec.structs.replace(current, **changed)

    def with_secrets(self, settings: Settings) -> Settings:
        """Returns `settings` with the secrets that are in files."""
        files, self._files = self._files, {}
        for path, (name, origin) in files.items():
            try:
                text = secret_in(expanded(name))
            except ValueError as exc:
                self.mistakes.append(f"{dotted(path)}{SUFFIX} = {show(name, None)} ({origin.source}): {exc}")
            else:
                settings = self.section(settings, _nested(path, EnvironmentText(text)), (), origin.source)
        return settings

    def _file(self, path: tuple[str, ...], value: Any, source: str) -> None:
        """Note the file that holds a secret; an empty name: there is none."""
        self._files.pop(path, None)
        origin = _Origin(source, environment=isinstance(value, EnvironmentText))
        if not isinstance(value, str):
            self.mistakes.append(f"{dotted(path)}{SUFFIX} = {show(value, None)} ({source}): expected text, the name of a file")
        elif value.strip() and self._is_only(path, self._given.get(path), origin):
            self._files[path] = (value.strip(), origin)

    def _secret(self, path: tuple[str, ...], value: Any, source: str) -> None:
        """Note a secret that was given itself. A file that was named before does not count any more."""
        _, named_by = self._files.pop(path, ("", None))
        origin = _Origin(source, environment=isinstance(value, EnvironmentText))
        if value and self._is_only(path, named_by, origin):
            self._given[path] = origin

    def _is_only(self, path: tuple[str, ...], other: _Origin | None, origin: _Origin) -> bool:
        """Whether a secret was given only once in the settings file or in the environment, which overrides it."""
        if other is None or other.environment != origin.environment:
            return True
        key = dotted(path)
        names = sorted({other.source, origin.source}) if origin.environment else [key, f"{key}{SUFFIX} ({origin.source})"]
        self.mistakes.append(f"{' and '.join(names)}: both are given; leave one out")
        return False

    def _tables(
        self, current: Mapping[str, S], inner: type[S], tables: Mapping[str, Any], path: tuple[str, ...], source: str
    ) -> dict[str, S]:
        found = dict(current)
        for name, table in tables.items():
            self._sources[*path, name] = source
            if self._is_table(table, (*path, name), source):
                found[name] = self.section(found.get(name) or inner(), table, (*path, name), source)
        return found

    def _items(self, current: Mapping[str, Any], hint: Any, items: Mapping[str, Any], path: tuple[str, ...], source: str) -> dict[str, Any]:
        """Returns a table of values with these items replaced. Each mistake is named with the item's own path."""
        found = dict(current)
        for name, value in items.items():
            self._sources[*path, name] = source
            self._value(found, hint, value, (*path, name), source)
        return found

    def _value(self, changed: dict[str, Any], hint: Any, value: Any, path: tuple[str, ...], source: str) -> None:
        hidden = hiding(hint)
        if not isinstance(value, EnvironmentText) and _carries_secret(hidden, value):
            self.mistakes.append(
                f"{dotted(path)} ({source}): a password does not belong in the settings file;"
                f" set {variable_of(path)} or {dotted(path)}{SUFFIX}, and leave it out here"
            )
            return
        try:
            made = msgspec.convert(
                _literal(value, hint) if isinstance(value, EnvironmentText) else value, hint, strict=not isinstance(value, EnvironmentText)
            )
            if not fits(made, hint):
                raise ValueError
        except (msgspec.ValidationError, ValueError):
            self._refused.add(path)
            self.mistakes.append(f"{dotted(path)} = {show(value, hidden)} ({source}): expected {describe(hint)}{suggestion(value, hint)}")
        else:
            changed[path[-1]] = made
            if hidden:
                self._secret(path, value, source)

    def _unknown(self, path: tuple[str, ...], valid: Iterable[str], source: str) -> None:
        guess = nearest(path[-1], valid)
        known = ", ".join(valid)
        self.mistakes.append(
            f"{dotted(path)} ({source}): no such setting; "
            + (f"did you mean {dotted((*path[:-1], guess))}?" if guess else f"{dotted(path[:-1]) or 'the file'} has {known}")
        )

    def _is_table(self, value: Any, path: tuple[str, ...], source: str) -> bool:
        if isinstance(value, Mapping):
            return True
        self._refused.add(path)
        self.mistakes.append(f"{dotted(path)} = {show(value, None)} ({source}): expected a table")
        return False


def _parse_file(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(decode_utf8(expanded(path).read_bytes()), parse_float=Decimal)
    except OSError as exc:
        raise SettingsError(f"{path}: cannot read the settings file: {exc.strerror}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"{path}: not TOML: {exc}") from exc
    except ValueError as exc:
        raise SettingsError(f"{path}: cannot read the settings file: {exc}") from exc


def _nested(keys: tuple[str, ...], value: EnvironmentText) -> dict[str, Any]:
    table: Any = value
    for key in reversed(keys):
        table = {key: table}
    return cast("dict[str, Any]", table)


def _literal(text: EnvironmentText, hint: Any) -> Any:
    """Returns the value that a variable's text means. Lists: `a,b` or `["a", "b"]`; tables: `{…}`, as TOML or JSON."""
    info = msgspec.inspect.type_info(hint)
    stripped = text.strip()
    if isinstance(info, msgspec.inspect.VarTupleType) and not stripped.startswith("["):
        return [item.strip() for item in stripped.split(",") if item.strip()]
    if stripped.startswith(("[", "{")) and not isinstance(info, msgspec.inspect.StrType):
        return _parse(stripped)
    return str(text)


def _parse(text: str) -> Any:
    """Returns what JSON or TOML text means. Raises `ValueError`."""
    try:
        return json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]


def _parsed(value: Any) -> Any:
    """Returns the table that a variable's text means, if it is one; any other value as it is."""
    if isinstance(value, EnvironmentText) and value.strip().startswith("{"):
        with contextlib.suppress(ValueError):
            return _parse(value.strip())
    return value


def _carries_secret(hidden: str | None, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    if hidden == "credentials":
        userinfo = value.rpartition("://")[2].rpartition("@")[0]
        return ":" in userinfo or "password=" in value.lower()
    return hidden == "all"
