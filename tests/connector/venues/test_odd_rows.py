"""Lists of instruments with odd rows: each odd row is left out with its reason, and the other rows are used."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.rest import instruments
from crosstape_connector.rest.instruments import ListedInstruments
from crosstape_connector.venues.coinbase import values as coinbase
from crosstape_connector.venues.kraken import rest as kraken
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Instrument
from tests.connector.venues.test_contract import warp

Row = dict[str, Any]


def binance_row(base: str, quote: str = "USDT", **own: Any) -> Row:
    """A symbol of `exchangeInfo`."""
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}, {"filterType": "LOT_SIZE", "stepSize": "0.00001000"}]
    row = {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "isSpotTradingAllowed": True,
        "filters": filters,
    }
    return row | own


def exchange_row(base: str, quote: str = "USDT", **own: Any) -> Row:
    """A product of Exchange."""
    row = {
        "id": f"{base}-{quote}",
        "base_currency": base,
        "quote_currency": quote,
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
    }
    return row | {"status": "online", "trading_disabled": False} | own


def advanced_row(base: str, quote: str = "USDT", **own: Any) -> Row:
    """A product of Advanced Trade."""
    row = {
        "product_id": f"{base}-{quote}",
        "base_currency_id": base,
        "quote_currency_id": quote,
        "product_type": "SPOT",
        "is_disabled": False,
    }
    return row | {"base_increment": "0.00000001", "price_increment": "0.01", "status": "online", "trading_disabled": False} | own


def kraken_row(base: str, quote: str = "USDT", **own: Any) -> Row:
    """A pair of `AssetPairs`."""
    return {"altname": base + quote, "wsname": f"{base}/{quote}", "tick_size": "0.01", "lot_decimals": 8, "status": "online"} | own


def kraken_body(rows: list[Any]) -> bytes:
    """The answer is an object; its keys are yet other names."""
    return msgspec.json.encode({"error": [], "result": {f"X{number}": row for number, row in enumerate(rows)}})


Made = tuple[str, Callable[..., Row], Callable[[list[Any]], bytes], str, str, str]
LISTS: dict[str, Made] = {
    "binance": ("binance", binance_row, lambda rows: msgspec.json.encode({"symbols": rows}), "symbol", "baseAsset", "status"),
    "exchange": ("coinbase", exchange_row, msgspec.json.encode, "id", "base_currency", "status"),
    "advanced": (
        "coinbase",
        advanced_row,
        lambda rows: msgspec.json.encode({"products": rows}),
        "product_id",
        "base_currency_id",
        "status",
    ),
    "kraken": ("kraken", kraken_row, kraken_body, "wsname", "wsname", "status"),
}
each = pytest.mark.parametrize("name", LISTS)


def parsed(name: str, rows: list[Any]) -> ListedInstruments:
    """Return what the venue's table reads from these rows."""
    venue, _, body, *_ = LISTS[name]
    return instruments.parse(VENUES[venue], [body(rows)], 7)


def ticked(name: str, text: Any) -> Row:
    """BTC with this tick."""
    field = {"exchange": "quote_increment", "advanced": "price_increment", "kraken": "tick_size"}
    if name == "binance":
        return binance_row("BTC", filters=[{"filterType": "PRICE_FILTER", "tickSize": text}])
    return LISTS[name][1]("BTC", **{field[name]: text})


ODD: dict[str, Callable[[str], Any]] = {
    "null": lambda name: None,
    "a list": lambda name: [["BTC"]],
    "a number": lambda name: 7,
    "text": lambda name: "BTCUSDT",
    "nothing in it": lambda name: {LISTS[name][3]: 5},
    "base null": lambda name: LISTS[name][1]("BTC", **{LISTS[name][4]: None}) | ({"wsname": 5} if name == "kraken" else {}),
    "base a number": lambda name: LISTS[name][1]("BTC", **{LISTS[name][4]: 5}),
    "base empty": lambda name: LISTS[name][1]("", **({LISTS[name][3]: "BTCUSDT"} if name != "kraken" else {})),
    "base of strange letters": lambda name: LISTS[name][1]("B:T {C}"),
    "base too long": lambda name: LISTS[name][1]("B" * 1000),
    "symbol null": lambda name: LISTS[name][1]("BTC", **{LISTS[name][3]: 5}),
    "status a number": lambda name: LISTS[name][1]("BTC", status=1),
    "status null": lambda name: LISTS[name][1]("BTC", status=None),
    "status unknown": lambda name: LISTS[name][1]("BTC", status="SOOTHSAYING"),
    "tick empty": lambda name: ticked(name, ""),
    "tick not a number": lambda name: ticked(name, "0.-1"),
    "tick with an underscore": lambda name: ticked(name, "1_000"),
    "tick with a space": lambda name: ticked(name, " 1"),
    "tick of another script": lambda name: ticked(name, "١"),
    "tick NaN": lambda name: ticked(name, "NaN"),
    "tick negative": lambda name: ticked(name, "-1"),
    "tick a list": lambda name: ticked(name, []),
}


@each
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_row_takes_no_other_with_it(name: str, odd: str) -> None:
    """At any place in the list; and it does not become an instrument that trades."""
    row = LISTS[name][1]
    for place in (0, 1, 2):
        rows: list[Any] = [row("ETH"), row("SOL")]
        rows.insert(place, ODD[odd](name))
        listing = parsed(name, rows)

        assert {one.name for one in listing.instruments if one.active} == {"ETH-USDT", "SOL-USDT"}
        (found,) = listing.odd
        assert found.kind.startswith("instrument_")
        assert found.reason
        assert len(found.reason) <= 200


@each
@pytest.mark.parametrize("odd", ["tick empty", "status a number", "status unknown", "base null"])
def test_a_wanted_instrument_whose_row_is_odd_is_refused_with_the_reason(name: str, odd: str) -> None:
    """Its name is refused; the others are subscribed."""
    if (name, odd) == ("kraken", "base null"):
        pytest.skip("nothing else in a pair's row is its name")
    selection = instruments.select(parsed(name, [ODD[odd](name), LISTS[name][1]("ETH")]), ["BTC-USDT", "ETH-USDT"])

    assert list(selection.listed) == ["ETH-USDT"]
    assert {"tick empty": "not a number: ''", "status unknown": "status 'SOOTHSAYING' is not known"}.get(odd, "Expected `str`") in (
        selection.refused["BTC-USDT"]
    )


@pytest.mark.parametrize("wsname", [["ETH", "USDT"], 5, None, {}, "", "ETHUSDT", "/", "ETH/", "\ufffd/USDT"])
@pytest.mark.parametrize(("base", "wanted"), [("ETH", "ETH-USDT"), ("XBT", "BTC-USDT"), ("XDG", "DOGE-USDT")])
def test_a_pair_without_a_usable_name_is_known_by_its_other_one(wsname: Any, base: str, wanted: str) -> None:
    """Kraken's `altname`, with REST's names of assets. The WebSocket does not offer pairs without a `wsname`."""
    selection = instruments.select(parsed("kraken", [kraken_row(base, wsname=wsname), kraken_row("SOL")]), [wanted])
    said = selection.refused[wanted]
    assert said.startswith("not listed on kraken" if wsname is None else "its row in the list of kraken cannot be used: ")


@each
def test_rows_that_name_nothing_are_told_with_a_refusal(name: str) -> None:
    """The wanted instrument may be one of them."""
    selection = instruments.select(parsed(name, [None, [], LISTS[name][1]("ETH")]), ["BTC-USDT"])

    assert "2 rows of the list have no name" in selection.refused["BTC-USDT"]


@each
def test_no_name_and_no_symbol_is_there_twice(name: str) -> None:
    """Of two rows with one name the row that trades counts, else the first; a repeated row is odd."""
    row, stopped = LISTS[name][1], {"status": "BREAK" if name == "binance" else "maintenance" if name == "kraken" else "offline"}
    same = parsed(name, [row("BTC"), row("BTC"), row("ETH")])
    assert [one.name for one in same.instruments] == ["BTC-USDT", "ETH-USDT"]
    assert [one.kind for one in same.odd] == ["instrument_duplicate"]

    for rows in ([row("BTC", **stopped), row("BTC")], [row("BTC"), row("BTC", **stopped)]):
        (bitcoin,) = parsed(name, rows).instruments
        assert bitcoin.active


@each
def test_a_list_of_odd_rows_only_is_no_list(name: str) -> None:
    """It has no instruments, and no error is raised."""
    listing = parsed(name, [None, [], 5, LISTS[name][1]("")])
    assert listing.instruments == []
    assert len(listing.odd) == 4


@each
@given(seed=st.integers(0, 2**32))
def test_good_rows_are_what_they_are_beside_any_other(name: str, seed: int) -> None:
    """Rows with a part replaced by something strange: the good one is the same, and what is made of the others can be named."""
    chance = random.Random(seed)
    _, row, *_ = LISTS[name]
    rows: list[Any] = [warp(row(f"A{number}"), chance) for number in range(4)]
    rows.insert(chance.randrange(5), row("BTC"))
    try:
        listing = parsed(name, rows)
    except FRAME_ERRORS:
        raise AssertionError("a row took the list with it") from None

    assert [one for one in listing.instruments if one.name == "BTC-USDT"] == parsed(name, [row("BTC")]).instruments
    for key in ("name", "symbol"):
        assert len({getattr(one, key) for one in listing.instruments}) == len(listing.instruments)
    for one in listing.instruments:
        assert all(one.name.split("-")) or one.name.count("-") == 1
        assert ":" not in one.name


def test_assets_have_our_names() -> None:
    """Each venue's own names of assets, by its table; symbols stay theirs."""
    coinbase_list = parsed("exchange", [exchange_row("CGLD", "USD"), exchange_row("BTC", "USD")])
    assert {one.name: (one.symbol, one.base) for one in coinbase_list.instruments} == {
        "CELO-USD": ("CGLD-USD", "CELO"),
        "BTC-USD": ("BTC-USD", "BTC"),
    }
    assert parsed("advanced", [advanced_row("CGLD", "USD")]).instruments[0].name == "CELO-USD"

    rows = [kraken_row(base, "USD") for base in ("XBT", "XDG", "LUNA", "LUNA2", "UST", "REPV2")]
    assert {one.symbol: one.name for one in parsed("kraken", rows).instruments} == {
        "BTC/USD": "BTC-USD",
        "DOGE/USD": "DOGE-USD",
        "LUNA/USD": "LUNC-USD",
        "LUNA2/USD": "LUNA-USD",
        "UST/USD": "USTC-USD",
        "REPV2/USD": "REP-USD",
    }
    binance = [binance_row(base) for base in ("LUNA", "LUNC", "USTC", "CELO")]
    assert [one.name for one in parsed("binance", binance).instruments] == ["LUNA-USDT", "LUNC-USDT", "USTC-USDT", "CELO-USDT"]


@pytest.mark.parametrize("table", [coinbase.ASSETS, kraken.ASSETS])
def test_no_two_assets_of_a_venue_have_one_name(table: dict[str, str]) -> None:
    """Nor is one mapped to a name that another asset of the same table keeps."""
    assert len(set(table.values())) == len(table)
    assert all(table.get(name, "moved") != name for name in table.values())


@pytest.mark.parametrize("order", [1, -1])
def test_an_asset_that_is_listed_by_both_names_is_not_mixed(order: int) -> None:
    """If Coinbase lists CELO too, one of the rows is odd: two books never have one name."""
    listing = parsed("exchange", [exchange_row("CGLD", "USD"), exchange_row("CELO", "USD")][::order])

    assert [one.name for one in listing.instruments] == ["CELO-USD"]
    assert [one.kind for one in listing.odd] == ["instrument_duplicate"]


@pytest.mark.parametrize(
    ("venue", "wanted", "said"),
    [
        ("exchange", "CGLD-USD", "coinbase lists it as CGLD-USD, we call it CELO-USD"),
        ("exchange", "CELO-USDT", "near: CELO-USD"),
        ("kraken", "LUNA2-USD", "kraken lists it as LUNA2/USD, we call it LUNA-USD"),
        ("kraken", "LUNC-USDT", "near: LUNC-USD"),
        ("exchange", "CGLD-GBP", "near: CELO-USD"),
        ("exchange", "cgld/gbp", "near: CELO-USD"),
        ("exchange", "BTC-JPY", "near: BTC-USD"),
        ("kraken", "XBT-JPY", "near: BTC-USD"),
        ("kraken", "LUNA2-EUR", "near: LUNA-USD"),
        ("kraken", "LUNA-EUR", "near: LUNA-USD, LUNC-USD"),
    ],
)
def test_the_names_offered_for_a_refused_one_are_ours(venue: str, wanted: str, said: str) -> None:
    """Each of them can be had on that venue."""
    rows = {
        "exchange": [exchange_row("CGLD", "USD"), exchange_row("BTC", "USD")],
        "kraken": [kraken_row("LUNA", "USD"), kraken_row("LUNA2", "USD"), kraken_row("XBT", "USD")],
    }
    listing = parsed(venue, rows[venue])
    reason = instruments.select(listing, [wanted]).refused[wanted]

    assert said in reason
    offered = reason.partition("near: ")[2].split(", ") if "near" in reason else [reason.split()[-1]]
    assert instruments.select(listing, offered).refused == {}


def test_ticks_keep_their_digits() -> None:
    """As text or as a number."""
    for name in LISTS:
        for text in ("0.00000001", "0.01000000"):
            (found,) = parsed(name, [ticked(name, text)]).instruments
            assert isinstance(found, Instrument)
            assert f"{found.price_tick:f}" == text
        (found,) = parsed(name, [ticked(name, 0.5)]).instruments
        assert found.price_tick == Decimal("0.5")
        (found,) = parsed(name, [ticked(name, None)]).instruments
        assert found.price_tick is None
