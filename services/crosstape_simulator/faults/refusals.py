"""How each venue refuses a subscription: its own words, and what becomes of the rest of the request."""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec

from crosstape_simulator.faults.messages import Asked
from crosstape_simulator.formats import iso_us
from crosstape_simulator.server.connection import Topic


def refusals(venue: str, endpoint: str, asked: Asked, bad: Collection[Topic]) -> tuple[list[bytes], Asked | None]:
    """The answers to a request of which `bad` is refused, and what is left of it; None: nothing.

    Kraken answers for each symbol; elsewhere one bad topic fails the whole message. Binance acknowledges even what it does not know: the
    refusal that it has is for too many subscriptions.
    """
    request = asked.request
    match venue, endpoint:
        case "binance", _:
            return [_json({"error": {"code": 4, "msg": "Too many subscriptions"}, "id": request.get("id")})], None
        case "kraken", _:
            return [_kraken(asked, topic) for topic in bad], _rest(asked, bad)
        case _, "advanced":
            return [_json({"type": "error", "message": "failure to subscribe: invalid product ids"})], None
        case _:
            product = next(iter(bad))[1]
            return [_json({"type": "error", "message": "Failed to subscribe", "reason": f"{product} is not a valid product"})], None


def _kraken(asked: Asked, topic: Topic) -> bytes:
    known = len(topic) > 1
    reply: dict[str, object] = {"error": f"Currency pair not supported {topic[1]}" if known else "Unsupported channel"}
    reply |= {"method": "subscribe", "success": False}
    if known:
        reply["symbol"] = topic[1]
    if asked.request.get("req_id") is not None:
        reply["req_id"] = asked.request["req_id"]
    now = time.time_ns()
    return _json(reply | {"time_in": iso_us(now), "time_out": iso_us(now + 35_000)})


def _rest(asked: Asked, bad: Collection[Topic]) -> Asked | None:
    left = tuple(topic for topic in asked.topics if topic not in bad)
    if not left:
        return None
    params = asked.request["params"] | {"symbol": [topic[1] for topic in left]}
    return Asked(asked.subscribe, left, asked.request | {"params": params})


def _json(reply: object) -> bytes:
    return msgspec.json.encode(reply)
