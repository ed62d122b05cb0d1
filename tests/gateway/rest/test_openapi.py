"""The OpenAPI document: it is valid, complete, current, and says what the gateway does."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from redis.asyncio import Redis

import crosstape_gateway
from crosstape.settings import GatewaySettings
from crosstape_gateway.openapi import document
from crosstape_schemas import Book, EdgeChange, FeedState, Liquidation, Mark, Quote, Side
from tests.gateway.rest.served import publish, put, serving
from tests.gateway.rest.test_history import bar, candle, gap, ms, sign, trade
from tests.gateway.rest.test_inventory import edge
from tests.gateway.rest.test_last_values import TS, cbbo

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
METHODS = ("get", "post", "delete")


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of each."""
    return [(path, method, item[method]) for path, item in document()["paths"].items() for method in METHODS if method in item]


def resolved(node: Any) -> Any:
    """What a reference leads to."""
    while isinstance(node, dict) and set(node) == {"$ref"}:
        found: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def validator(path: str, status: int) -> jsonschema.Draft202012Validator:
    """Checks answers of one path."""
    answer = resolved(document()["paths"][path]["get"]["responses"][str(status)])
    return jsonschema.Draft202012Validator({**answer["content"]["application/json"]["schema"], "components": document()["components"]})


def test_the_committed_document_is_that_of_the_code() -> None:
    """A change of the contract is seen in review: run `make schema`."""
    assert json.loads((REFERENCE / "openapi.json").read_text()) == document()


def test_every_reference_leads_somewhere() -> None:
    """To schemas, parameters and answers."""
    for reference in set(re.findall(r'"\$ref": "(#/[^"]+)"', json.dumps(document()))):
        assert resolved({"$ref": reference})


def test_every_schema_is_one() -> None:
    """By the draft that OpenAPI 3.1 uses."""
    for schema in document()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for parameter in document()["components"]["parameters"].values():
        jsonschema.Draft202012Validator(parameter["schema"]).validate(parameter["example"])


def test_every_operation_is_complete() -> None:
    """It has a sentence, an id of its own, answers, and a parameter for each part of its path."""
    ids = [operation["operationId"] for _, _, operation in operations() if "operationId" in operation]
    assert len(set(ids)) == len(ids)
    for path, _, operation in operations():
        assert operation["summary"].endswith(".")
        assert operation["responses"]
        in_path = {one["name"] for one in document()["paths"][path].get("parameters", ()) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))


def test_every_code_of_an_error_is_in_the_reference() -> None:
    """With the status that it comes with."""
    page = (REFERENCE / "gateway.md").read_text()
    rows = [line.split("|") for line in page.split("\n") if line.startswith("| `")]
    documented = {code: re.findall(r"\d{3}", row[2]) for row in rows for code in re.findall(r"`(\w+)`", row[1])}
    sources = [path.read_text() for path in (Path(crosstape_gateway.__file__).parent).rglob("*.py")]
    raised = {(code, status) for text in sources for status, code in re.findall(r'RequestError\((\d{3}), "(\w+)"', text)}

    assert len(raised) > 25
    assert [(code, status) for code, status in sorted(raised) if status not in documented.get(code, ())] == []


async def test_every_route_is_documented_and_nothing_else(client: Redis, valkey: str) -> None:
    """Each path with exactly its methods."""
    async with serving(valkey) as gateway:
        served = {
            (route.resource.canonical, route.method.lower())
            for route in gateway.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }

    assert {(path, method) for path, method, _ in operations()} == served


async def test_the_documented_parameters_are_those_that_are_read(client: Redis, valkey: str) -> None:
    """An unknown one is refused with the list of all that there are."""
    async with serving(valkey, streams=True) as gateway:
        for path, method, operation in operations():
            names = {resolved(one)["name"] for one in operation.get("parameters", ()) if resolved(one)["in"] == "query"}
            if method != "get" or not names:
                continue
            status, code, message = (await gateway.ask(f"{path}?%7E=1")).error
            assert (status, code) == (400, "unknown_parameter")
            assert set(re.split(r", ", message.partition("there are ")[2] or message.partition("parameters are ")[2])) == names, path


async def test_real_answers_are_as_documented(client: Redis, valkey: str) -> None:
    """Rows of all kinds, errors, and everything that answers without the tape."""
    one = Decimal("0.00000001")
    await publish(
        valkey, cbbo("BTC-USDT"), trade(1), gap(2), sign("kraken"), edge("a", "b", EdgeChange.OPEN),
        Quote("kraken", "BTC-USDT", None, TS, one, None, None, None), Mark("kraken", "BTC-USDT", None, TS, one),
        Book("kraken", "BTC-USDT", None, TS, ((one, one),), (), 10, FeedState.LIVE),
        Liquidation("kraken", "BTC-USDT", TS, TS, Side.BUY, one, one),
    )  # fmt: skip
    await put(client, bar(0), kind="bar:1m", ms=ms(62))
    await put(client, candle(0), kind="candle:1m", ms=ms(62))
    name = "instrument=BTC-USDT"
    topics = ["trade", "quote", "book", "gap", "cbbo", "edge", "mark", "liquidation"]
    asked = {
        "/api/venues": "", "/api/instruments": "", "/api/quotes": name, "/api/depth": name, "/api/trades": name, "/api/bars": name,
        "/api/candles": f"{name}&venue=kraken", "/api/gaps": "", "/api/edges": "", "/healthz": "", "/readyz": "", "/api/session": "",
        "/api/last": "topics=" + ",".join(f"{kind}:*" for kind in topics), "/api/openapi.json": "",
    }  # fmt: skip
    async with serving(valkey) as gateway:
        await gateway.parts.catalogue.look()
        for path, query in asked.items():
            answer = await gateway.ask(f"{path}?{query}")
            assert answer.status == 200
            validator(path, 200).validate(answer.json)
            if path not in ("/api/depth", "/healthz", "/readyz", "/api/session", "/api/openapi.json"):
                rows = next(value for value in answer.json.values() if isinstance(value, list))
                assert len(rows) == (len(topics) if path == "/api/last" else 1)
        for path, status in (("/api/quotes?instrument=X", 404), ("/api/depth", 400)):
            answer = await gateway.ask(path)
            assert answer.status == status
            validator(path.partition("?")[0], status).validate(answer.json)


async def test_the_schemas_refuse_what_the_gateway_never_sends(client: Redis, valkey: str) -> None:
    """A schema that takes everything would prove nothing."""
    await publish(valkey, cbbo("BTC-USDT"))
    async with serving(valkey) as gateway:
        good = (await gateway.get("/api/quotes")).json
    for bad in (
        {**good, "more": 1},
        {**good, "other": 1},
        {**good, "quotes": [good["quotes"][0] | {"bid_price": 57000.1}]},
        {"quotes": good["quotes"]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator("/api/quotes", 200).validate(bad)


async def test_the_document_is_served_once_and_without_a_token(client: Redis, valkey: str, tmp_path: Path) -> None:
    """A client that has it asks whether it is still the same."""
    file = tmp_path / "tokens"
    file.touch(mode=0o600)
    file.write_text("alice:0123456789abcdef")
    async with serving(valkey, GatewaySettings(port=0, tokens_file=str(file))) as gateway:
        first = await gateway.ask("/api/openapi.json")
        again = await gateway.ask("/api/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
        changed = await gateway.ask("/api/openapi.json", headers={"If-None-Match": '"other"'})

    assert first.json == document()
    assert first.headers["Content-Encoding"] == "gzip"
    assert (again.status, again.body) == (304, b"")
    assert changed.status == 200


@pytest.mark.parametrize("path", ["/api/trades", "/api/bars", "/api/candles", "/api/depth"])
@pytest.mark.parametrize("name", ["instrument", "symbol"])
async def test_either_name_of_the_instrument_will_do(client: Redis, valkey: str, path: str, name: str) -> None:
    """So the document requires neither alone, and says that one of them is needed."""
    await publish(valkey, bar(0), trade(1))
    operation = document()["paths"][path]["get"]
    assert not any(one.get("required") for one in operation["parameters"])
    assert "required" in operation["description"]
    async with serving(valkey) as gateway:
        assert (await gateway.get(path, **{name: "BTC-USDT"})).status == 200
        assert (await gateway.get(path)).error[:2] == (400, "missing_parameter")
