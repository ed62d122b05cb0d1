"""Names what every request handler works with."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from crosstape.bus import Client
from crosstape.history.store import Store
from crosstape.settings import GatewaySettings
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.hub import Hub
from crosstape_schemas import Keys


class Parts(msgspec.Struct, frozen=True):
    """The parts of a running gateway."""

    settings: GatewaySettings
    client: Client
    """For answers of REST; the hub reads streams by itself."""
    keys: Keys
    catalogue: Catalogue
    hub: Hub
    store: Store | None = None
    """The recorded history; None: there is none."""


PARTS: Final = web.AppKey("parts", Parts)
