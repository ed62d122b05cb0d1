"""`crosstape aggregator`: reads the venues' events, publishes consolidated quotes."""

from __future__ import annotations

from crosstape.runtime.lifecycle import Exit, main
from crosstape_aggregator.service import run
from crosstape_cli.options import SettingsFile, begin_logging, load
from crosstape_cli.server import located


def aggregator(*, settings: SettingsFile = None) -> Exit:
    """Run the aggregator until it is stopped (SIGTERM, Ctrl-C).

    It consolidates the instruments of aggregator.instruments, or all that appear on the bus. The server is the one of bus.url, else the
    embedded one of a running `crosstape up`.
    """
    loaded = located(load(settings))
    begin_logging(loaded, service="aggregator")
    return main(lambda: run(loaded))
