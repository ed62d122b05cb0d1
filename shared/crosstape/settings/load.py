"""Reading the settings: one TOML file, then the environment over it; every mistake is named with its path.

`CROSSTAPE_<SECTION>__<KEY>` sets one key, with two underscores between levels: `CROSSTAPE_VENUES__KRAKEN__WS_URL`. Whatever is wrong
is found before anything starts, all of it at once, and no message ever shows a secret. A secret can be given as the name of a file that
holds it, by its key with `_file` (`CROSSTAPE_BUS__PASSWORD_FILE`): see `secret_file`.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast, get_args, get_type_hints

import msgspec

from crosstape.errors import SettingsError
from crosstape.paths import expanded
from crosstape.settings import HIDDEN, Section, Settings, hiding, shown
from crosstape.settings.secrets import SUFFIX, secret_in
from crosstape.settings.service_variables import is_service_variable
from crosstape.text_file import decode_utf8

PREFIX: Final = "CROSSTAPE_"
FILE_VARIABLE: Final = "CROSSTAPE_SETTINGS"
"""Names the settings file, where none is given."""

_LEVEL: Final = "__"
_RENAMED: Final[dict[tuple[str, ...], str]] = {("connector", "line"): "replica"}
"""Old name of a setting → its name now. The old name is read for one release."""

S = TypeVar("S", bound=Section)


def load(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of `path` (else of the file that `CROSSTAPE_SETTINGS` names, else the defaults), then the environment's over them.

    Raises `SettingsError`, one line per mistake.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get(FILE_VARIABLE) or None
    reader = _Reader()
    settings = Settings()
    if path is not None:
        settings = reader.section(settings, _parse_file(path), (), str(path))
    for name, keys, text in _variables(environ, reader.mistakes):
        settings = reader.section(settings, _nested(keys, _Text(text)), (), name)
    settings = reader.with_secrets(settings)
    if reader.mistakes:
        raise SettingsError("\n".join(reader.mistakes))
    return settings


def ignored_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the variables that begin as settings do and that a container platform added for its own services."""
    environ = os.environ if environ is None else environ
    return [name for name in sorted(environ) if name.startswith(PREFIX) and name != FILE_VARIABLE and _is_ignored(name, environ)]


def describe(hint: object) -> str:
    """What a setting of this type may be, in words: `a number > 0`, `a list of text`."""
    above = _above(hint)
    return _describe(msgspec.inspect.type_info(hint)) + (f" > {above:g}" if above > -math.inf else "")


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that was probably meant."""
    return next(iter(difflib.get_close_matches(name.lower(), list(valid), n=1, cutoff=0.6)), None)


class _Text(str):
    """A value as the environment has it: text, whatever its type."""

    __slots__ = ()


class _Origin(NamedTuple):
    """Where a value stands: the name of a variable or of the settings file."""

    source: str
    environment: bool


class _Reader:
    """Lays raw tables over settings; collects mistakes instead of stopping at the first.

    Files of secrets are read at the end, when it is known which are asked for: the environment may name another than the settings file, or
    give the secret itself.
    """

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._given: dict[tuple[str, ...], _Origin] = {}  # path of a secret → what gave it outright
        self._files: dict[tuple[str, ...], tuple[str, _Origin]] = {}  # path of a secret → the file that holds it, and what named that

    def section(self, current: S, table: Mapping[str, Any], path: tuple[str, ...], source: str) -> S:
        """`current` with the keys of `table` replaced, at all levels."""
        hints = get_type_hints(type(current), include_extras=True)
        changed: dict[str, Any] = {}
        for name, value in table.items():
            key = _RENAMED.get((*path, name), name)
            here = (*path, key)
            if key != name and key in table:
                self.mistakes.append(f"{'.'.join((*path, name))} ({source}): this is the old name of {'.'.join(here)}; leave it out")
            elif key not in hints and hiding(hints.get(key.removesuffix(SUFFIX))):
                self._file((*path, key.removesuffix(SUFFIX)), value, source)
            elif key not in hints:
                self._unknown(here, hints, source)
            elif isinstance(before := getattr(current, key), Section):
                if self._is_table(value, here, source):
                    changed[key] = self.section(before, value, here, source)
            elif inner := _table_of(hints[key]):
                if self._is_table(value, here, source):
                    changed[key] = self._tables(before, inner, value, here, source)
            else:
                self._value(changed, hints[key], value, here, source)
        return msgspec.structs.replace(current, **changed)

    def with_secrets(self, settings: Settings) -> Settings:
        """`settings` with what the files hold."""
        files, self._files = self._files, {}
        for path, (name, origin) in files.items():
            try:
                text = secret_in(expanded(name))
            except ValueError as exc:
                self.mistakes.append(f"{'.'.join(path)}{SUFFIX} = {_show(name, None)} ({origin.source}): {exc}")
            else:
                settings = self.section(settings, _nested(path, _Text(text)), (), origin.source)
        return settings

    def _file(self, path: tuple[str, ...], value: Any, source: str) -> None:
        """Take note of where a secret is to be found. No name: nowhere."""
        self._files.pop(path, None)
        origin = _Origin(source, environment=isinstance(value, _Text))
        if not isinstance(value, str):
            self.mistakes.append(f"{'.'.join(path)}{SUFFIX} = {_show(value, None)} ({source}): expected text, the name of a file")
        elif value.strip() and self._is_only(path, self._given.get(path), origin):
            self._files[path] = (value.strip(), origin)

    def _outright(self, path: tuple[str, ...], value: Any, source: str) -> None:
        """Take note of a secret that is given itself. The file that was named before it counts no more."""
        _, named_by = self._files.pop(path, ("", None))
        origin = _Origin(source, environment=isinstance(value, _Text))
        if value and self._is_only(path, named_by, origin):
            self._given[path] = origin

    def _is_only(self, path: tuple[str, ...], other: _Origin | None, origin: _Origin) -> bool:
        """The environment goes before the settings file; a secret and a file of it, both from one of these, leave open which is meant."""
        if other is None or other.environment != origin.environment:
            return True
        key = ".".join(path)
        names = sorted({other.source, origin.source}) if origin.environment else [key, f"{key}{SUFFIX} ({origin.source})"]
        self.mistakes.append(f"{' and '.join(names)}: both are given; leave one out")
        return False

    def _tables(
        self, current: Mapping[str, S], inner: type[S], tables: Mapping[str, Any], path: tuple[str, ...], source: str
    ) -> dict[str, S]:
        found = dict(current)
        for name, table in tables.items():
            if self._is_table(table, (*path, name), source):
                found[name] = self.section(found.get(name) or inner(), table, (*path, name), source)
        return found

    def _value(self, changed: dict[str, Any], hint: Any, value: Any, path: tuple[str, ...], source: str) -> None:
        hidden = hiding(hint)
        if not isinstance(value, _Text) and _carries_secret(hidden, value):
            self.mistakes.append(
                f"{'.'.join(path)} ({source}): a password does not belong in the settings file;"
                f" set {_variable(path)} or {'.'.join(path)}{SUFFIX}, and leave it out here"
            )
            return
        try:
            made = msgspec.convert(_literal(value, hint) if isinstance(value, _Text) else value, hint, strict=not isinstance(value, _Text))
            if isinstance(made, float | Decimal) and not (math.isfinite(made) and made > _above(hint)):
                raise ValueError
        except (msgspec.ValidationError, ValueError):
            self.mistakes.append(f"{'.'.join(path)} = {_show(value, hidden)} ({source}): expected {describe(hint)}{_meant(value, hint)}")
        else:
            changed[path[-1]] = made
            if hidden:
                self._outright(path, value, source)

    def _unknown(self, path: tuple[str, ...], valid: Iterable[str], source: str) -> None:
        guess = nearest(path[-1], valid)
        known = ", ".join(valid)
        self.mistakes.append(
            f"{'.'.join(path)} ({source}): no such setting; "
            + (f"did you mean {'.'.join((*path[:-1], guess))}?" if guess else f"{'.'.join(path[:-1]) or 'the file'} has {known}")
        )

    def _is_table(self, value: Any, path: tuple[str, ...], source: str) -> bool:
        if isinstance(value, Mapping):
            return True
        self.mistakes.append(f"{'.'.join(path)} = {_show(value, None)} ({source}): expected a table")
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


def _variables(environ: Mapping[str, str], mistakes: list[str]) -> Iterable[tuple[str, tuple[str, ...], str]]:
    """(name, keys, text) of each variable that sets something, by name. `CROSSTAPE_BUS_URL` sets nothing, but was meant to."""
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
    return tuple(name.removeprefix(PREFIX).lower().split(_LEVEL))


def _is_ignored(name: str, environ: Mapping[str, str]) -> bool:
    """A setting that exists is read, whatever its value looks like."""
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
    inner = None if hint is None else _table_of(hint)
    return inner is not None and len(rest) > 1 and _is_setting(tuple(rest[1:]), inner)


def _nested(keys: tuple[str, ...], value: _Text) -> dict[str, Any]:
    table: Any = value
    for key in reversed(keys):
        table = {key: table}
    return cast("dict[str, Any]", table)


def _variable(path: tuple[str, ...]) -> str:
    return PREFIX + _LEVEL.join(path).upper()


def _table_of(hint: Any) -> type[Section] | None:
    """The section that a table of tables holds: `dict[str, VenueSettings]` → `VenueSettings`."""
    info = msgspec.inspect.type_info(hint)
    if isinstance(info, msgspec.inspect.DictType) and isinstance(info.value_type, msgspec.inspect.StructType):
        return cast("type[Section]", info.value_type.cls)
    return None


def _literal(text: _Text, hint: Any) -> Any:
    """Text of the environment as the value it stands for. Lists: `a,b` or `["a", "b"]`; tables: `{…}`, as TOML or JSON."""
    info = msgspec.inspect.type_info(hint)
    stripped = text.strip()
    if isinstance(info, msgspec.inspect.VarTupleType) and not stripped.startswith("["):
        return [item.strip() for item in stripped.split(",") if item.strip()]
    if stripped.startswith(("[", "{")) and not isinstance(info, msgspec.inspect.StrType):
        try:
            return json.loads(stripped)
        except json.JSONDecodeError:
            return tomllib.loads(f"value = {stripped}")["value"]
    return str(text)


def _above(hint: Any) -> float:
    """The bound of a decimal, which msgspec has none for; minus infinity where the type sets none."""
    extras = [meta.extra or {} for meta in get_args(hint)[1:] if isinstance(meta, msgspec.Meta)]
    return next((extra["above"] for extra in extras if "above" in extra), -math.inf)


def _carries_secret(hidden: str | None, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    if hidden == "credentials":
        userinfo = value.rpartition("://")[2].rpartition("@")[0]
        return ":" in userinfo or "password=" in value.lower()
    return hidden == "all"


def _show(value: Any, hidden: str | None) -> str:
    """A value for a message: as TOML would have it, cut where long, hidden where secret."""
    if hidden == "all":
        return HIDDEN
    text = shown(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else text[:79] + "…"


def _meant(value: Any, hint: Any) -> str:
    """`; did you mean "info"?` where one of a few words was expected."""
    info = msgspec.inspect.type_info(hint)
    given = [value]
    if isinstance(info, msgspec.inspect.VarTupleType):
        given = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list) else []
        info = info.item_type
    if not isinstance(info, msgspec.inspect.LiteralType):
        return ""
    words = [str(word) for word in info.values]
    guesses = [nearest(str(item).strip(), words) for item in given if str(item).strip() not in words]
    return "".join(f'; did you mean "{guess}"?' for guess in guesses[:1] if guess)


def _describe(info: msgspec.inspect.Type) -> str:
    match info:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return f"a whole number{_bounds(info)}"
        case msgspec.inspect.FloatType() | msgspec.inspect.DecimalType():
            return f"a number{_bounds(info)}"
        case msgspec.inspect.StrType():
            return f"text like {info.pattern}" if info.pattern else "text"
        case msgspec.inspect.LiteralType():
            return "one of " + ", ".join(f'"{word}"' for word in info.values)
        case msgspec.inspect.VarTupleType():
            return "a list of " + _describe(info.item_type).removeprefix("a ")
        case msgspec.inspect.UnionType():
            return " or ".join(_describe(part) for part in info.types)
        case msgspec.inspect.DictType():
            return f"a table of {_describe(info.value_type)}"
        case msgspec.inspect.Metadata():
            return _describe(info.type)
        case _:
            return type(info).__name__


def _bounds(info: msgspec.inspect.IntType | msgspec.inspect.FloatType | msgspec.inspect.DecimalType) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [f" {sign} {getattr(info, name):g}" for name, sign in signs.items() if getattr(info, name, None) is not None]
    return " and".join(bounds)
