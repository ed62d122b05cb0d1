"""The contract for other languages: what the documents say is what is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from crosstape_schemas import KINDS, TIMEFRAMES, Event, encode
from crosstape_schemas.export import asyncapi, field_docs, json_schema, summary
from tests.schemas.strategies import events

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


@given(events())
def test_every_event_satisfies_the_schema(event: Event) -> None:
    """The published schema never refuses what a producer of ours writes."""
    VALIDATOR.validate(json.loads(encode(event)))


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", 12700.0), ("price", "12,700"), ("price", "NaN"), ("taker", "ask"), ("received_ts", "1"), ("type", "nothing"), ("seq", None)],
)
def test_the_schema_refuses_what_is_not_ours(field: str, value: object) -> None:
    """A price is never a JSON number; enumerations have only the listed values."""
    trade: dict[str, Any] = {
        "type": "trade", "venue": "v", "instrument": "A-B", "venue_ts": None, "received_ts": 1, "price": "1", "size": "1",
        "taker": None, "trade_id": "1", "backfilled": False, "epoch": 1, "seq": 1,
    }  # fmt: skip
    VALIDATOR.validate(trade)

    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(trade | {field: value})


def test_the_schema_is_a_schema() -> None:
    """It is valid by the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(("name", "made"), [("events.schema.json", json_schema), ("asyncapi.json", asyncapi)])
def test_the_committed_documents_are_those_of_the_code(name: str, made: Any) -> None:
    """A change of the contract is seen in review: run `make schema`."""
    assert json.loads((REFERENCE / name).read_text()) == made()


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    """Channels to messages, operations to channels, messages to schemas."""
    document = asyncapi()

    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        node: Any = document
        for part in reference.split("/"):
            node = node[part]


def test_the_asyncapi_document_has_every_kind() -> None:
    """Each with its address and exactly that address's parameters."""
    document = asyncapi()

    assert set(document["components"]["messages"]) == set(KINDS)
    assert set(document["channels"]) == {*KINDS, "venue"}
    for channel in document["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
    assert document["channels"]["cbbo"]["address"] == "tape:cbbo:{instrument}"
    candles = document["channels"]["candle"]
    assert candles["address"] == "tape:candle:{timeframe}:{instrument}"
    assert "`tape:last:candle:{timeframe}:{instrument}`" in candles["description"]
    assert candles["parameters"]["timeframe"]["enum"] == list(TIMEFRAMES)


def test_documents_take_their_words_from_the_code() -> None:
    """A field's docstring is its description, its base's too."""
    trade = KINDS["trade"]

    assert field_docs(trade)["backfilled"].startswith("The trade was not seen live")
    assert field_docs(trade)["seq"].startswith("1, 2, 3")
    assert summary(trade) == "One execution. Price: quote per base; size: base units."
