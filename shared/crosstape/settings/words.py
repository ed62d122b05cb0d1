"""Puts settings into words, for messages and for the reference: what a setting may be, a value as it was given, the name that was meant."""

from __future__ import annotations

import difflib
import json
import math
import operator
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec

from crosstape.settings.model import HIDDEN, Kind, shown

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A key that needs no quotes in TOML."""
_COMPARE: Final = {">": operator.gt, "≥": operator.ge, "<": operator.lt}


def describe(hint: object) -> str:
    """Says what a setting of this type may be: `a number > 0`, `a list of text`."""
    return _describe(msgspec.inspect.type_info(hint))


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Returns the valid name that was probably meant, if one is near."""
    return next(iter(difflib.get_close_matches(name.lower(), list(valid), n=1, cutoff=0.6)), None)


def fits(value: Any, hint: Any) -> bool:
    """Whether all numbers in a value are finite, and decimals within the bounds that msgspec cannot express."""
    return _fits(value, msgspec.inspect.type_info(hint))


def dotted(path: Iterable[str]) -> str:
    """Returns the path of a key as TOML writes it: `venues.kraken.ws_url`, `aggregator.composites."BTC-USD*".parts`."""
    return ".".join(key if _BARE.fullmatch(key) else f'"{key}"' for key in path)


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
            return f"a list of {_plural(info.item_type)}"
        case msgspec.inspect.UnionType():
            return " or ".join(_describe(part) for part in info.types)
        case msgspec.inspect.DictType():
            return f"a table of {_plural(info.value_type)}"
        case msgspec.inspect.Metadata():
            return _describe(info.type) + " and".join(f" {sign} {extra:g}" for sign, extra in _decimal_bounds(info.extra))
        case _:
            return type(info).__name__


def _bounds(info: msgspec.inspect.IntType | msgspec.inspect.FloatType | msgspec.inspect.DecimalType) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [f" {sign} {getattr(info, name):g}" for name, sign in signs.items() if getattr(info, name, None) is not None]
    return " and".join(bounds)


def _plural(info: msgspec.inspect.Type) -> str:
    """What stands in a list or table: `numbers > 0`, `text`, `one of …`."""
    text = _describe(info)
    for one, many in (
        ("a number", "numbers"),
        ("a whole number", "whole numbers"),
        ("a list", "lists"),
        ("text or a table", "text or tables"),
    ):
        if text.startswith(one):
            return many + text.removeprefix(one)
    return text.removeprefix("a ")


def _decimal_bounds(extra: Mapping[str, Any] | None) -> list[tuple[str, float]]:
    found = extra or {}
    return [(sign, found[name]) for name, sign in (("above", ">"), ("at least", "≥"), ("below", "<")) if name in found]


def _fits(value: Any, info: msgspec.inspect.Type) -> bool:
    match info:
        case msgspec.inspect.Metadata():
            signs = _decimal_bounds(info.extra)
            return _fits(value, info.type) and all(_COMPARE[sign](value, bound) for sign, bound in signs)
        case msgspec.inspect.VarTupleType():
            return all(_fits(item, info.item_type) for item in value)
        case msgspec.inspect.DictType():
            return all(_fits(item, info.value_type) for item in value.values())
        case _:
            return not isinstance(value, float | Decimal) or math.isfinite(value)
