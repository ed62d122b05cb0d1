"""Runs the recorder as a process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crosstape.bus import Client, connect
from crosstape.history.opening import open_store
from crosstape.history.store import Store
from crosstape.runtime.telemetry import serve
from crosstape.settings import Settings
from crosstape_recorder.recorder import Recorder


async def run(settings: Settings, repair: Callable[[Client, Store], Coroutine[Any, Any, None]] | None = None) -> None:
    """Run until cancelled. The bus and the store need not be up yet. `repair`: repairs gaps until cancelled, beside recording.

    Raises `HistoryError` for a store that cannot be opened: a missing extra, an address that is none. See also `Recorder.run`.
    """
    async with connect(settings.bus) as client, open_store(settings) as store:
        recorder = Recorder(settings, client, store, repair=None if repair is None else lambda: repair(client, store))
        async with serve(settings.telemetry, recorder.ready):
            await recorder.run()
