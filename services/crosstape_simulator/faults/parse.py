"""Reads faults from what a person writes or a program sends:

`stall venue=kraken instrument=BTC-USDT for=10`, or JSON with the same names.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from crosstape.settings.words import describe, nearest
from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.faults.table import FAULTS


def from_text(text: str) -> AnyFault:
    """Read a name, then parameters as `name=value`. Raises `FaultError`."""
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise FaultError(f"{text!r}: {exc}") from exc
    name, *pairs = words or [""]
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise FaultError(f"{name}: {pair!r}: expected NAME=VALUE")
        values[key] = value
    return _made(name, values, strict=False)


def from_json(body: bytes) -> AnyFault:
    """Read `{"fault": "stall", "venue": "kraken", "for": 10}`. Raises `FaultError`."""
    try:
        values = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise FaultError(f"neither a fault's text nor a JSON object: {exc}") from exc
    return _made(values.pop("fault", None), values, strict=True)


def _made(name: object, values: Mapping[str, Any], *, strict: bool) -> AnyFault:
    cls = FAULTS.get(str(name).replace("_", "-"))
    if cls is None:
        raise FaultError(f"{name}: no such fault{_meant(str(name), FAULTS)}")
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise FaultError(f"{name}: {key}: no such parameter{_meant(key, fields)}")
        try:
            made[fields[key].name] = msgspec.convert(_literal(value, fields[key].type), fields[key].type, strict=strict)
        except msgspec.ValidationError as exc:
            raise FaultError(f"{name}: {key}={value}: expected {describe(fields[key].type)}{_word(value, fields[key].type)}") from exc
    return cast("AnyFault", cls(**made))


def _literal(value: Any, hint: Any) -> Any:
    """A number for one of a few numbers that is written as text: msgspec would compare the text."""
    info = msgspec.inspect.type_info(hint)
    numbers = isinstance(info, msgspec.inspect.LiteralType) and isinstance(info.values[0], int)
    return int(value) if numbers and isinstance(value, str) and value.isdecimal() else value


def _word(value: Any, hint: Any) -> str:
    info = msgspec.inspect.type_info(hint)
    words = [str(word) for word in info.values] if isinstance(info, msgspec.inspect.LiteralType) else []
    guess = nearest(str(value), words)
    return f"; did you mean {guess}?" if guess else ""


def _meant(name: str, known: Mapping[str, object]) -> str:
    guess = nearest(name, known)
    return f"; did you mean {guess}?" if guess else f"; there are {', '.join(known)}"
