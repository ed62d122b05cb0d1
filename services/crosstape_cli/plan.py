"""`crosstape plan`: shows which connections the settings lead to, what is on each, and where the gateway listens. Connects to nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter

from crosstape.runtime.exit_codes import Exit
from crosstape.settings import GatewaySettings, VenueSettings, shown
from crosstape_cli.address import http_url
from crosstape_cli.options import SettingsFile, find_venue, load, not_in_settings
from crosstape_connector.connection import plan as planned
from crosstape_connector.venue_choice import addresses, in_environment
from crosstape_connector.venues.registry import find
from crosstape_schemas import Instrument

Only = Annotated[str, Parameter(help="Show this venue only.")]


def plan(*, venue: Only = "", settings: SettingsFile = None) -> Exit:
    """Show the connections that the settings lead to: their addresses, and the channels of each instrument on each connection.

    Without --venue, also where the gateway listens, and who may read there. Of a venue that is not enabled, --venue shows them.

    Nothing is connected or asked. So names that a venue does not list are shown, too, and a venue that has less room on a connection than
    its table says makes it more connections.
    """
    loaded = load(settings)
    if venue:
        find_venue(venue, "--venue")
    if venue and venue not in loaded.venues:
        raise not_in_settings(venue, loaded)
    for name, own in loaded.venues.items():
        if name == venue or (own.enabled and not venue):
            sys.stdout.write("\n".join([*_lines(name, own), ""]))
        elif not venue:
            sys.stdout.write(f"{name} (not enabled)\n")
    if not venue:
        sys.stdout.write(f"{_gateway(loaded.gateway)}\n")
    return Exit.OK


def _gateway(own: GatewaySettings) -> str:
    where = f"{http_url(own.host, own.port)}/" if own.port else f"a free port of {own.host}"
    who = "with a token" if own.tokens_file else "without a token"
    return f"gateway{'' if own.enabled else ' (not enabled)'}\n  page, REST and streams on {where}, {who}"


def _lines(name: str, own: VenueSettings) -> Iterator[str]:
    table = in_environment(find(name), own.environment)
    urls = addresses(f"venues.{name}.ws_url", {endpoint.name: endpoint.url for endpoint in table.endpoints}, own.ws_url)
    yield f"{name}{f' ({own.environment})' if own.environment else ''}{'' if own.enabled else ' (not enabled)'}"
    connections = planned.connections(table, {named: _instrument(named, name) for named in own.instruments}, own.feed_kinds)
    for number, connection in enumerate(connections, 1):
        endpoint, topics = connection.endpoint, connection.topics
        size = planned.size(endpoint, topics)
        yield f"  connection {number} to {endpoint.name}, {shown(urls[endpoint.name])}: {size} of {endpoint.topics} topics"
        for group in planned.by_symbol(topics):
            yield f"    {group[0].symbol}: {', '.join(topic.channel for topic in group)}"
    if not connections:
        yield "  no connection: no instrument is named, or the venue has none of the kinds"


def _instrument(name: str, venue: str) -> Instrument:
    """Return an instrument of this name. The venue's symbol is not known without asking, so the name stands for it."""
    base, quote, market = [*name.split("-"), "", ""][:3]
    return Instrument(name, venue, name, base, quote, expiry=0 if market.isdigit() else None)
