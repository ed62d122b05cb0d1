"""Whether instruments trade, by REST: what is asked of each venue, and what its answers say."""

# ruff: noqa: E501 (answers as they stand on the wire)
from __future__ import annotations

import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import NOT_LISTED, TradingSource

SYMBOLS = {"binance": ("BTCUSDT", "ETHUSDT"), "coinbase": ("BTC-USD", "ETH-USD"), "kraken": ("BTC/USD", "ETH/USD")}


def body(venue: str, first: str, second: str = "") -> bytes:
    """An answer with a row for each of the two symbols; what is given is in place of `STATUS` in the row."""
    rows = {
        "binance": '{"symbol":"NAME","status":"TRADING","baseAsset":"X","isSpotTradingAllowed":true}',
        "coinbase": '{"id":"NAME","status":"online","trading_disabled":false,"cancel_only":false,"post_only":false,"limit_only":false,"auction_mode":false}',
        "kraken": '"KEY":{"altname":"NAME","wsname":"X","status":"online"}',
    }
    names = {"binance": ("BTCUSDT", "ETHUSDT"), "coinbase": ("BTC-USD", "ETH-USD"), "kraken": ("XBTUSD", "ETHUSD")}[venue]
    made = [rows[venue].replace("NAME", name).replace("KEY", name) for name in names]
    for index, change in enumerate((first, second)):
        if change:
            old, new = change.split(" → ")
            assert old in made[index]
            made[index] = made[index].replace(old, new)
    joined = ",".join(made).encode()
    return {"binance": b'{"symbols":[%s]}', "coinbase": b"[%s]", "kraken": b'{"error":[],"result":{%s}}'}[venue] % joined


def source(venue: str) -> TradingSource:
    """That of the venue: each has one."""
    found = VENUES[venue].trading
    assert found is not None
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_an_instrument_that_trades_has_no_reason(venue: str) -> None:
    """All that were asked for, and no others."""
    assert source(venue).parse(body(venue, ""), SYMBOLS[venue]) == dict.fromkeys(SYMBOLS[venue], "")
    assert source(venue).parse(body(venue, ""), SYMBOLS[venue][:1]) == {SYMBOLS[venue][0]: ""}


@pytest.mark.parametrize(
    ("venue", "change", "reason"),
    [
        *(("binance", f"TRADING → {word}", word) for word in ("BREAK", "HALT", "CANCEL_ONLY", "END_OF_DAY", "SOMETHING_NEW")),
        ("binance", '"isSpotTradingAllowed":true → "isSpotTradingAllowed":false', "not traded spot"),
        ("coinbase", '"online" → "delisted"', "delisted"),
        ("coinbase", '"online" → ""', "no status"),
        *(
            ("coinbase", f'"{flag}":false → "{flag}":true', flag.replace("_", " "))
            for flag in ("trading_disabled", "cancel_only", "post_only", "auction_mode")
        ),
        *(
            ("kraken", f"online → {word}", word)
            for word in ("cancel_only", "post_only", "delisted", "maintenance", "reduce_only", "something_new")
        ),
    ],
)
def test_anything_but_trading_has_the_venues_word_for_it(venue: str, change: str, reason: str) -> None:
    """Only the one concerned."""
    first, second = SYMBOLS[venue]
    assert source(venue).parse(body(venue, change), SYMBOLS[venue]) == {first: reason, second: ""}


@pytest.mark.parametrize(("venue", "change"), [("coinbase", '"limit_only":false → "limit_only":true'), ("kraken", "online → limit_only")])
def test_with_limit_orders_only_it_can_still_be_traded(venue: str, change: str) -> None:
    """Its quotes can be had."""
    assert set(source(venue).parse(body(venue, change), SYMBOLS[venue]).values()) == {""}


@pytest.mark.parametrize("venue", VENUES)
def test_what_is_not_in_the_list_any_more_does_not_trade(venue: str) -> None:
    """Where all are listed, absence says so; where they are asked for by name, an error may."""
    gone = (*SYMBOLS[venue], {"binance": "LUNAUSDT", "coinbase": "LUNA-USD", "kraken": "LUNA/USD"}[venue])
    assert source(venue).parse(body(venue, ""), gone) == {**dict.fromkeys(SYMBOLS[venue], ""), gone[-1]: NOT_LISTED}
    assert not source(venue).unknown("HTTP 404")


def test_binance_refuses_symbols_that_it_does_not_list() -> None:
    """All that were asked for together."""
    assert source("binance").unknown("https://x/y: -1121 Invalid symbol.")
    assert source("binance").unknown("https://x/y: HTTP 400")
    assert not source("binance").unknown("https://x/y: HTTP 418")
    assert source("binance").path(["BTCUSDT"]) == "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%5D&showPermissionSets=false"


@pytest.mark.parametrize(
    ("venue", "change"),
    [
        ("binance", '"status":"TRADING" → "status":null'),
        ("binance", '"status":"TRADING", → '),
        ("coinbase", '"status":"online" → "status":7'),
        ("coinbase", '"cancel_only":false → "cancel_only":"no"'),
        ("kraken", '"status":"online" → "status":[]'),
        ("kraken", '{"altname":"XBTUSD","wsname":"X","status":"online"} → null'),
    ],
)
def test_a_row_that_cannot_be_read_says_nothing_and_harms_no_other(venue: str, change: str) -> None:
    """Neither that it trades nor that it does not."""
    first, second = SYMBOLS[venue]
    found = source(venue).parse(body(venue, change), SYMBOLS[venue])
    assert found == {second: ""}
    assert first not in found


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("answer", [b"", b"null", b"{}", b'{"code":-1}', b"<html>", b"7"])
def test_what_is_no_list_is_an_error(venue: str, answer: bytes) -> None:
    """Nothing is halted by it."""
    with pytest.raises(FRAME_ERRORS):
        source(venue).parse(answer, SYMBOLS[venue])
