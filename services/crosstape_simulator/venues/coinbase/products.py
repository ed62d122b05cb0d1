"""Coinbase's products: two lists by REST, one made from the other (a recording has one, a connector may ask for the other); their state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues.archetypes.symbols import Symbol

EXCHANGE: Final = "/products"
ADVANCED: Final = "/api/v3/brokerage/market/products"

_NAMES: Final = {
    "product_id": "id",
    "base_currency_id": "base_currency",
    "quote_currency_id": "quote_currency",
    "base_increment": "base_increment",
    "quote_increment": "quote_increment",
    "status": "status",
    "trading_disabled": "trading_disabled",
    "cancel_only": "cancel_only",
    "post_only": "post_only",
    "limit_only": "limit_only",
    "auction_mode": "auction_mode",
}
"""Advanced's name of a field → Exchange's."""


def to_exchange(body: bytes) -> bytes:
    """Advanced's answer as Exchange would give it: what both know."""
    rows: list[Mapping[str, Any]] = msgspec.json.decode(body)["products"]
    return msgspec.json.encode([{theirs: row[ours] for ours, theirs in _NAMES.items() if ours in row} for row in rows])


def to_advanced(body: bytes) -> bytes:
    """Exchange's answer as Advanced would give it."""
    rows: list[Mapping[str, Any]] = msgspec.json.decode(body)
    made = [
        {ours: row[theirs] for ours, theirs in _NAMES.items() if theirs in row}
        | {"price_increment": row.get("quote_increment"), "product_type": "SPOT", "is_disabled": False}
        for row in rows
    ]
    return msgspec.json.encode({"products": made, "num_products": len(made)})


def complete(answers: dict[tuple[str, str], list[bytes]]) -> None:
    """Add to recorded answers the list that is missing."""
    exchange, advanced = (EXCHANGE, ""), (ADVANCED, "")
    if advanced in answers:
        answers.setdefault(exchange, [to_exchange(body) for body in answers[advanced]])
    if exchange in answers:
        answers.setdefault(advanced, [to_advanced(body) for body in answers[exchange]])


def repeat_status(feed: Feed) -> int:
    """Send each client that has subscribed to it the products' state again; the clients are counted by the fault that changes it."""
    for topic, clients in tuple(feed.subscribers.items()):
        for connection in tuple(clients) if topic[0] == "status" else ():
            feed.source.subscribed(connection, topic)
    return 0


def exchange_row(symbol: Symbol) -> str:
    """A product in Exchange's list."""
    base, quote = symbol.pair.listing.base, symbol.pair.listing.quote
    steps = (
        f'"quote_increment":"{symbol.price(1)}","base_increment":"{symbol.size(1)}","display_name":"{symbol.name}","min_market_funds":"1"'
    )
    flags = '"margin_enabled":false,"post_only":false,"limit_only":false,"cancel_only":false,"status":"online","status_message":""'
    rest = '"trading_disabled":false,"fx_stablecoin":false,"auction_mode":false'
    return f'{{"id":"{symbol.name}","base_currency":"{base}","quote_currency":"{quote}",{steps},{flags},{rest}}}'


def status_row(symbol: Symbol) -> str:
    """A product in Advanced's `status` frames."""
    base, quote = symbol.pair.listing.base, symbol.pair.listing.quote
    steps = f'"base_increment":"{symbol.size(1)}","quote_increment":"{symbol.price(1)}","display_name":"{base}/{quote}"'
    head = f'"product_type":"SPOT","id":"{symbol.name}","base_currency":"{base}","quote_currency":"{quote}"'
    return f'{{{head},{steps},"status":"online","status_message":"","min_market_funds":"1"}}'


def advanced_row(symbol: Symbol) -> str:
    """A product in Advanced's list."""
    pair = symbol.pair
    tick, step = symbol.price(1), symbol.size(1)
    ids = f'"product_id":"{symbol.name}","base_currency_id":"{pair.listing.base}","quote_currency_id":"{pair.listing.quote}"'
    steps = f'"base_increment":"{step}","quote_increment":"{tick}","price_increment":"{tick}","base_min_size":"{step}"'
    state = '"status":"online","is_disabled":false,"trading_disabled":false,"view_only":false,"cancel_only":false,"auction_mode":false'
    rest = '"product_type":"SPOT","alias":"","alias_to":[],"product_venue":"CBE"'
    price = f'"price":"{symbol.short_price(pair.last.price)}","volume_24h":"{symbol.short_size(pair.volume)}"'
    return f"{{{ids},{price},{steps},{state},{rest}}}"
