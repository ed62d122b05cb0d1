"""Past trades by REST: what is asked of each venue, and what its answers become."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.kraken.rest import rest_name
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import TradeSource
from crosstape_schemas import Side, Trade, asset, decode, encode
from tests.connector.venues.rest_bodies import TRADES
from tests.connector.venues.test_contract import warp

each = pytest.mark.parametrize("venue", VENUES)
LIMITS = {"binance": 6_000 / 25, "coinbase": 600, "kraken": 60}
"""Requests a minute that an address may make, if it made no others."""


def source(venue: str) -> TradeSource:
    """Every venue has one."""
    found = VENUES[venue].trades
    assert found is not None
    return found


def parse(venue: str, body: bytes) -> tuple[Trade, ...]:
    """Received at 7."""
    return source(venue).parse(body, "BTC-X", 7).trades


TIMES = {
    "binance": (1_767_225_600_123_000_000, 1_767_225_600_123_000_000),
    "coinbase": (1_767_225_600_123_456_000, 1_767_225_600_123_457_000),
    "kraken": (1_767_225_600_123_456_100, 1_767_225_600_123_456_789),
}


@each
def test_an_answer_holds_trades_that_were_not_seen_live(venue: str) -> None:
    """Oldest first, sides are the taker's, and no digit is lost of a price, a size or a time."""
    first, second = parse(venue, TRADES[venue])

    assert first == Trade(venue, "BTC-X", TIMES[venue][0], 7, Decimal("91000.1"), Decimal("0.0015"), Side.SELL, "4000001", backfilled=True)
    assert second == Trade(venue, "BTC-X", TIMES[venue][1], 7, Decimal("91000.2"), Decimal("0.02"), Side.BUY, "4000002", backfilled=True)
    assert (str(first.price), str(first.size)) == ("91000.10000000", "0.00150000")


PATHS = {
    "binance": (
        "/api/v3/historicalTrades?symbol=B%C3%84R&fromId=4000001&limit=1000",
        "/api/v3/trades?symbol=B%C3%84R&limit=1000",
    ),
    "coinbase": ("/products/B%C3%84R/trades?limit=1000&after=4001001", "/products/B%C3%84R/trades?limit=1000"),
    "kraken": ("/0/public/Trades?pair=B%C3%84R&since=1767225600123455000&count=1000", "/0/public/Trades?pair=B%C3%84R&count=1000"),
}


@each
def test_a_page_is_asked_for_as_the_venue_pages(venue: str) -> None:
    """Binance from an id, Coinbase below one, Kraken after a time that lies before the trade's whatever was rounded."""
    asked = source(venue).path("BÄR", 4_000_001, 1_767_225_600_123_456_000), source(venue).newest("BÄR")

    assert asked == PATHS[venue]


@each
def test_a_page_is_as_large_as_the_venue_lets_it_be(venue: str) -> None:
    """A shorter one is the last; and there is room for other requests, and for other programs of the same address."""
    assert source(venue).page == 1_000
    assert 0 < source(venue).per_minute <= LIMITS[venue] / 2
    assert source(venue).rest in VENUES[venue].rest_urls


def test_binances_requests_together_leave_a_quarter_of_its_weight() -> None:
    """Snapshots of 1,000 levels weigh 50, trades 25, quotes of several symbols 4."""
    venue = VENUES["binance"]
    assert venue.snapshots is not None
    assert venue.trades is not None
    assert venue.quotes is not None

    assert venue.snapshots.per_minute * 50 + venue.trades.per_minute * 25 + venue.quotes.per_minute * 4 <= 6_000 * 3 / 4


@given(st.sampled_from(["BTC", "DOGE", "ETH", "XTZ", "ZEC", "USD", "USDT", "X", "1INCH"]), st.sampled_from(["USD", "BTC", "EUR", "DOGE"]))
def test_krakens_old_names_are_those_that_its_list_was_read_with(base: str, quote: str) -> None:
    """The list names `XBT/USD`; what was made of that for the WebSocket is undone for REST."""
    name = rest_name(f"{base}/{quote}")
    theirs = [part for part in (base, quote, "XBT", "XDG") if asset(part) != part or part not in ("BTC", "DOGE")]

    assert name in {left + right for left in theirs for right in theirs if (asset(left), asset(right)) == (base, quote)}


Row = tuple[int, int, int, bool]
"""Id, price in cents, µs since the epoch, whether the buyer took."""
rows = st.lists(
    st.tuples(st.integers(0, 2**63 - 1), st.integers(1, 10**12), st.integers(10**15, 3 * 10**15), st.booleans()),
    unique_by=lambda row: row[0],
    max_size=20,
)


def cents(price: int) -> str:
    """`price` cents with both decimals."""
    return f"{price // 100}.{price % 100:02}"


def binance_body(made: list[Row]) -> bytes:
    """As Binance writes them, with times of ms."""
    parts = [
        {"id": number, "price": cents(price), "qty": cents(price), "time": us // 1_000, "isBuyerMaker": not buys, "quoteQty": "1"}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


def coinbase_body(made: list[Row]) -> bytes:
    """As Coinbase does; the day is left at one."""
    parts = [
        {
            "trade_id": number,
            "price": cents(price),
            "size": cents(price),
            "side": "sell" if buys else "buy",
            "time": f"2026-01-01T00:00:00.{us % 10**6:06}Z",
        }
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


def kraken_body(made: list[Row]) -> bytes:
    """As Kraken does: the time is a JSON number with six decimals."""
    parts = [
        f'["{cents(price)}","{cents(price)}",{us // 10**6}.{us % 10**6:06},"{"b" if buys else "s"}","m","",{number}]'
        for number, price, us, buys in made
    ]
    return f'{{"error":[],"result":{{"X":[{",".join(parts)}],"last":"1"}}}}'.encode()


BODIES: dict[str, Callable[[list[Row]], bytes]] = {"binance": binance_body, "coinbase": coinbase_body, "kraken": kraken_body}
DAY_US = 1_767_225_600 * 10**6
MOMENT: dict[str, Callable[[int], int]] = {
    "binance": lambda us: us // 1_000 * 1_000_000,
    "coinbase": lambda us: (DAY_US + us % 10**6) * 1_000,
    "kraken": lambda us: us * 1_000,
}


@each
@given(made=rows)
def test_whatever_the_order_no_trade_and_no_digit_is_lost(venue: str, made: list[Row]) -> None:
    """Ascending by id, each once."""
    found = parse(venue, BODIES[venue](made))

    assert [(int(trade.trade_id), str(trade.price), trade.venue_ts, trade.taker, trade.backfilled) for trade in found] == [
        (number, cents(price), MOMENT[venue](us), Side.BUY if buys else Side.SELL, True) for number, price, us, buys in sorted(made)
    ]


BAD: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    "binance": (
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b"4000002", b"-1"),
        (b"4000002", b'"4000002"'),
        (b"true,", b'"buy",'),
        (b'"time":1767225600123', b'"time":1.5'),
    ),
    "coinbase": (
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"Infinity"'),
        (b"4000002", b"9223372036854775808"),
        (b'"sell"', b'"taker"'),
        (b"2026-01", b"2026-13"),
    ),
    "kraken": (
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0.-10000"'),
        (b'"91000.20000000"', b'"-1"'),
        (b",4000002", b""),
        (b'"b"', b'"x"'),
        (b"1767225600.1234561", b"1e999999"),
        (b"1767225600.1234561", b"-1"),
        (b"1767225600.1234561", b'"NaN"'),
        (b'"error":[]', b'"error":["EService:Busy"]'),
        (b'"last"', b'"XETHZUSD"'),
        (b'"last":', b'"last":[],"XETHZUSD":'),
        (b'"XXBTZUSD"', b'"last"'),
    ),
}


@pytest.mark.parametrize(("venue", "old", "new"), [(venue, *change) for venue, changes in BAD.items() for change in changes])
def test_what_cannot_be_a_trade_is_left_out(venue: str, old: bytes, new: bytes) -> None:
    """It is counted, and its good neighbour is taken; what is no list of trades is refused."""
    good = parse(venue, TRADES[venue])
    body = TRADES[venue].replace(old, new)

    assert body != TRADES[venue]
    try:
        page = source(venue).parse(body, "BTC-X", 7)
    except (FrameError, msgspec.MsgspecError):
        assert old not in (b"4000002", b'"0.02000000"', b'"91000.20000000"', b'"b"')
    else:
        assert set(page.trades) < set(good)
        assert page.left_out == 2 - len(page.trades)
        assert page.odd
        assert page.rows == 2


@each
def test_a_row_that_is_there_twice_counts_once(venue: str) -> None:
    """If both say the same."""
    row = (4_000_001, 9_100_010, 5, True)
    page = source(venue).parse(BODIES[venue]([row, row]), "BTC-X", 7)

    assert page.trades == parse(venue, BODIES[venue]([row]))
    assert page.odd == ()


@each
def test_an_answer_without_trades_is_an_empty_page(venue: str) -> None:
    """A market may have none yet."""
    assert parse(venue, BODIES[venue]([])) == ()


@each
@given(data=st.binary(max_size=100), seed=st.integers(0, 2**32))
@example(data=b"[" * 100_000, seed=0)
@example(data=b'{"error":[],"result":' + b'{"a":[' * 100_000, seed=0)
def test_no_answer_does_harm(venue: str, data: bytes, seed: int) -> None:
    """Any bytes, or a good answer with a part replaced by something strange: refused, or what it gives can be written."""
    for body in (data, msgspec.json.encode(warp(msgspec.json.decode(TRADES[venue]), random.Random(seed)))):
        try:
            found = parse(venue, body)
        except FRAME_ERRORS:
            continue
        for trade in found:
            assert decode(encode(trade)) == trade
