"""Reads each stream that some client follows once, however many clients follow it, and hands its entries to their outboxes."""

from __future__ import annotations

from crosstape.bus import Client
from crosstape.settings import GatewaySettings
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_schemas import Keys


class Hub:
    """One reader of the bus for all clients."""

    def __init__(self, client: Client, keys: Keys, settings: GatewaySettings, catalogue: Catalogue) -> None:
        self.away_since_ts: int | None = None
        """Since when the bus is away, ns; None: it answers."""

    async def run(self) -> None:
        """Read until cancelled."""
        raise NotImplementedError
