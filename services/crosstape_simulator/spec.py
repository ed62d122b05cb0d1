"""What a simulator is to be. All durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.market.listings import Listing

VENUES: Final = ("binance", "coinbase", "kraken")


class SimulatorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything has a default: three synthetic venues at a pace for demos."""

    venues: tuple[str, ...] = VENUES
    recordings: tuple[str, ...] = ()
    """Capture files. A venue with one is played; the others of `venues` are synthetic, or left out if `venues` does not name them."""
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = {}
    """By venue; one that is not named takes a free port."""

    seed: int = 1
    rate: float = 200.0
    """Orders a second over all synthetic venues; each makes one to a few frames."""
    levels: int = 200
    """Of a book, a side, about."""
    start_ts: int | None = None
    """Where the market's clock starts, ns; None: now. With the same seed and start the market is the same."""
    paused: bool = False
    """Start with the market's clock standing still: `Simulator.resume` or `advance` move it."""
    listings: Mapping[str, tuple[Listing, ...]] = {}
    """What each venue lists; one that is not named lists the usual."""

    speed: float = 1.0
    """Of recordings: 1 as recorded, N times as fast, 0 as fast as the clients take them."""
    start: Literal["subscribed", "manual"] = "subscribed"
    """A recording starts once clients have subscribed to what is in it, or only with `Simulator.start`."""
    settle_s: float = 0.5
    """It starts so long after the last subscription if all that is in it is subscribed; four times as long after if only a part is."""
    repeat: bool = False
    """Play a recording again for clients that come after its end."""

    binance_messages_per_s: int = 5
    binance_ping_s: float = 20.0
    binance_old_snapshot_every: int = 3
    """Every so many depth answers of a symbol, one is up to a second old; 0: never."""
    coinbase_batch_s: float = 0.05
    """How long changes of a book are gathered."""
    coinbase_subscribe_within_s: float = 5.0
    coinbase_requests_per_s: float = 10.0
    """By REST, half as many again in a burst; beyond it 429. 0: no limit."""
    kraken_messages_per_s: int = 50
    kraken_requests_per_s: float = 1.0
    """By REST, `Trades` of each pair apart, fifteen times as many in a burst; beyond it 429. 0: no limit."""
    buffer_bytes: int = 16 * 1024 * 1024
    """A client that has not taken so much is cut."""

    faults: tuple[AnyFault, ...] = ()
    """Set once everything listens."""
    control_host: str = "127.0.0.1"
    control_port: int | None = None
    """Where faults can be set and the truth be asked for while it runs; None: nowhere, 0: a free port."""
