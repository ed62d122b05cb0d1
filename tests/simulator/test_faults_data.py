"""Faults of data: with the same seed, a faulty venue sends what a sound one sends, but for exactly the fault."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults.active import State
from tests.simulator.client import get
from tests.simulator.test_kraken import Book
from tests.simulator.wire import ADVANCED, BINANCE, FEEDS, IDS, KRAKEN, Feed, books, clean, is_heartbeat, rig
from tests.waiting import wait_until

NUMBER = re.compile(r'"sequence_num":(\d+)')
TIME = re.compile(r'"(?:E|T)":(\d{13})|"(?:time|timestamp|event_time)":"(2[^"]+)Z"')
every_feed = pytest.mark.parametrize("feed", FEEDS, ids=IDS)


async def with_fault(feed: Feed, text: str) -> list[str]:
    """What a client that has subscribed sees in `flow`, with a fault that was set after that."""
    async with rig(feed) as one:
        await one.subscribe()
        running = one.set(text)
        seen = await one.flow()
        assert running.acted > 0
        return seen


def numbers(texts: list[str]) -> list[int]:
    """Of a connection of Advanced, in order."""
    return [int(found.group(1)) for text in texts if (found := NUMBER.search(text))]


def unnumbered(texts: list[str]) -> list[str]:
    """The same without numbers."""
    return [NUMBER.sub("", text) for text in texts]


@every_feed
async def test_a_dropped_update_is_missing(feed: Feed) -> None:
    """One frame is not there; all others are, with their own numbers, in their own places."""
    sound = await clean(feed)

    seen = await with_fault(feed, "drop instrument=ETH-USDT")

    first = books(sound, feed, feed.eth)[0]
    assert seen == sound[:first] + sound[first + 1 :]


@every_feed
async def test_a_duplicated_update_comes_twice(feed: Feed) -> None:
    """The very same bytes, one after the other."""
    sound = await clean(feed)

    seen = await with_fault(feed, "duplicate count=2")

    one, two = books(sound, feed)[:2]
    assert seen == [*sound[: one + 1], *sound[one : two + 1], *sound[two:]]


@every_feed
async def test_swapped_updates_change_places(feed: Feed) -> None:
    """An update comes after the next one of its feed; other feeds are in their places."""
    sound = await clean(feed)

    seen = await with_fault(feed, "swap instrument=BTC-USDT")

    one, two = books(sound, feed, feed.btc)[:2]
    assert seen == [*sound[:one], *sound[one + 1 : two + 1], sound[one], *sound[two + 1 :]]


@every_feed
async def test_what_is_drawn_is_drawn_by_the_seed(feed: Feed) -> None:
    """A part of the updates is lost, the same part with the same seed; trades are not touched."""
    sound = await clean(feed)

    seen = [await with_fault(feed, f"drop probability=0.5 count=0 seed={seed}") for seed in (1, 1, 2)]

    assert seen[0] == seen[1] != seen[2]
    lost = [text for text in sound if text not in seen[0]]
    assert 0 < len(lost) < len(books(sound, feed))
    assert lost == [text for text in lost if feed.book in text]


@every_feed
async def test_a_stalled_feed_is_silent_and_then_comes_at_once(feed: Feed) -> None:
    """Nothing of one instrument, all of the other; at the end what was held, in order. A connection's numbers have no hole."""
    sound = await clean(feed)
    async with rig(feed) as one:
        subscribed = await one.subscribe()
        running = one.set("stall instrument=BTC-USDT")
        seen = await one.flow()
        one.made.faults.remove(running.id)
        one.made.advance(0)
        late = await one.sent()

        assert unnumbered(seen) == unnumbered([text for text in sound if feed.btc not in text])
        assert unnumbered(late) == unnumbered([text for text in sound if feed.btc in text])
        if feed is ADVANCED:
            assert numbers(subscribed + seen + late) == list(range(len(subscribed + seen + late)))
        await wait_until(lambda: one.made.servers[feed.venue].interference is None, what="nothing is left of the fault")


@pytest.mark.parametrize("feed", FEEDS[1:4], ids=IDS[1:4])
async def test_heartbeats_go_on_while_all_data_stall(feed: Feed) -> None:
    """Nothing else comes. (Binance has pings instead: see the next test. Bitstamp answers those of its clients.)"""
    async with rig(feed) as one:
        await one.subscribe()
        if feed is not KRAKEN:
            beats: Any = {"type": "subscribe", "channel": "heartbeats", "channels": ["heartbeat"], "product_ids": ["BTC-USDT"]}
            one.wire.send(beats)
            assert '"subscriptions"' in await one.wire.text()
        one.set("stall")
        one.made.advance(5.0)
        for _ in range(2):
            assert is_heartbeat(await one.wire.text())


async def test_pings_go_on_while_all_data_stall() -> None:
    """Binance's sign of life is the protocol's own."""
    async with rig(BINANCE, options={"binance": {"ping_s": 0.5}}) as one:
        await one.subscribe()
        one.set("stall")
        one.made.advance(5.0)
        first, payload = await one.wire.frame()
        assert (first, payload.isdigit()) == (0x89, True)


@every_feed
async def test_delayed_updates_come_later_in_order(feed: Feed) -> None:
    """Trades come at once, updates of the book some time after; nothing is lost, no number is missing."""
    sound = await clean(feed)
    async with rig(feed) as one:
        subscribed = await one.subscribe()
        running = one.set("delay by=1.5")
        seen = await one.flow()
        assert not books(seen, feed)

        async def all_here() -> bool:
            seen.extend(await one.sent())
            return len(seen) >= len(sound)

        await wait_until(all_here, what="all have come")
        assert running.acted == len(books(sound, feed))
        assert sorted(unnumbered(seen)) == sorted(unnumbered(sound))
        for of_book in (True, False):
            kept = [[text for text in unnumbered(texts) if (feed.book in text) is of_book] for texts in (seen, sound)]
            assert kept[0] == kept[1]
        if feed is ADVANCED:
            assert numbers(subscribed + seen) == list(range(len(subscribed + seen)))


def times(text: str) -> list[int]:
    """All times of a frame, ns."""
    found: list[int] = []
    for unix, iso in TIME.findall(text):
        if unix:
            found.append(int(unix) * 10**6)
        else:
            whole, _, fraction = iso.partition(".")
            hours, minutes, seconds = (int(part) for part in whole.partition("T")[2].split(":"))
            day = int(whole[8:10])
            found.append((((day * 24 + hours) * 60 + minutes) * 60 + seconds) * 10**9 + int(fraction.ljust(9, "0") or 0))
    return found


@pytest.mark.parametrize("feed", FEEDS[:4], ids=IDS[:4])
async def test_a_wrong_clock_shifts_all_times(feed: Feed) -> None:
    """By as much as was asked, and nothing else in any frame. (Bitstamp's whole seconds: see its own test.)"""
    sound = await clean(feed)

    seen = await with_fault(feed, "skew by=-1.25")

    assert [TIME.sub("", text) for text in seen] == [TIME.sub("", text) for text in sound]
    assert any(times(text) for text in sound)
    for text, right in zip(seen, sound, strict=True):
        assert times(text) == [ts - 1_250_000_000 for ts in times(right)]


async def test_a_wrong_checksum_is_just_that() -> None:
    """One book frame of Kraken has another checksum; all other bytes are as they should be, and so are all other frames."""
    sound = await clean(KRAKEN)

    seen = await with_fault(KRAKEN, "checksum instrument=BTC-USDT")

    differ = [index for index, text in enumerate(seen) if text != sound[index]]
    assert differ == books(sound, KRAKEN, KRAKEN.btc)[:1]
    (wrong,), (right,) = json.loads(seen[differ[0]])["data"], json.loads(sound[differ[0]])["data"]
    assert wrong.pop("checksum") != right.pop("checksum")
    assert wrong == right


async def test_a_wrong_level_does_not_fit_its_checksum() -> None:
    """A client that keeps the book finds it out."""
    async with rig(KRAKEN) as one:
        book = Book(10)
        book.apply_all(
            [text for text in await one.subscribe() if '"type":"snapshot"' in text and KRAKEN.btc in text and KRAKEN.book in text]
        )
        one.set("checksum what=level instrument=BTC-USDT")
        updates = [text for text in await one.flow() if KRAKEN.book in text and KRAKEN.btc in text]
        with pytest.raises(AssertionError):
            book.apply_all(updates)


@pytest.mark.parametrize(
    ("feed", "fault", "reason"),
    [
        (BINANCE, "checksum", "checksum: Binance's books have no checksum"),
        (ADVANCED, "checksum", "checksum: Coinbase's books have no checksum"),
        (KRAKEN, "reset", "reset: Kraken numbers nothing"),
        (ADVANCED, "reset instrument=BTC-USDT", "reset: Coinbase's numbers count the whole connection"),
    ],
)
async def test_what_a_venue_has_not_is_refused_with_the_reason(feed: Feed, fault: str, reason: str) -> None:
    """At once."""
    async with rig(feed) as one:
        with pytest.raises(FaultError, match=reason):
            one.set(fault)


async def test_binances_update_ids_begin_again() -> None:
    """At 1, on the stream and by REST, without a hole from there; another instrument's go on as they were."""
    sound = await clean(BINANCE)
    async with rig(BINANCE) as one:
        await one.subscribe()
        one.set("reset instrument=BTC-USDT")
        seen = await one.flow()
        assert [text for text in seen if BINANCE.eth in text] == [text for text in sound if BINANCE.eth in text]
        updates = [json.loads(seen[index])["data"] for index in books(seen, BINANCE, BINANCE.btc)]
        tops = [json.loads(text)["data"]["u"] for text in seen if "btcusdt@bookTicker" in text]
        assert min(updates[0]["U"], tops[0]) <= 1
        assert [update["U"] for update in updates[1:]] == [update["u"] + 1 for update in updates[:-1]]
        assert tops == sorted(tops)
        for _ in range(3):  # one of three answers is a little old
            _, depth, _ = await get(one.made, "binance", "/api/v3/depth?symbol=BTCUSDT&limit=5")
            assert updates[0]["U"] <= depth["lastUpdateId"] <= updates[-1]["u"] + 10


async def test_coinbases_numbers_begin_again() -> None:
    """At 0 in the middle of the connection, and go on from there; the frames are the same."""
    sound = await clean(ADVANCED)

    seen = await with_fault(ADVANCED, "reset")

    assert numbers(seen) == list(range(len(seen)))
    assert unnumbered(seen) == unnumbered(sound)


async def test_a_burst_is_a_faster_market() -> None:
    """About so many times as many orders; each update still follows the one before. Then it is as before."""
    async with rig(KRAKEN) as one:
        book = Book(10)
        book.apply_all(
            [text for text in await one.subscribe() if '"type":"snapshot"' in text and KRAKEN.btc in text and KRAKEN.book in text]
        )
        assert one.made.market is not None
        moves: list[int] = []
        for burst in (False, True, False):
            running = one.set("burst factor=20") if burst else None
            one.made.advance(0.1)  # the moves that were due before
            before = one.made.market.moves
            one.made.advance(2.0)
            moves.append(one.made.market.moves - before)
            if running is not None:
                one.made.faults.remove(running.id)
        assert 12 * moves[0] < moves[1] < 30 * moves[0]
        assert moves[2] < 2 * moves[0]
        book.apply_all([text for text in await one.sent() if KRAKEN.book in text and KRAKEN.btc in text])


@every_feed
async def test_a_frame_can_be_cut_in_half(feed: Feed) -> None:
    """One, whose place it takes; the frames around it are whole."""
    sound = await clean(feed)

    seen = await with_fault(feed, "malformed kind=book")

    at = books(sound, feed)[0]
    assert seen == [*sound[:at], sound[at][: len(sound[at]) // 2], *sound[at + 1 :]]
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen[at])


@every_feed
async def test_a_frame_of_no_known_kind_comes_in_between(feed: Feed) -> None:
    """In addition to all others."""
    sound = await clean(feed)

    seen = await with_fault(feed, "malformed kind=book how=unknown")

    at = books(sound, feed)[0]
    assert seen == [*sound[:at], '{"event":"mystery","data":[1,2,3]}', *sound[at:]]


@pytest.mark.parametrize(("how", "told"), [("utf8", (0x81, False)), ("opcode", (0x83, True))])
@every_feed
async def test_a_frame_can_be_against_the_protocol(feed: Feed, how: str, told: tuple[int, bool]) -> None:
    """A text frame that is no text; a frame of a reserved kind."""

    def is_text(payload: bytes) -> bool:
        try:
            payload.decode()
        except UnicodeDecodeError:
            return False
        return True

    async with rig(feed) as one:
        await one.subscribe()
        one.set(f"malformed how={how}")
        one.made.advance(3.0)
        first, payload = await one.wire.frame()
        while is_heartbeat(payload.decode(errors="replace")):
            first, payload = await one.wire.frame()
        assert (first, is_text(payload)) == told


@every_feed
async def test_a_frame_can_be_too_large(feed: Feed) -> None:
    """It is valid JSON of that size, arrives whole although it is more than the server's own bound, and the stream goes on."""
    sound = await clean(feed)
    size = 3 * 1024 * 1024
    async with rig(feed, buffer_bytes=1024 * 1024) as one:
        await one.subscribe()
        one.set(f"oversized kind=book size={size}")
        seen = await one.flow()
        at = books(sound, feed)[0]
        assert len(seen[at]) == size
        assert json.loads(seen[at]) == json.loads(sound[at])
        assert seen[:at] + seen[at + 1 :] == sound[:at] + sound[at + 1 :]


@every_feed
async def test_without_faults_nothing_stands_in_the_way(feed: Feed) -> None:
    """Neither before one was set nor after its end: what the market sends goes straight to the queue."""
    sound = await clean(feed)
    async with rig(feed) as one:
        (connection,) = next(e for e in one.made.servers[feed.venue].endpoints if e.name == feed.endpoint).feed.connections
        server = one.made.servers[feed.venue]

        def untouched() -> bool:
            return server.interference is None and connection.tap is None and not one.made.faults.any

        assert untouched()
        running = one.set("duplicate")
        assert not untouched()
        one.made.faults.remove(running.id)
        one.made.faults.tick()
        assert running.state is State.ENDED
        assert untouched()
        await one.subscribe()
        assert await one.flow() == sound
