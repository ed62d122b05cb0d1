"""Faults of single rows: in a venue's list of instruments, and in a frame; whatever is beside them is as usual."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crosstape_simulator.faults import parse
from crosstape_simulator.faults.rows import VALUES
from crosstape_simulator.service import simulator
from tests.simulator.client import connect, get, still, ws
from tests.simulator.test_faults_market import LISTS, SYMBOL, every_venue, listed
from tests.simulator.wire import BINANCE, FEEDS, IDS, books, clean, rig

every_feed = pytest.mark.parametrize("feed", FEEDS, ids=IDS)
HOW = ("null", "empty", "status", "missing", "type", "row", "duplicate")
ODD = {"binance": "ODD{}USDT", "coinbase": "ODD{}-USDT", "kraken": "ODD{}/USDT"}


def rows(venue: str, body: Any) -> list[Any]:
    """Of a list of instruments, in order."""
    match venue:
        case "binance":
            return list(body["symbols"])
        case "coinbase":
            return list(body)
        case _:
            return list(body["result"].values())


@pytest.mark.parametrize("how", HOW)
@every_venue
async def test_a_row_more_is_odd_and_all_others_are_as_usual(venue: str, how: str) -> None:
    """It is the first, of a pair that nobody trades."""
    async with simulator(still(venues=(venue,))) as made:
        _, before, _ = await get(made, venue, LISTS[venue])
        running = made.faults.add(parse.from_text(f"odd-list venue={venue} how={how}"))

        _, after, _ = await get(made, venue, LISTS[venue])

        count = 2 if how == "duplicate" else 1
        assert rows(venue, after)[count:] == rows(venue, before)
        assert running.acted == 1
        if how not in ("row", "null"):
            symbol = "id" if venue == "coinbase" else "wsname" if venue == "kraken" else "symbol"
            assert [row[symbol] for row in rows(venue, after)[:count]] == [ODD[venue].format(how.upper())] * count
        if how == "row":
            assert rows(venue, after)[0] is None


@pytest.mark.parametrize("how", HOW)
@every_venue
async def test_an_instruments_own_row_is_odd(venue: str, how: str) -> None:
    """And no other."""
    async with simulator(still(venues=(venue,))) as made:
        before = await listed(made, venue)
        running = made.faults.add(parse.from_text(f"odd-list venue={venue} instrument=BTC-USDT how={how}"))

        _, after, _ = await get(made, venue, LISTS[venue])

        found = rows(venue, after)
        usual = list(before.values())
        odd = [row for row in found if row not in usual]
        assert len(found) == len(usual) + (how == "duplicate")
        assert len(odd) == (how != "duplicate")
        assert running.acted == 1
        assert [row for row in usual if row not in found] in ([before[SYMBOL[venue]]], [])


@every_venue
async def test_odd_rows_and_a_halt_go_together(venue: str) -> None:
    """As in a venue's real list, where much is odd at once."""
    async with simulator(still(venues=(venue,))) as made:
        for how in HOW:
            made.faults.add(parse.from_text(f"odd-list venue={venue} how={how}"))
        made.faults.add(parse.from_text(f"halt venue={venue} instrument=BTC-USDT how=offline"))

        _, body, _ = await get(made, venue, LISTS[venue])

        assert None in rows(venue, body)
        assert (
            sum(isinstance(row, dict) and row.get("status") in ("BREAK", "offline", "work_in_progress") for row in rows(venue, body)) == 1
        )


@pytest.mark.parametrize("what", ["price", "size"])
@pytest.mark.parametrize("kind", ["trade", "book"])
@every_feed
async def test_a_row_that_cannot_be_read_is_in_its_frame(feed: Any, kind: str, what: str) -> None:
    """One number of one row is a text; all other bytes are as they were, in all frames."""
    sound = await clean(feed)
    async with rig(feed) as one:
        await one.subscribe()
        running = one.set(f"odd-row kind={kind} what={what} instrument=BTC-USDT")
        seen = await one.flow()

    assert running.acted == 1
    (index,) = [index for index, text in enumerate(seen) if text != sound[index]]
    assert feed.btc in seen[index]
    assert (index in books(sound, feed)) is (kind == "book")
    assert seen[index].count('"abc"') == 1
    assert json.loads(seen[index]).keys() == json.loads(sound[index]).keys()
    spoiled, usual = seen[index].split('"abc"'), sound[index]
    assert usual.startswith(spoiled[0])
    assert usual.endswith(spoiled[1])


@pytest.mark.parametrize("how", [*VALUES, "missing"])
@every_feed
async def test_what_is_in_a_numbers_place_is_json(feed: Any, how: str) -> None:
    """In every way that it can be odd; the rest of the frame is the same."""
    sound = await clean(feed)
    async with rig(feed) as one:
        await one.subscribe()
        one.set(f"odd-row kind=book how={how} instrument=BTC-USDT")
        seen = await one.flow()

    (index,) = [index for index, text in enumerate(seen) if text != sound[index]]
    assert json.loads(seen[index]) != json.loads(sound[index])


TICKERS = {
    "binance": ("", "/stream?streams=btcusdt@ticker/btcusdt@bookTicker", None),
    "coinbase": ("exchange", "", {"type": "subscribe", "product_ids": ["BTC-USDT"], "channels": ["ticker"]}),
    "kraken": ("", "", {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USDT"], "event_trigger": "bbo"}}),
}


@pytest.mark.parametrize(
    ("venue", "kind", "field"),
    [
        ("binance", "ticker", "c"),
        ("binance", "quote", "b"),
        ("coinbase", "ticker", "price"),
        ("kraken", "ticker", "last"),
        ("kraken", "quote", "bid"),
    ],
)
async def test_a_ticker_can_be_odd(venue: str, kind: str, field: str) -> None:
    """And a quote, where the venue has one."""
    endpoint, query, request = TICKERS[venue]
    async with (
        simulator(still(venues=(venue,))) as made,
        connect(ws(made, venue, endpoint).removesuffix("/stream" if query else "") + query) as client,
    ):
        made.faults.add(parse.from_text(f"odd-row venue={venue} kind={kind} count=0"))
        if request is not None:
            await client.send(request)
            await client.texts(lambda text: '"subscriptions"' in text or '"result"' in text)
        made.advance(3.0)

        text = (await client.texts(lambda text: f'"{field}":"abc"' in text))[-1]

        frame = json.loads(text)
        row = frame["data"][0] if venue == "kraken" else frame.get("data", frame)
        assert row[field] == "abc"


async def test_where_there_is_no_such_row_nothing_is_done() -> None:
    """Binance's pongs, replies and empty frames are as they are."""
    async with rig(BINANCE) as one:
        running = one.set("odd-row kind=ticker")
        await one.subscribe()
        await one.flow()
        assert running.acted == 0
