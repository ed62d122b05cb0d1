"""`crosstape connector`: publishes one venue's feeds to the tape."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from crosstape.errors import SettingsError
from crosstape.runtime.lifecycle import Exit, main
from crosstape_cli.options import IMeanIt, SettingsFile, begin_logging, load
from crosstape_cli.server import located
from crosstape_connector.service import run
from crosstape_connector.venues.registry import VENUES

Venue = Annotated[str, Parameter(help=f"The venue: {', '.join(VENUES)}.")]


def connector(*, venue: Venue, settings: SettingsFile = None, i_mean_it: IMeanIt = False) -> Exit:
    """Run one venue's connector until SIGTERM or Ctrl-C; then it publishes pending events and ends.

    At SIGHUP it reads its settings again: instruments are added and removed; the feeds of all others continue without a break.

    The settings under [venues.VENUE] say which instruments and feeds it reads. The server is the one of bus.url, else the embedded one of
    a running `crosstape up`.
    """
    loaded = load(settings)
    if venue not in loaded.venues:
        raise SettingsError(f"venues.{venue}: not in the settings; they have {', '.join(sorted(loaded.venues))}")
    loaded = located(loaded)
    if i_mean_it:
        loaded = replace(loaded, connector=replace(loaded.connector, any_origin=True))
    begin_logging(loaded, service=f"connector.{venue}")
    return main(lambda: run(loaded, venue, reload=lambda: located(load(settings))))
