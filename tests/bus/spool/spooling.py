"""A server that is away, and what is in a spool meanwhile: for the tests of the spool."""

from __future__ import annotations

from pathlib import Path

from crosstape.bus import Publisher
from crosstape_schemas import AnyEvent, Trade
from tests.bus.tape import fast, publishing, trade
from tests.proxy import Proxy
from tests.waiting import wait_until

PENDING = 100


def files(path: Path) -> list[Path]:
    """Returns the files of a spool."""
    return sorted(path.rglob("*.spool"))


def trade_ids(events: list[AnyEvent]) -> list[int]:
    """Returns the ids of the trades, in order."""
    return [int(event.trade_id) for event in events if isinstance(event, Trade)]


def away(net: Proxy) -> None:
    """Cut the server off from now on, until `refusing` ends."""
    net.refusing = True
    net.cut()


async def spooled(publisher: Publisher) -> None:
    """Wait until all lossless events are in the file, except those in flight."""
    await wait_until(lambda: all(lane.spool and not lane.spool.backlog for lane in publisher._writers), what="it is written")


async def left_behind(net: Proxy, path: Path, count: int) -> int:
    """Leave a spool with `count` trades, as a killed publisher does while the server is away. Returns its epoch."""
    async with publishing(fast(net.url, pending=10), spool=path) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, count + 1))
        await spooled(publisher)
    net.refusing = False
    return publisher.epoch
