"""A connection whose venue sends binary frames: they are read, captured and replayed as they came; bad ones end nothing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from crosstape_connector.capture.reader import CaptureFile, read
from crosstape_connector.capture.writer import Capture
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.parsing.binary import as_text, gunzip
from crosstape_schemas import FeedState, Quote, Trade
from tests.connector.fake_venue import endpoint, fake, quote, serving, trade
from tests.connector.rig import QUICK, rigged, running
from tests.waiting import wait_until

UNPACKED = gunzip(4096)
BOTH = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))
FORMS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {"gzip": (UNPACKED, gzip.compress), "text": (as_text, bytes)}


@pytest.mark.parametrize("form", FORMS)
async def test_binary_frames_become_events(form: str) -> None:
    """Text frames of the same endpoint are read, too: the venue may answer requests in text."""
    unpack, pack = FORMS[form]
    async with serving() as server, rigged(server, fake(endpoint(binary=unpack)), symbols=["AAAUSD"]) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed by an acknowledgement in text")
            await server.peer.send_binary(pack(trade("AAAUSD", 1, "10.50")))
            await server.peer.send(trade("AAAUSD", 2))
            await wait_until(lambda: len(rig.of(Trade)) == 2, what="both trades")
        assert [(one.trade_id, str(one.price)) for one in rig.of(Trade)] == [("1", "10.50"), ("2", "10.50")]
        assert not rig.counters.bad_frames


BOMB = gzip.compress(b" " * 3_000_000)
BAD = {
    "bomb": BOMB,
    "cut off": gzip.compress(trade("AAAUSD", 9))[:-1],
    "garbage after it": gzip.compress(trade("AAAUSD", 9)) + b"garbage",
    "no gzip": trade("AAAUSD", 9),
    "empty": b"",
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_binary_frame_is_counted_and_kept_and_nothing_stops(what: str, tmp_path: Path) -> None:
    """Its kind is `binary`. The capture has it as it came. The newest quotes may have been in it: they are out of date."""
    assert len(BOMB) < 4096
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0)
    capture.start()
    ours = fake(endpoint(binary=gunzip(1 << 30), max_frame_bytes=4096))
    async with serving() as server, rigged(server, ours, BOTH, ["AAAUSD"], capture=capture) as rig:
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.send_binary(gzip.compress(quote("AAAUSD")))
            await wait_until(lambda: rig.of(Quote), what="a quote")
            await server.peer.send_binary(BAD[what], gzip.compress(trade("AAAUSD", 1)))
            await wait_until(lambda: rig.of(Trade), what="the good frame after it")
            assert not task.done()
            assert rig.state("AAA-USD", "quote") is FeedState.RECOVERING
    capture.stop()
    assert dict(rig.counters.bad_frames) == {"binary": 1}
    (file,) = tmp_path.iterdir()
    assert [line.body() for line in read(CaptureFile(file))[1] if line.bad == "binary"] == [BAD[what]]


async def test_a_binary_frame_that_cannot_be_parsed_is_a_bad_frame_of_that_kind() -> None:
    """The quotes that its text names are out of date, others are not."""
    async with serving() as server, rigged(server, fake(endpoint(binary=UNPACKED)), BOTH) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.send_binary(gzip.compress(quote("AAAUSD")), gzip.compress(quote("BBBUSD")))
            await server.peer.send_binary(gzip.compress(b'{"ch":"quotes","s":"AAAUSD","b":['), gzip.compress(trade("AAAUSD", 1)))
            await wait_until(lambda: rig.of(Trade), what="they are read")
            assert rig.state("AAA-USD", "quote") is FeedState.RECOVERING
            assert rig.state("BBB-USD", "quote") is FeedState.LIVE
        assert dict(rig.counters.bad_frames) == {"truncated": 1}


@pytest.mark.parametrize("form", FORMS)
async def test_a_capture_of_binary_frames_is_replayed(form: str, tmp_path: Path) -> None:
    """The capture has the bytes of the socket, and gives the events of the tape."""
    unpack, pack = FORMS[form]
    venue = fake(endpoint(binary=unpack))
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0)
    capture.start()
    frames = [pack(trade("AAAUSD", number)) for number in range(1, 6)]
    async with serving() as server, rigged(server, venue, symbols=["AAAUSD"], capture=capture) as rig:
        capture.answered(1, f"{server.url}/instruments", msgspec.json.encode({"AAAUSD": True}), instruments=True)
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.send_binary(*frames)
            await wait_until(lambda: len(rig.of(Trade)) == 5, what="the trades")
    capture.stop()
    (file,) = tmp_path.iterdir()
    assert [line.body() for line in read(CaptureFile(file))[1] if line.b is not None] == frames
    replayed = [event for event in normalize(venue, CaptureFile(file)) if isinstance(event, Trade)]
    assert [msgspec.structs.replace(one, seq=0) for one in replayed] == rig.of(Trade)


async def test_an_undecodable_frame_of_a_capture_is_counted(tmp_path: Path) -> None:
    """As in the running connector: the frames around it are replayed."""
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0)
    capture.start()
    capture.answered(1, "http://192.0.2.1/instruments", msgspec.json.encode({"AAAUSD": True}), instruments=True)
    for number, data in enumerate((gzip.compress(trade("AAAUSD", 1)), BOMB, gzip.compress(trade("AAAUSD", 2)))):
        capture.binary_in(2 + number, 1, data)
    capture.stop()
    (file,) = tmp_path.iterdir()
    found = normalize(fake(endpoint(binary=UNPACKED)), CaptureFile(file))
    assert [event.trade_id for event in found if isinstance(event, Trade)] == ["1", "2"]
    assert dict(found.summary.unhandled) == {"binary": 1}
