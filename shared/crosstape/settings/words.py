"""Puts settings into words, for messages and for the reference: what a setting may be, a value as it was given, the name that was meant."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from crosstape.settings.model import HIDDEN, Kind, shown


def describe(hint: object) -> str:
    """Says what a setting of this type may be: `a number > 0`, `a list of text`."""
    above = lower_bound(hint)
    return _describe(msgspec.inspect.type_info(hint)) + (f" > {above:g}" if above > -math.inf else "")


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Returns the valid name that was probably meant, if one is near."""
    return next(iter(difflib.get_close_matches(name.lower(), list(valid), n=1, cutoff=0.6)), None)


def lower_bound(hint: Any) -> float:
    """The bound above which a decimal must be, which msgspec cannot express; minus infinity where the type sets none."""
    extras = [meta.extra or {} for meta in get_args(hint)[1:] if isinstance(meta, msgspec.Meta)]
    return next((extra["above"] for extra in extras if "above" in extra), -math.inf)


def show(value: Any, hidden: str | None) -> str:
    """A value for a message: as TOML writes it, shortened where it is long, hidden where it is secret."""
    if hidden == "all":
        return HIDDEN
    text = shown(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else text[:79] + "…"


def suggestion(value: Any, hint: Any) -> str:
    """`; did you mean "info"?` where one of a few words was expected, or where candles are set, if they were meant; else nothing."""
    info = msgspec.inspect.type_info(hint)
    given = [value]
    if isinstance(info, msgspec.inspect.VarTupleType):
        given = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list) else []
        info = info.item_type
    if not isinstance(info, msgspec.inspect.LiteralType):
        return ""
    words = [str(word) for word in info.values]
    if set(words) == set(get_args(Kind)) and any(str(item).strip().startswith("candle") for item in given):
        return '; candles have a setting of their own, beside this one: candles = ["1m"]'
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
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.Metadata(extra={"in a list": str(items)})):
            return f"a list of {items}"
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
