"""`crosstape connector`: publishes one venue's feeds to the tape."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from crosstape.runtime.lifecycle import Exit, main
from crosstape_cli.options import IMeanIt, SettingsFile, begin_logging, find_venue, load, not_in_settings
from crosstape_cli.server import located
from crosstape_connector.service import run
from crosstape_connector.venues.registry import VENUES

Venue = Annotated[str, Parameter(help=f"Venue: {', '.join(VENUES)}.")]


def connector(*, venue: Venue, settings: SettingsFile = None, i_mean_it: IMeanIt = False) -> Exit:
    """Run one venue's connector until it is stopped (SIGTERM, Ctrl-C); then it publishes what is pending.

    SIGHUP makes it read its settings again: instruments are added and removed, and the others continue without a break.

    Its instruments and channels are in the settings under [venues.VENUE]. The server is that of bus.url, else the embedded one of a
    running `crosstape up`.
    """
    loaded = load(settings)
    find_venue(venue, "--venue")
    if venue not in loaded.venues:
        raise not_in_settings(venue, loaded)
    loaded = located(loaded)
    if i_mean_it:
        loaded = replace(loaded, connector=replace(loaded.connector, any_origin=True))
    begin_logging(loaded, service=f"connector.{venue}")
    return main(lambda: run(loaded, venue, reload=lambda: located(load(settings))))
