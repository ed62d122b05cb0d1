"""What every store of the history promises: these tests run on each of `stores.OPENERS`."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import HistoryError
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.store import CheckResult, Position
from tests.history.batches import DAY, MINUTE, NOON, SECOND, batch, candle, ids, read, trade
from tests.history.stores import StoreFactory

TRADES = Query(kind="trade")
BTC = "tape:trade:BTC-USDT"
ETH = "tape:trade:ETH-USDT"


async def test_a_new_history_has_no_commit(store_factory: StoreFactory) -> None:
    """The recorder begins where there is nothing yet; who reads it gets nothing."""
    store = await store_factory()

    assert await store.position("trade") == Position(0, {})
    assert await read(store, TRADES) == []
    assert await store.tapes() == []


async def test_what_was_written_is_read_byte_for_byte(store_factory: StoreFactory) -> None:
    """By another process too, once `append` has returned."""
    writer, reader = await store_factory(), await store_factory()
    rows = batch([trade(1), trade(2, size=Decimal("1.500")), trade(3, taker=None), trade(4, price=Decimal("0." + 40 * "3"))])

    assert await writer.append(rows, {BTC: Bookmark("1003-0", (("kraken", 7, 4),))}, after=0) == 1

    assert await read(reader, TRADES) == rows.data
    assert await reader.position("trade") == Position(1, {BTC: Bookmark("1003-0", (("kraken", 7, 4),))})
    assert writer.bytes_written > 0


async def test_marks_that_did_not_change_are_taken_over(store_factory: StoreFactory) -> None:
    """Each commit has the marks of all streams."""
    store = await store_factory()

    await store.append(batch([trade(1)]), {BTC: Bookmark("1-0"), ETH: Bookmark("1-0")}, after=0)
    await store.append(batch([trade(2)], first_ms=2_000), {ETH: Bookmark("2-0")}, after=1)

    assert (await (await store_factory()).position("trade")).marks == {BTC: Bookmark("1-0"), ETH: Bookmark("2-0")}


async def test_each_kind_has_its_own_commits(store_factory: StoreFactory) -> None:
    """And its own numbers."""
    store = await store_factory()

    assert await store.append(batch([trade(1)]), {BTC: Bookmark("1-0")}, after=0) == 1
    assert await store.append(batch([candle(1)]), {}, after=0) == 1

    assert (await store.position("candle")).marks == {}
    assert len(await read(store, Query(kind="candle"))) == 1


async def test_a_commit_is_made_by_one_process_only(store_factory: StoreFactory) -> None:
    """Of many that write after the same number, one gets it. The others have written nothing."""
    stores = [await store_factory() for _ in range(4)]

    numbers = await asyncio.gather(
        *(store.append(batch([trade(index)]), {BTC: Bookmark(f"{index}-0")}, after=0) for index, store in enumerate(stores, 1))
    )

    assert sorted(numbers, key=str) == [1, None, None, None]
    winner = numbers.index(1) + 1
    assert await ids(stores[0], TRADES) == [str(winner)]
    assert await stores[0].position("trade") == Position(1, {BTC: Bookmark(f"{winner}-0")})


@pytest.mark.parametrize("after", [0, 2])
async def test_a_wrong_number_writes_nothing(store_factory: StoreFactory, after: int) -> None:
    """Neither one that is behind nor one that is ahead."""
    store = await store_factory()
    await store.append(batch([trade(1)]), {}, after=0)

    assert await store.append(batch([trade(2)]), {}, after=after) is None

    assert await ids(store, TRADES) == ["1"]


async def test_marks_alone_can_be_written(store_factory: StoreFactory) -> None:
    """Of entries that were left out on purpose."""
    store = await store_factory()

    assert await store.append(BatchBuilder("trade").build(), {BTC: Bookmark("5-0")}, after=0) == 1

    assert await store.position("trade") == Position(1, {BTC: Bookmark("5-0")})
    assert await read(store, TRADES) == []
    assert await store.last(TRADES) is None
    assert await store.expire(before_ts=NOON) == 0
    assert await store.check() == CheckResult(1, 0, ())


async def test_rows_come_in_the_order_of_their_time(store_factory: StoreFactory) -> None:
    """Whichever commit and instrument they are of; those of one moment by their ids."""
    store = await store_factory()
    later = batch([trade(7), trade(3, instrument="ETH-USDT"), trade(5), trade(6, ts=NOON + 5 * SECOND)])
    earlier = batch([trade(4), trade(1), trade(2, instrument="ADA-USDT")], first_ms=2_000)

    await store.append(later, {}, after=0)
    await store.append(earlier, {}, after=1)

    assert await ids(store, TRADES) == ["1", "2", "3", "4", "5", "6", "7"]


async def test_a_query_names_what_it_wants(store_factory: StoreFactory) -> None:
    """Instrument, venue, a range of time whose end is not in it, and the newest of these."""
    store = await store_factory()
    rows = [
        trade(number, instrument="BTC-USDT" if number % 2 else "ETH-USDT", venue="kraken" if number % 3 else "okx") for number in range(60)
    ]
    for number in range(3):
        await store.append(batch(rows[number::3], first_ms=1_000 * number), {}, after=number)

    assert await ids(store, Query(kind="trade", from_ts=NOON + 10 * SECOND, to_ts=NOON + 14 * SECOND)) == ["10", "11", "12", "13"]
    assert await ids(store, Query(kind="trade", instrument="ETH-USDT", to_ts=NOON + 8 * SECOND)) == ["0", "2", "4", "6"]
    assert await ids(store, Query(kind="trade", venue="okx", from_ts=NOON + 50 * SECOND)) == ["51", "54", "57"]
    assert await ids(store, Query(kind="trade", limit=3)) == ["57", "58", "59"]
    assert await ids(store, Query(kind="trade", instrument="BTC-USDT", venue="okx", to_ts=NOON + 30 * SECOND, limit=2)) == ["21", "27"]
    assert await ids(store, Query(kind="trade", limit=1_000)) == [str(number) for number in range(60)]
    assert await ids(store, Query(kind="trade", limit=0)) == []
    assert await ids(store, Query(kind="trade", instrument="XRP-USDT")) == []
    assert await ids(store, Query(kind="trade", from_ts=NOON + DAY)) == []


async def test_a_trade_by_rest_counts_only_where_the_tape_has_it_not(store_factory: StoreFactory) -> None:
    """Even if the venue gives its time in seconds by REST; and a trade that was fetched twice counts once."""
    store = await store_factory()
    await store.append(batch([trade(1, ts=NOON + SECOND + 123_456), trade(3)]), {}, after=0)
    fetched = [trade(1, ts=NOON + SECOND), trade(2), trade(3), trade(1, venue="okx")]
    await store.append(batch(fetched, source=Source.REST, first_ms=5_000), {}, after=1)
    await store.append(batch([trade(2), trade(4)], source=Source.REST, first_ms=6_000), {}, after=2)

    assert [await ids(store, Query(kind="trade", venue=venue)) for venue in ("kraken", "okx")] == [["1", "2", "3", "4"], ["1"]]
    assert len(await ids(store, TRADES)) == 5
    assert await ids(store, Query(kind="trade", to_ts=NOON + SECOND + 1, venue="kraken")) == []
    assert await ids(store, Query(kind="trade", limit=2, venue="kraken")) == ["3", "4"]


async def test_a_candle_that_the_venue_has_changed_counts_before_the_tapes(store_factory: StoreFactory) -> None:
    """By REST it comes as a later revision; what agrees with the tape does not count."""
    store = await store_factory()
    tape = batch([candle(1), candle(2)])
    await store.append(tape, {}, after=0)
    rest = batch([candle(1), candle(2, close=Decimal("1.9"), revision=1)], source=Source.REST, first_ms=9_000)
    await store.append(rest, {}, after=1)
    assert await read(store, Query(kind="candle")) == [tape.data[0], rest.data[1]]
    assert await read(store, Query(kind="candle", newest_revisions=False)) == [*tape.data, rest.data[1]]


async def test_a_batch_that_was_written_twice_by_rest_counts_once(store_factory: StoreFactory) -> None:
    """As by a `backfill` whose answer was lost: rows that agree in everything, and some with it that were fetched again later."""
    store = await store_factory()
    fetched = batch([trade(1), trade(2), trade(3)], source=Source.REST, first_ms=5_000)
    await store.append(fetched, {}, after=0)
    await store.append(fetched, {}, after=1)
    await store.append(batch([trade(2)], source=Source.REST, first_ms=6_000), {}, after=2)

    assert await read(store, TRADES) == fetched.data
    assert await ids(store, Query(kind="trade", limit=2)) == ["2", "3"]


async def test_trades_by_rest_without_an_id_all_count(store_factory: StoreFactory) -> None:
    """Nobody knows which of them are the same."""
    store = await store_factory()
    await store.append(batch([trade(1, trade_id="")]), {}, after=0)
    await store.append(batch([trade(1, trade_id=""), trade(1, trade_id="")], source=Source.REST), {}, after=1)

    assert len(await ids(store, TRADES)) == 3


async def test_of_a_candle_the_highest_revision_counts(store_factory: StoreFactory) -> None:
    """Unless all that was recorded is asked for."""
    store = await store_factory()
    first = batch([candle(1), candle(2), candle(2, timeframe="5m"), candle(2, venue="okx")])
    revised = batch([candle(2, revision=1, close=Decimal("1.8")), candle(3)], first_ms=9_000, first_seq=5)
    await store.append(revised, {}, after=0)
    await store.append(first, {}, after=1)
    minutes = Query(kind="candle", timeframe="1m", venue="kraken")

    assert await read(store, minutes) == [first.data[0], *revised.data]
    assert len(await read(store, Query(kind="candle"))) == 5
    assert len(await read(store, Query(kind="candle", newest_revisions=False))) == 6
    assert await read(store, Query(kind="candle", timeframe="5m")) == [first.data[2]]


async def test_a_closed_candle_counts_rather_than_an_open_one(store_factory: StoreFactory) -> None:
    """With all changes recorded, as for audits. By REST comes the end of one that the tape has only open."""
    store = await store_factory()
    tape = batch([candle(1, closed=False), candle(1), candle(1, closed=False, revision=1), candle(2, closed=False)], keep="events")
    rest = batch([candle(1), candle(2, close=Decimal("1.9"))], source=Source.REST, first_ms=9_000)
    await store.append(tape, {}, after=0)
    await store.append(rest, {}, after=1)

    assert await read(store, Query(kind="candle")) == [tape.data[1], rest.data[1]]


async def test_what_a_venue_has_changed_counts_in_each_question(store_factory: StoreFactory) -> None:
    """The tape has a candle, and a later revision came by REST: reading and the newest event agree."""
    store = await store_factory()
    await store.append(batch([candle(1)]), {}, after=0)
    rest = batch([candle(1), candle(1, revision=1, close=Decimal("1.9"))], source=Source.REST, first_ms=9_000)
    await store.append(rest, {}, after=1)
    of_one = Query(kind="candle", instrument="BTC-USDT", venue="kraken", timeframe="1m")

    assert await read(store, of_one) == [rest.data[1]]
    assert await store.last(of_one) == rest.data[1]
    assert len(await read(store, msgspec.structs.replace(of_one, newest_revisions=False))) == 2


async def test_a_trade_that_was_fetched_twice_counts_once_in_neighbouring_ranges(store_factory: StoreFactory) -> None:
    """The venue gave it with two times: it is in the range of the one that was fetched first."""
    store = await store_factory()
    await store.append(batch([trade(1)], source=Source.REST, first_ms=1_000), {}, after=0)
    await store.append(batch([trade(1, ts=NOON + 2 * SECOND)], source=Source.REST, first_ms=2_000), {}, after=1)
    border = NOON + 3 * SECOND // 2

    assert await ids(store, Query(kind="trade", instrument="BTC-USDT", to_ts=border)) == ["1"]
    assert await ids(store, Query(kind="trade", instrument="BTC-USDT", from_ts=border)) == []


async def test_events_are_kept_as_they_were_where_columns_cannot_give_them_back(store_factory: StoreFactory) -> None:
    """Fields of a newer producer, odd spelling."""
    from crosstape.history import text_events

    store = await store_factory()
    builder = BatchBuilder("trade")
    plain = batch([trade(1)]).data[0]
    for number, data in enumerate(
        [plain[:-1] + b',"maker":"m"}', plain.replace(b'"67001.10"', b'"+67001.10"'), plain.replace(b",", b", ", 1)]
    ):
        builder.add(1_000 + number, 0, text_events.decode(data), data)
    rows = builder.build()
    await store.append(rows, {}, after=0)

    assert await read(store, TRADES) == rows.data


async def test_the_last_event_is_given_at_once(store_factory: StoreFactory) -> None:
    """Of an instrument, of a venue, up to a moment."""
    store = await store_factory()
    assert await store.last(TRADES) is None
    rows = batch([trade(1), trade(4, instrument="ETH-USDT"), trade(3), trade(2, venue="okx")])
    await store.append(rows, {}, after=0)
    await store.append(batch([trade(5, instrument="ADA-USDT")], first_ms=2_000), {}, after=1)

    assert await store.last(Query(kind="trade", instrument="BTC-USDT")) == rows.data[2]
    assert await store.last(Query(kind="trade", instrument="BTC-USDT", venue="okx")) == rows.data[3]
    assert await store.last(Query(kind="trade", to_ts=NOON + 3 * SECOND)) == rows.data[3]
    assert await store.last(Query(kind="trade", instrument="XRP-USDT")) is None


async def test_candles_are_made_of_trades(store_factory: StoreFactory) -> None:
    """Exactly, and none for an interval without trades."""
    store = await store_factory()
    empty = await store.candles(Query(kind="trade", instrument="BTC-USDT"), "1m")
    assert len(empty) == 0
    rows = [
        trade(0, price=Decimal("10.1"), size=Decimal("0.3")),
        trade(59, price=Decimal(9), size=Decimal("1.000000000000000001")),
        trade(180, price=Decimal(11), size=Decimal(2)),
    ]
    await store.append(batch(rows), {}, after=0)

    table = await store.candles(Query(kind="trade", instrument="BTC-USDT"), "1m")

    assert table.column("open_ts").to_pylist() == [NOON, NOON + 3 * MINUTE]
    assert table.column("trades").to_pylist() == [2, 1]
    assert [Decimal(value) for value in table.column("close").to_pylist()] == [9, 11]
    assert [Decimal(value) for value in table.column("high").to_pylist()] == [Decimal("10.1"), 11]
    assert [Decimal(value) for value in table.column("quote_volume").to_pylist()] == [Decimal("12.030000000000000009"), 22]


async def test_a_reader_sees_each_commit_whole(store_factory: StoreFactory) -> None:
    """While another process writes: all rows of a commit or none, and none twice."""
    writer, reader = await store_factory(), await store_factory()
    size = 20

    async def write() -> None:
        for number in range(12):
            rows = [trade(index) for index in range(number * size, (number + 1) * size)]
            assert await writer.append(batch(rows, first_ms=1_000 * number), {}, after=number) == number + 1

    task = asyncio.create_task(write())
    seen = 0
    while not task.done():
        found = await ids(reader, TRADES)
        assert found == [str(index) for index in range(len(found))]
        assert len(found) % size == 0
        assert len(found) >= seen
        seen = len(found)
    await task
    assert len(await ids(reader, TRADES)) == 12 * size


async def test_merging_changes_nothing_for_readers(store_factory: StoreFactory) -> None:
    """Rows, order, marks and the next number are as before, over the end of a day too."""
    store = await store_factory()
    midnight = NOON + DAY // 2
    for number in range(25):
        rows = [trade(100 * number + index, ts=midnight + (number - 12 + index) * MINUTE) for index in range(3)]
        await store.append(batch(rows, first_ms=1_000 * number, first_seq=3 * number + 1), {BTC: Bookmark(f"{number}-0")}, after=number)
    before = await read(store, TRADES)

    await store.compact()

    other = await store_factory()
    assert await read(other, TRADES) == before
    assert len(before) == 75
    assert await other.position("trade") == Position(25, {BTC: Bookmark("24-0")})
    assert await other.append(batch([trade(9_999, ts=midnight + DAY)]), {}, after=25) == 26
    assert await store.compact() == 0
    assert (await ids(store, TRADES))[-1] == "9999"


async def test_the_oldest_days_are_deleted(store_factory: StoreFactory) -> None:
    """Whole days only. Marks stay, and later rows of these days do not come back."""
    store = await store_factory()
    rows = [trade(number, ts=NOON + number * DAY // 2) for number in range(8)]  # 30th 12:00, 1st 0:00, 1st 12:00, …
    await store.append(batch(rows[:4]), {BTC: Bookmark("1003-0")}, after=0)
    await store.append(batch(rows[4:], first_ms=2_000, first_seq=5), {ETH: Bookmark("2003-0")}, after=1)
    before = await store.position("trade")

    assert await store.expire(before_ts=NOON + 2 * DAY) == 3

    assert await ids(store, TRADES) == ["3", "4", "5", "6", "7"]
    assert await store.position("trade") == before
    assert await store.expire(before_ts=NOON + 2 * DAY) == 0
    assert await store.expire(before_ts=NOON + 100 * DAY) == 5
    assert await ids(await store_factory(), TRADES) == []
    assert await (await store_factory()).position("trade") == before
    assert await store.append(batch([trade(8, ts=NOON + 4 * DAY)]), {}, after=2) == 3
    assert await ids(store, TRADES) == ["8"]


async def test_the_oldest_days_beyond_a_size_are_deleted(store_factory: StoreFactory) -> None:
    """The newest day stays in any case."""
    store = await store_factory()
    for number in range(4):
        rows = [trade(100 * number + index, ts=NOON + number * DAY + index) for index in range(50)]
        await store.append(batch(rows, first_ms=1_000 * number, first_seq=50 * number + 1), {}, after=number)

    assert await store.expire(max_bytes=10**12) == 0
    assert await store.expire(max_bytes=1) == 150

    assert await ids(store, TRADES) == [str(300 + index) for index in range(50)]


async def test_a_good_history_has_no_findings(store_factory: StoreFactory) -> None:
    """Numbers follow each other, and the marks say so."""
    store = await store_factory()
    for number in range(12):
        first = 10 * number + 1
        rows = [trade(index) for index in range(first, first + 10)]
        marks = {BTC: Bookmark(f"{1_000 * number + 9}-0", (("kraken", 7, first + 9),))}
        await store.append(batch(rows, first_ms=1_000 * number, first_seq=first), marks, after=number)

    assert (await store.check()).findings == ()
    await store.compact()

    result = await (await store_factory()).check()
    assert result.findings == ()
    assert (result.commits, result.rows) == (12, 120)


async def test_a_missing_number_is_found(store_factory: StoreFactory) -> None:
    """An event that was on the tape and is not in the history: by its stream, venue and number."""
    store = await store_factory()
    await store.append(batch([trade(1), trade(2)]), {BTC: Bookmark("1001-0", (("kraken", 7, 2),))}, after=0)
    await store.append(batch([trade(4)], first_ms=2_000, first_seq=4), {BTC: Bookmark("2000-0", (("kraken", 7, 4),))}, after=1)

    (finding,) = (await store.check()).findings

    assert "kraken" in finding.what
    assert "BTC-USDT" in finding.where + finding.what
    assert "3" in finding.what


async def test_a_store_is_bound_to_its_tapes_in_order(store_factory: StoreFactory) -> None:
    """And by one process only."""
    one, other = await store_factory(), await store_factory()

    assert await one.bind(Identity("first", "live"), after=0)
    assert not await other.bind(Identity("second", "simulated"), after=0)
    assert await other.bind(Identity("third", "live"), after=1)
    assert not await one.bind(Identity("fourth", "live"), after=1)

    assert await one.tapes() == [Identity("first", "live"), Identity("third", "live")]
    assert await one.position("trade") == Position(0, {})
    assert (await one.check()).findings == ()


async def test_candles_count_a_fetched_trade_once(store_factory: StoreFactory) -> None:
    """If the tape has it, that one; at the ends of an interval, too. Numbers are text, as bars from trades have them."""
    store = await store_factory()
    await store.append(batch([trade(1), trade(2, ts=NOON + 2 * SECOND + 7)]), {}, after=0)
    fetched = [trade(0, price=Decimal("1.50")), trade(1), trade(2), trade(3), trade(3)]
    await store.append(batch(fetched, source=Source.REST), {}, after=1)
    query = Query(kind="trade", instrument="BTC-USDT")

    (found,) = (await store.candles(query, "1m")).to_pylist()

    assert found == {
        "open_ts": NOON, "open": "1.5", "high": "67003.1", "low": "1.5", "close": "67003.1", "volume": "1", "quote_volume": "50251.95",
        "trades": 4,
    }  # fmt: skip
    assert not len(await store.candles(Query(kind="trade", instrument="ETH-USDT"), "1m"))
    with pytest.raises(HistoryError, match="no timeframe '7m'; there are 1s, 1m"):
        await store.candles(query, "7m")


async def test_the_newest_event(store_factory: StoreFactory) -> None:
    """Of an instrument that is rare, before a moment, by revision; and none if there is none."""
    store = await store_factory()
    rare = batch([trade(1, instrument="ADA-USDT")])
    await store.append(rare, {}, after=0)
    often = batch([trade(number, ts=NOON + number * DAY, venue="okx" if number == 3 else "kraken") for number in range(9)], first_ms=5_000)
    await store.append(often, {}, after=1)
    first, second = batch([candle(1)]), batch([candle(1, revision=1)], first_ms=2_000)
    await store.append(second, {}, after=0)
    await store.append(first, {}, after=1)

    assert await store.last(TRADES) == often.data[-1]
    assert await store.last(Query(kind="trade", instrument="ADA-USDT")) == rare.data[0]
    assert await store.last(Query(kind="trade", venue="okx")) == often.data[3]
    assert await store.last(Query(kind="trade", to_ts=NOON + 7 * DAY)) == often.data[6]
    assert await store.last(Query(kind="candle", timeframe="1m")) == second.data[0]
    assert await store.last(Query(kind="candle", timeframe="5m")) is None
    assert await store.last(Query(kind="trade", from_ts=NOON + 99 * DAY)) is None
    assert await store.last(Query(kind="quote")) is None
