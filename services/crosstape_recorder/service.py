"""Runs the recorder as a process."""

from __future__ import annotations

from crosstape.history.opening import open_store

from crosstape.bus import connect
from crosstape.runtime.telemetry import serve
from crosstape.settings import Settings
from crosstape_recorder.recorder import Recorder


async def run(settings: Settings) -> None:
    """Run until cancelled. The bus and the store need not be up yet.

    Raises `HistoryError` for a store that cannot be opened: a missing extra, an address that is none. See also `Recorder.run`.
    """
    async with connect(settings.bus) as client, open_store(settings) as store:
        recorder = Recorder(settings, client, store)
        async with serve(settings.telemetry, recorder.ready):
            await recorder.run()
