"""Tests where reading of a stream begins, and when its past has been read."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from crosstape.bus import Bookmark, Start
from crosstape_aggregator.recovery.catch_up import KINDS as PAST_KINDS
from crosstape_aggregator.recovery.discovery import Discovery, FoundStream
from crosstape_aggregator.recovery.plan import CatchUp, ReadPlan, StreamExtent, extents, plan, resume, silent_until_s, trimmed_s
from crosstape_aggregator.shard import LIVE_KINDS
from crosstape_schemas import KINDS, TIMEFRAMES, Keys

START_S = 1_786_000_000
BEGIN = f"{(START_S - 60) * 1000}-0"
TRADES, GAPS, VENUE = "tape:trade:X", "tape:gap:X", "tape:venue:kraken"


def at(second: int, number: int = 0) -> str:
    """Return the id of an entry that was written this many seconds after the start."""
    return f"{(START_S + second) * 1000}-{number}"


@pytest.mark.parametrize(
    ("extent", "expected"),
    [
        (StreamExtent(None, None), ReadPlan(Start.BEGINNING, None, None)),
        (StreamExtent(at(-7_000), at(50)), ReadPlan(BEGIN, at(50), START_S)),
        (StreamExtent(at(-7_000), at(-5_000)), ReadPlan(at(-5_000), at(-5_000), START_S)),
        (StreamExtent(at(10), at(50)), ReadPlan(Start.BEGINNING, at(50), START_S + 12)),
        (StreamExtent(at(-30), at(50)), ReadPlan(Start.BEGINNING, at(50), START_S)),
        (StreamExtent(None, at(50)), ReadPlan(at(50), at(50), START_S + 52)),
        (StreamExtent(None, at(-5_000)), ReadPlan(at(-5_000), at(-5_000), START_S)),
    ],
)
def test_a_stream_is_read_from_where_it_matters(extent: StreamExtent, expected: ReadPlan) -> None:
    """Reading begins one minute before the longest window. A stream that begins later is complete from its start on."""
    assert plan(extent, START_S) == expected


def begun(**extent: StreamExtent) -> CatchUp:
    """Return a `CatchUp` with the streams of one instrument and one venue."""
    catch_up = CatchUp()
    for one in (FoundStream("trade", "X", TRADES), FoundStream("gap", "X", GAPS), FoundStream("venue", "kraken", VENUE)):
        how = plan(extent.get(one.kind, StreamExtent(None, None)), START_S)
        assert catch_up.start(one, how) == catch_up.is_behind(one.stream)
    return catch_up


def test_an_instrument_is_known_when_all_its_streams_have_been_read() -> None:
    """These are its trades, its gaps, and the venue-wide streams, which may contain gaps of any instrument."""
    catch_up = begun(trade=StreamExtent(at(-100), at(50, 3)), gap=StreamExtent(at(-100), at(40)), venue=StreamExtent(at(-100), at(45)))
    assert (catch_up.is_behind(TRADES), len(catch_up)) == (True, 1)
    assert catch_up.reached({TRADES: at(50, 2), GAPS: at(40), VENUE: at(45)}) == [GAPS, VENUE]
    assert catch_up.known() == {}
    assert catch_up.reached({TRADES: at(50, 3)}) == [TRADES]
    assert not catch_up.is_behind(TRADES)
    assert catch_up.known() == {"X": START_S}
    assert (len(catch_up), catch_up.reached({TRADES: at(60)}), catch_up.known()) == (0, [], {})


@pytest.mark.parametrize("last", ["gap", "venue"])
def test_every_stream_has_to_be_read(last: str) -> None:
    """The order in which the streams are finished does not matter."""
    streams = {"trade": TRADES, "gap": GAPS, "venue": VENUE}
    catch_up = begun(**{kind: StreamExtent(at(-100), at(50)) for kind in streams})
    assert len(catch_up.reached({stream: at(50) for kind, stream in streams.items() if kind != last})) == 2
    assert catch_up.known() == {}
    assert catch_up.reached({streams[last]: at(51)}) == [streams[last]]
    assert catch_up.known() == {"X": START_S}


def test_a_stream_without_entries_is_known_from_its_first() -> None:
    """Not earlier: perhaps no connector was running."""
    catch_up = begun()
    assert catch_up.known() == {}
    catch_up.started(GAPS, at(5))
    assert catch_up.known() == {}
    catch_up.started(TRADES, at(10))
    catch_up.started(TRADES, at(20))
    assert catch_up.known() == {"X": START_S + 12}


def test_a_stream_with_nothing_new_is_no_history() -> None:
    """Its last entry is older than all windows."""
    catch_up = begun(trade=StreamExtent(at(-9_000), at(-8_000)))
    assert not catch_up.is_behind(TRADES)
    assert catch_up.known() == {"X": START_S}


@pytest.mark.parametrize(
    ("extent", "expected"),
    [
        (StreamExtent(at(1), at(50)), None),
        (StreamExtent(at(10), at(50)), None),
        (StreamExtent(at(20), at(50)), (START_S + 10, START_S + 21)),
        (StreamExtent(None, at(10)), None),
        (StreamExtent(None, at(50)), (START_S + 10, START_S + 51)),
        (StreamExtent(None, None), None),
    ],
)
def test_what_was_trimmed_behind_a_stored_id_is_a_gap(extent: StreamExtent, expected: tuple[int, int] | None) -> None:
    """If the stream is empty, all entries after the stored id are missing."""
    assert trimmed_s(extent, at(10)) == expected


def test_a_stream_that_was_trimmed_to_nothing_is_resumed_at_its_last_id() -> None:
    """It is the same stream, although it has no entries. A stream that never had an id is another one."""
    mark = Bookmark(at(10))
    assert resume(StreamExtent(None, at(50)), mark, START_S, START_S) == ReadPlan(at(50), None, START_S)
    assert resume(StreamExtent(None, None), mark, START_S, START_S) is None


async def test_extents_are_the_first_and_last_ids(client: Redis) -> None:
    """A key of another type counts as a missing stream. An emptied stream keeps its last id."""
    await client.xadd("one", {"d": b"1"}, id="5-0")
    await client.xadd("one", {"d": b"1"}, id="7-1")
    await client.set("text", b"1")
    await client.xadd("emptied", {"d": b"1"}, id="5-0")
    await client.xtrim("emptied", maxlen=0, approximate=False)
    await client.xgroup_create("never", "group", mkstream=True)
    await client.xadd("trimmed", {"d": b"1"}, id="5-0")
    await client.xadd("trimmed", {"d": b"1"}, id="6-0", maxlen=1, approximate=False)
    nothing = StreamExtent(None, None)
    found = await extents(client, ["one", "text", "none", "never", "emptied", "trimmed"])
    assert found[:4] == [StreamExtent("5-0", "7-1"), nothing, nothing, nothing]
    assert found[4:] == [StreamExtent(None, "5-0", trimmed=True), StreamExtent("6-0", "6-0", trimmed=True)]


@pytest.mark.parametrize(
    ("extent", "expected"),
    [
        (StreamExtent(None, None), 0),
        (StreamExtent(at(10), at(50)), 0),
        (StreamExtent(at(10), at(50), trimmed=True), START_S + 11),
        (StreamExtent(None, at(50), trimmed=True), START_S + 51),
    ],
)
def test_of_gaps_before_the_first_that_is_kept_nothing_is_known(extent: StreamExtent, expected: int) -> None:
    """The exception is a stream that was never trimmed."""
    assert silent_until_s(extent) == expected


async def test_streams_are_found_once(client: Redis) -> None:
    """Only streams of the requested kinds and instruments are found, in every partition."""
    keys = Keys("tape", 2)
    discovery = Discovery(client, keys, {"quote", "venue"}, {"BTC-USDT", "ETH-USDT"})
    names = [keys.stream("quote", "BTC-USDT"), keys.stream("quote", "ETH-USDT"), keys.stream("trade", "BTC-USDT"), "nonsense"]
    for name in names:
        await client.sadd(keys.registry(keys.partition(name.rpartition(":")[2])), name)
    await client.sadd(keys.registry(0), keys.venue("kraken"), keys.stream("quote", "SOL-USDT"))

    found = await discovery.refresh()
    assert {(one.kind, one.name) for one in found} == {("quote", "BTC-USDT"), ("quote", "ETH-USDT"), ("venue", "kraken")}
    assert await discovery.refresh() == []
    await client.sadd(keys.registry(0), keys.venue("binance"))
    assert await discovery.refresh() == [FoundStream("venue", "binance", keys.venue("binance"))]


async def test_no_stream_is_read_that_no_quote_needs(client: Redis) -> None:
    """Of every kind and timeframe that can be on a tape, a shard follows these; of the others it only reads the name, once."""
    keys, name = Keys(), "BTC-USDT-PERP"
    kinds = [*(KINDS.keys() - {"candle"}), *(f"candle:{timeframe}" for timeframe in TIMEFRAMES)]
    streams = [keys.stream(kind, one) for kind in kinds for one in (name, "BTC-USD*")]  # what is published for a composite is no input
    await client.sadd(keys.registry(), keys.venue("binance_usdm"), *streams)

    found = await Discovery(client, keys, LIVE_KINDS | PAST_KINDS, ()).refresh()

    assert {one.kind for one in found} == {"trade", "quote", "book", "status", "gap", "venue"}
    assert {one.name for one in found} == {name, "binance_usdm"}


async def test_streams_found_in_one_partition_survive_the_silence_of_the_next(client: Redis) -> None:
    """If one partition does not answer, all streams are found by the next call."""
    keys = Keys("tape", 2)
    discovery = Discovery(client, keys, {"venue"}, ())
    await client.sadd(keys.registry(0), keys.venue("kraken"))
    await client.set(keys.registry(1), b"no set")
    with pytest.raises(ResponseError):
        await discovery.refresh()
    await client.delete(keys.registry(1))
    assert await discovery.refresh() == [FoundStream("venue", "kraken", keys.venue("kraken"))]


async def test_a_registry_that_changed_without_growing_is_noticed_in_time(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is read every `FULL_EVERY` calls."""
    monkeypatch.setattr("crosstape_aggregator.recovery.discovery.FULL_EVERY", 2)
    discovery = Discovery(client, Keys(), {"quote"}, ())
    await client.sadd(Keys().registry(), "tape:quote:A")
    assert len(await discovery.refresh()) == 1
    await client.srem(Keys().registry(), "tape:quote:A")
    await client.sadd(Keys().registry(), "tape:quote:B")
    assert await discovery.refresh() == []
    assert [one.name for one in await discovery.refresh()] == ["B"]
