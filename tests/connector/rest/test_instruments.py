"""A venue's list of instruments, by REST or from the cache, and which names are in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crosstape_connector.errors import RestFailed
from crosstape_connector.rest import instruments
from crosstape_connector.rest.instruments import InstrumentCache, ListedInstruments
from tests.connector.fake_venue import ID, fake, parse_instruments, serving
from tests.connector.rig import rigged
from tests.disks import fill, small_disk


def listing(**listed: bool) -> ListedInstruments:
    """A list of the fake venue: symbol → whether it trades."""
    return ListedInstruments(ID, 0, parse_instruments(msgspec.json.encode(listed)))


def test_wanted_names_are_found_by_our_names() -> None:
    """In the order of the settings, each once."""
    selection = instruments.select(listing(AAAUSD=True, BBBUSD=True), ["BBB-USD", "AAA-USD", "BBB-USD"])
    assert list(selection.listed) == ["BBB-USD", "AAA-USD"]
    assert selection.listed["AAA-USD"].symbol == "AAAUSD"
    assert selection.refused == {}


def test_a_name_that_is_not_listed_is_refused_with_the_nearest_that_are() -> None:
    """Usually it is a typing error, or the wrong quote asset."""
    selection = instruments.select(listing(BTCUSD=True, ETHEUR=True), ["BTC-USDT", "ETH-USDT"])
    assert selection.refused["BTC-USDT"] == "not listed on fake; near: BTC-USD"
    assert selection.refused["ETH-USDT"].startswith("not listed on fake")


def test_a_name_that_does_not_trade_is_refused() -> None:
    """Its symbol is named; where two rows have one name, the one that trades counts."""
    selection = instruments.select(listing(AAAUSD=False), ["AAA-USD"])
    assert selection.refused == {"AAA-USD": "listed on fake as AAAUSD, but not trading"}


async def test_the_cached_list_is_used_when_rest_is_down(tmp_path: Path) -> None:
    """Its age is logged; without a cache, too, it is an error."""
    cache = InstrumentCache(tmp_path / "instruments" / "fake.json")
    async with serving() as server, rigged(server) as rig:
        first = await instruments.load(rig.rest, fake(), cache)
        server.answers += [web.Response(status=500), web.Response(body=b"[]"), web.json_response({}), web.Response(status=500)]
        for _ in range(3):
            with capture_logs() as logs:
                assert await instruments.load(rig.rest, fake(), cache) == first
            assert [log["event"] for log in logs] == ["instruments.from_cache"]
            assert logs[0]["age_s"] >= 0
        cache.path.unlink()
        with pytest.raises(RestFailed):
            await instruments.load(rig.rest, fake(), cache)


async def test_a_list_in_several_answers_is_one_list(tmp_path: Path) -> None:
    """All of them are fetched and cached; without one of them the list would lack instruments, so the cache counts."""
    cache = InstrumentCache(tmp_path / "fake.json")
    venue = fake()
    venue = msgspec.structs.replace(venue, instruments=msgspec.structs.replace(venue.instruments, more=("/more?kind=other",)))
    async with serving() as server, rigged(server) as rig:
        server.answers += [web.json_response({"AAAUSD": True}), web.json_response({"BBBUSD": True})]
        first = await instruments.load(rig.rest, venue, cache)
        server.answers += [web.json_response({"CCCUSD": True}), web.Response(status=500)]
        again = await instruments.load(rig.rest, venue, cache)

    assert [one.symbol for one in first.instruments] == ["AAAUSD", "BBBUSD"]
    assert again == first
    assert venue.instruments.match("https://venue.test/more?kind=third")
    assert instruments.load_cached(cache, fake()) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"venue":"other","received_ts":1,"body":"{}"}', b'{"venue":"fake","received_ts":1,"body":"?"}', b"\xff"]
)
async def test_a_cache_that_cannot_be_used_is_ignored(tmp_path: Path, content: bytes) -> None:
    """Damaged, or another venue's."""
    cache = tmp_path / "fake.json"
    cache.write_bytes(content)
    assert instruments.load_cached(InstrumentCache(cache), fake()) is None


async def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """It is logged, once, and the list is used."""
    (tmp_path / "file").write_text("")
    async with serving() as server, rigged(server) as rig:
        with capture_logs() as logs:
            cache = InstrumentCache(tmp_path / "file" / "fake.json")
            found = await instruments.load(rig.rest, fake(), cache)
            assert await instruments.fetch(rig.rest, fake(), cache)
        assert len(found.instruments) == 3
        assert [log["event"] for log in logs].count("instruments.not_cached") == 1


async def test_a_full_disk_keeps_the_old_list(tmp_path: Path) -> None:
    """A half-written file never replaces it, and is removed; the next failure is logged only after a write succeeded."""
    with small_disk(tmp_path / "disk") as disk, capture_logs() as logs:
        cache = InstrumentCache(disk / "instruments" / "fake.json")
        await cache.store(instruments.CachedAnswer(ID, 1, "first"))
        before = cache.path.read_bytes()
        for _ in range(2):
            filling = fill(disk)
            for _ in range(3):
                await cache.store(instruments.CachedAnswer(ID, 2, "second" * 1000))
            assert [path.name for path in cache.path.parent.iterdir()] == ["fake.json"]
            assert cache.path.read_bytes() == before
            filling.unlink()
            await cache.store(instruments.CachedAnswer(ID, 1, "first"))
    assert [log["event"] for log in logs] == ["instruments.not_cached"] * 2
