"""Two connectors of one venue, of which one publishes: killed, stopped, stalled and cut off in turn, against the truth of the market."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from crosstape_schemas import FeedState, Status
from crosstape_simulator.spec import VENUES
from tests.end_to_end.lines import Lines, market, other
from tests.proxy import proxy
from tests.rare import rare_but

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("busy lines")]  # one at a time: they load all processors


@pytest.mark.parametrize("venue", rare_but(zip(VENUES, strict=True), ("binance",), ("coinbase",)))
async def test_kill_them_in_turn_and_no_trade_is_missing_or_doubled(short_path: Path, venue: str) -> None:
    """Each time the other replica continues after the last trade on the tape: every trade is there once, and there is no gap."""
    async with market(short_path, venue) as stand:
        lines = Lines(stand, venue)
        await lines.both()
        for _ in range(4):
            line = await lines.ready()
            await lines.end(line, signal.SIGKILL)
            await lines.active(other(line))
            await lines.start(line)
        await lines.ready()
        await lines.check()
        assert await lines.epochs() >= 5


async def test_one_that_is_stopped_leaves_no_trace(short_path: Path) -> None:
    """SIGTERM: the other one publishes before a session is closed, so no feed is reported as down, and the process ends gracefully."""
    async with market(short_path, "kraken") as stand:
        lines = Lines(stand, "kraken")
        line = await lines.both()
        for _ in range(2):
            await lines.end(line, signal.SIGTERM)
            assert lines.processes[line].returncode == 0
            await lines.active(other(line))
            await lines.start(line)
            line = await lines.ready()
        await lines.check()
        down = [event for event in await lines.events() if isinstance(event, Status) and event.state is FeedState.DOWN]
        assert down == []


async def test_one_whose_venue_is_cut_off_hands_over_before_it_tells(short_path: Path) -> None:
    """No feed is reported as down and no gap, although the active replica missed trades. When its venue is back, it is the standby."""
    async with market(short_path, "kraken") as stand:
        lines = Lines(stand, "kraken")
        public = stand.ws_url["kraken"]
        assert isinstance(public, str)
        async with proxy(public) as network:
            through = public.replace(str(network.upstream_port), str(network.port))
            await lines.start("a", CROSSTAPE_VENUES__KRAKEN__WS_URL=through)
            await lines.active("a")
            await lines.start("b")
            assert await lines.ready() == "a"
            network.refusing = True
            network.cut()
            await lines.active("b")
            network.refusing = False
            assert await lines.ready() == "b"
        await lines.check()
        down = [event for event in await lines.events() if isinstance(event, Status) and event.state is FeedState.DOWN]
        assert down == []


async def test_one_that_wakes_up_too_late_is_refused_and_stands_by(short_path: Path) -> None:
    """It was stopped while it published. Its waiting events are discarded; its process continues."""
    async with market(short_path, "kraken") as stand:
        lines = Lines(stand, "kraken")
        line = await lines.both()
        for _ in range(2):
            stalled = lines.processes[line]
            stalled.send_signal(signal.SIGSTOP)
            await lines.active(other(line))
            stalled.send_signal(signal.SIGCONT)
            line = await lines.ready()
            assert stalled.returncode is None
        await lines.check()
        assert await lines.epochs() == 3
