"""Exports the contract for other languages: JSON Schema of every event, AsyncAPI 3 of every stream and channel.

Both are made from the structs and their docstrings, never by hand.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec

from crosstape_schemas.computed_events import DepthLeg, InputEvent, Leg, Part, Rate, Sweep, Vwap
from crosstape_schemas.event import Event
from crosstape_schemas.events import KINDS
from crosstape_schemas.keys import Keys
from crosstape_schemas.timeframes import TIMEFRAMES

PARTS: Final[tuple[type, ...]] = (Leg, Vwap, Rate, Part, DepthLeg, Sweep, InputEvent)
"""The structs that events consist of."""

CONTRACT_VERSION: Final = "1.0.0"
"""Version of the contract, not of the program. The first number changes when a field changes its meaning or is removed."""

DECIMAL: Final = {
    "type": "string",
    "format": "decimal",
    "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
    "description": "A number in plain notation with the venue's own digits: `12700.00`, `0.00000061`, `0.00000000`; never an exponent.",
}
"""Schema of a price or size: never a JSON number, which most readers would round."""

_REF: Final = "#/$defs/{name}"
_ASYNC_REF: Final = "#/components/schemas/{name}"


def json_schema() -> dict[str, Any]:
    """Returns one JSON Schema (draft 2020-12) that every event on the tape satisfies, with a definition for each kind."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "crosstape events",
        "description": "The JSON in field `d` of a stream's entry, and on the channel with the same name.",
        "oneOf": [{"$ref": _REF.format(name=cls.__name__)} for cls in KINDS.values()],
        "$defs": _definitions(_REF),
    }


def asyncapi() -> dict[str, Any]:
    """Returns an AsyncAPI 3.0 document of what crosstape sends. Each address is a stream and a channel with the same name."""
    keys = Keys()
    channels = {kind: _channel(keys, kind) for kind in KINDS}
    channels["venue"] = {
        "address": keys.venue("{venue}"),
        "title": "A venue's own status and gaps",
        "description": "Status and gaps of the whole venue; its status is repeated at a steady pace, as its sign of life.",
        "parameters": {"venue": _parameter("A venue's id.", ["binance", "coinbase", "kraken"])},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in ("status", "gap")},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "crosstape",
            "version": CONTRACT_VERSION,
            "description": (
                "A consolidated crypto tape on a Redis-protocol server. Every address below is a stream (each entry has one field `d`, the"
                " event's JSON) and a publish/subscribe channel of the same name (the payload is the same JSON). The stream is the record;"
                " the channel delivers each event at most once. The set"
                f" `{keys.registry()}` names every stream that exists. The streams `{keys.bell('trade')}`,"
                f" `{keys.bell('quote')}` …, which have no channels, have an entry for each batch that wrote streams of that kind: its"
                " field `s` names these, with one space between them, or is `*` for any of them."
                " They are a hint for readers of many streams."
                f" `{keys.prefix}` is the default prefix; on a cluster a hash tag"
                " follows it."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bus": {
                "host": "127.0.0.1:6379",
                "protocol": "redis",
                "description": "Redis or Valkey; an embedded one listens on a unix socket.",
            }
        },
        "channels": channels,
        "operations": {
            name: {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{kind}"} for kind in channel["messages"]],
            }
            for name, channel in channels.items()
        },
        "components": {
            "messages": {
                kind: {
                    "name": kind,
                    "title": cls.__name__,
                    "summary": summary(cls),
                    "contentType": "application/json",
                    "payload": {"$ref": _ASYNC_REF.format(name=cls.__name__)},
                }
                for kind, cls in KINDS.items()
            },
            "schemas": _definitions(_ASYNC_REF),
        },
    }


def summary(cls: type) -> str:
    """Returns the first paragraph of a class's docstring."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


@cache
def field_docs(cls: type) -> dict[str, str]:
    """Returns field → its docstring, for a class of ours and its bases; fields without a docstring are left out."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("crosstape"):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(node, ast.ClassDef)
        for field, after in zip(node.body, node.body[1:], strict=False):
            match field, after:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = inspect.cleandoc(text).replace("\n", " ")
    return found


def _channel(keys: Keys, kind: str) -> dict[str, Any]:
    feed = f"{kind}:{{timeframe}}" if "timeframe" in KINDS[kind].__struct_fields__ else kind
    newest = keys.last(feed, "{instrument}")
    timeframe = {"timeframe": {"description": "Length of a candle or bar.", "enum": list(TIMEFRAMES)}}
    return {
        "address": keys.stream(feed, "{instrument}"),
        "title": summary(KINDS[kind]),
        "description": f"All venues, in order of arrival. The newest of each venue: hash `{newest}`, field = venue.",
        "parameters": {
            **(timeframe if feed != kind else {}),
            "instrument": _parameter("Our name of an instrument.", ["BTC-USDT", "ETH-USD", "BTC-USDT-PERP"]),
        },
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
    }


def _parameter(description: str, examples: list[str]) -> dict[str, Any]:
    return {"description": description, "examples": examples}


def _definitions(ref: str) -> dict[str, Any]:
    return definitions_of([*KINDS.values(), *PARTS], ref)


def definitions_of(types: Sequence[type], ref: str) -> dict[str, Any]:
    """Returns name → JSON Schema of these structs and of those in them, with their docstrings; `ref` is a reference to `{name}`."""
    _, definitions = msgspec.json.schema_components(types, ref_template=ref)
    for cls in types:
        properties = definitions[cls.__name__]["properties"]
        for name, text in field_docs(cls).items():
            properties[name]["description"] = text
        if issubclass(cls, Event):
            definitions[cls.__name__]["required"] += ["epoch", "seq"]  # their defaults are for parsers, which do not stamp
    for definition in definitions.values():
        definition["description"] = inspect.cleandoc(definition.get("description", ""))  # Python 3.13 has done so already, the others not
    made = {name: _with_decimals(schema, ref) for name, schema in definitions.items()} | {"Decimal": DECIMAL}
    return {name: made[name] for name in sorted(made)}


def _with_decimals(schema: Any, ref: str) -> Any:
    """Returns the schema with each decimal as a reference to `DECIMAL`: msgspec gives no pattern."""
    if isinstance(schema, list | tuple):
        return [_with_decimals(item, ref) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"$ref": ref.format(name="Decimal")} | {key: schema[key] for key in schema.keys() - {"type", "format"}}
    return {name: _with_decimals(value, ref) for name, value in schema.items()}
