"""The reference of the gateway, from its OpenAPI document and its messages: for docs/reference/gateway.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from crosstape_gateway.openapi import MESSAGES, document
from crosstape_gateway.openapi_texts import ERRORS, INSTRUMENT_NEEDED, PARAMETERS
from crosstape_gateway.rest.inventory import InstrumentOnTape, VenueState
from crosstape_schemas.export import field_docs

_STRUCTS: Final = (VenueState, InstrumentOnTape)


def gateway() -> Iterator[str]:
    """Paths, parameters, statuses, the gateway's own messages, and rows that are no events."""
    yield "## Paths\n"
    yield from _table(["request", "answer", "parameters"], list(_paths()))
    yield "## Parameters\n"
    yield from _table(
        ["name", "meaning", "example"], [[f"`{name}`", text, f"`{example}`"] for name, (text, _, example) in PARAMETERS.items()]
    )
    yield "## Statuses\n"
    yield from _table(["status", "when"], [[str(status), text] for status, text in ERRORS.items()])
    yield "## Messages of the gateway\n"
    for cls in MESSAGES:
        config: Any = cls
        where = ", of `/api/candles/stream`" if cls.__name__ == "CandlesConnected" else ""
        yield f"### `{config.__struct_config__.tag}`{where}\n\n{_doc(cls)}\n"
        yield from _fields(config)
    yield "## Rows that are no events\n"
    for struct in _STRUCTS:
        yield f"### {struct.__name__}\n\n{_doc(struct)}\n"
        yield from _fields(struct)


def _paths() -> Iterator[list[str]]:
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            names = []
            for one in operation.get("parameters", ()):
                name = one["$ref"].rpartition("/")[2] if "$ref" in one else one["name"]
                names.append(f"**`{name}`**" if one.get("required") else f"`{name}`")
            if operation.get("description") == INSTRUMENT_NEEDED:
                names = ["**`instrument`** or **`symbol`**", *(name for name in names if name not in {"`instrument`", "`symbol`"})]
            yield [f"{method.upper()} `{path}`", operation["summary"], ", ".join(names)]


def _fields(cls: type[msgspec.Struct]) -> Iterator[str]:
    docs = field_docs(cls)
    yield from _table(["field", "meaning"], [[f"`{name}`", docs.get(name, "")] for name in cls.__struct_fields__])


def _doc(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").replace("\n", " ")


def _table(heading: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
