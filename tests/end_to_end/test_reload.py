"""A settings file that is changed while `crosstape up` runs, with real processes: what is taken away does not count until it is back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.settings import Settings, VenueSettings
from crosstape_connector import service as connector
from crosstape_schemas import Cbbo, Exclusion, FeedState
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.cli.running import started
from tests.end_to_end.running import newest, running, settings, tape
from tests.end_to_end.test_faults import Venue
from tests.end_to_end.test_recordings import rest_url
from tests.end_to_end.venues import ALL, pair
from tests.waiting import wait_until

BTC, ETH = "BTC-USDT", "ETH-USDT"
COUNTS = (None, FeedState.LIVE)


def written(made: Simulator, bus: str, run_dir: Path, taken: Mapping[str, tuple[str, ...]]) -> str:
    """A settings file for the simulated venues."""
    head = f'bus.url = "{bus}"\nrun.dir = "{run_dir}"\ntelemetry.http_enabled = false\naggregator.settle_s = 0.0\n'
    head += "".join(f"venues.{name}.enabled = false\n" for name in Settings().venues if name not in made.ws_url)
    return head + "".join(
        f"[venues.{name}]\ninstruments = {json.dumps(names)}\nws_url = {json.dumps(made.ws_url[name])}\n"
        f"rest_url = {json.dumps(made.rest_url[name])}\n"
        for name, names in taken.items()
    )


@pytest.mark.parametrize("name", ALL)
async def test_an_instrument_goes_and_comes_back_on_each_venue(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """With the subscriptions of each venue: the other instrument stays live without a gap."""
    btc, eth = (one.instrument for one in pair(name))
    spec = SimulatorSpec(venues=(name,), rate=200.0)
    async with simulator(spec) as made:
        both = VenueSettings(instruments=(btc, eth), ws_url=made.ws_url[name], rest_url=rest_url(made, name))
        own = settings(valkey, tmp_path, {name: both})
        wanted = [settings(valkey, tmp_path, {name: msgspec.structs.replace(both, instruments=(eth,))}), own]
        venue = Venue(name, made, client)
        async with running(connector.run(own, name, lambda: wanted.pop(0))):
            await venue.begins()
            os.kill(os.getpid(), signal.SIGHUP)
            for kind in ("trade", "quote", "book"):
                await venue.until(kind, FeedState.DOWN, btc)
            os.kill(os.getpid(), signal.SIGHUP)
            for kind in ("trade", "quote", "book"):
                await venue.until(kind, FeedState.LIVE, btc)
            assert await tape(client, "gap", eth) == []
            for kind in ("trade", "quote", "book"):
                states = await venue.states(kind, eth)
                assert set(states[states.index(FeedState.LIVE) :]) == {FeedState.LIVE}


@pytest.mark.slow
async def test_a_leg_that_was_removed_does_not_count_until_it_is_back(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The leg is excluded and shown as down. The other venue's leg and the venue's other instrument continue; a wrong file changes nothing.

    The same holds for a complete venue that is removed and added again.
    """
    file = tmp_path / "settings.toml"

    async def leg(instrument: str, venue: str) -> tuple[Exclusion | None, FeedState] | None:
        quote = await newest(client, "cbbo", instrument)
        legs = quote.legs if isinstance(quote, Cbbo) else ()
        return next(((leg.excluded, leg.state) for leg in legs if leg.venue == venue), None)

    async def whole() -> bool:
        return all([await leg(instrument, venue) == COUNTS for instrument in (BTC, ETH) for venue in ("binance", "kraken")])

    async def left() -> bool:
        return await leg(BTC, "kraken") == (Exclusion.STATE, FeedState.DOWN)

    async with simulator(SimulatorSpec(venues=("binance", "kraken"), rate=200.0)) as made:
        both = written(made, valkey, tmp_path / "run", {"binance": (BTC, ETH), "kraken": (BTC, ETH)})
        file.write_text(both)
        async with started("up", "--settings", str(file)) as process:
            await wait_until(whole, what="all legs count", timeout_s=120)
            file.write_text(written(made, valkey, tmp_path / "run", {"binance": (BTC, ETH), "kraken": (ETH,)}))
            process.send_signal(signal.SIGHUP)
            await wait_until(left, what="the leg is excluded", timeout_s=60)
            assert await leg(BTC, "binance") == COUNTS
            assert await leg(ETH, "kraken") == COUNTS
            file.write_text("venues.kraken.instrument = 7")
            process.send_signal(signal.SIGHUP)
            file.write_text(both)
            process.send_signal(signal.SIGHUP)
            await wait_until(whole, what="it counts again", timeout_s=60)
            file.write_text("venues.kraken.enabled = false\n" + written(made, valkey, tmp_path / "run", {"binance": (BTC, ETH)}))
            process.send_signal(signal.SIGHUP)
            await wait_until(left, what="the venue is gone", timeout_s=60)
            file.write_text(both)
            process.send_signal(signal.SIGHUP)
            await wait_until(whole, what="the venue is back", timeout_s=60)
            assert process.returncode is None
            process.terminate()
            _, err = await process.communicate()
    assert process.returncode == 0
    logged = [json.loads(line)["event"] for line in err.decode().splitlines() if line.startswith("{")]
    assert logged.count("service.started") == 5  # nobody had to be started again, but the connector that was taken away
