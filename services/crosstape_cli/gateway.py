"""`crosstape gateway`: serves the tape to programs without Redis and to browsers."""

from __future__ import annotations

from crosstape.history.opening import check_named_store
from crosstape.runtime.lifecycle import Exit, main
from crosstape_cli.options import SettingsFile, begin_logging, load
from crosstape_cli.server import located
from crosstape_gateway.service import run


def gateway(*, settings: SettingsFile = None) -> Exit:
    """Serve REST, Server-Sent Events, WebSocket and the dashboard page until stopped (SIGTERM, Ctrl-C).

    The server that it reads is the one of bus.url, else the embedded one of a running `crosstape up`.
    Where recorder.store or recorder.enabled is set, answers go on in the recorded history; that needs the extra of the store.
    """
    loaded = located(load(settings))
    check_named_store(loaded)
    begin_logging(loaded, service="gateway")
    return main(lambda: run(loaded))
