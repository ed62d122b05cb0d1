"""`crosstape recorder`: records the tape to a store, verifies the store, or binds it to the tape of a new server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from crosstape.bus import Client, connect
from crosstape.bus.client.availability import Availability
from crosstape.history.opening import check_store, history_url, open_store
from crosstape.history.store import Store
from crosstape.runtime.lifecycle import Exit, main
from crosstape.settings import Settings, shown
from crosstape_cli.options import SettingsFile, begin_logging, load
from crosstape_cli.server import located
from crosstape_cli.view import counted
from crosstape_recorder import binding
from crosstape_recorder.service import run
from crosstape_schemas import Keys


class Action(StrEnum):
    """What to do with the store."""

    RECORD = "record"
    CHECK = "check"
    ADOPT = "adopt"


def recorder(
    action: Annotated[
        Action,
        Parameter(
            help="record: write the tape to the store until stopped. check: read the whole store and verify it. adopt: bind the store to"
            " the tape of this bus, whose server lost its data."
        ),
    ] = Action.RECORD,
    /,
    *,
    settings: SettingsFile = None,
) -> Exit:
    """Record the tape to files, a bucket or a database, each event once, until stopped (SIGTERM, Ctrl-C).

    The store is that of recorder.store, else the database that DATABASE_URL names, else the folder `history` in the run directory. The
    server that it reads is the one of bus.url, else the embedded one of a running `crosstape up`. What was read is committed every
    recorder.commit_s and at the end; the next start goes on there. Bus and store may be away at any time: nothing is lost as long as the
    streams of the tape keep it, and what they do not keep becomes a gap of the history.

    `crosstape recorder check` prints what it has read and found, and exits with 1 if something is wrong. It needs no bus.

    A store has the history of one tape. If the bus lost all its data, and the connectors were started again meanwhile, it has another
    tape: `crosstape recorder adopt` lets the history go on with it. Live and simulated tapes never mix.
    """
    loaded = load(settings)
    check_store(loaded)
    if action is Action.CHECK:
        begin_logging(loaded, service="recorder")
        return main(lambda: _check(loaded), short=True)
    loaded = located(loaded)
    begin_logging(loaded, service="recorder")
    return main(lambda: _adopt(loaded) if action is Action.ADOPT else run(loaded, _repair(loaded)))


def _repair(settings: Settings) -> Callable[[Client, Store], Coroutine[Any, Any, None]] | None:
    """Return what repairs gaps beside recording, if the settings ask for it."""
    if not settings.recorder.repair_s:
        return None
    from crosstape_cli.repair_service import repairing  # noqa: PLC0415 - it imports all venues

    return partial(repairing, settings)


async def _check(settings: Settings) -> Exit:
    where = shown(history_url(settings))
    async with open_store(settings) as store:
        result = await store.check()
    for found in result.findings:
        print(f"{found.where}: {found.what}")
    verdict = counted(len(result.findings), "finding") if result.findings else "nothing is wrong"
    read = f"read {counted(result.rows, 'row')} in {counted(result.commits, 'commit')}"
    print(f"{where}: {f'{read}: {verdict}' if result.commits or result.findings else 'nothing was recorded yet'}")
    return Exit.FAILED if result.findings else Exit.OK


async def _adopt(settings: Settings) -> Exit:
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with connect(settings.bus) as client, open_store(settings) as store:
        availability = Availability(client, "recorder", backoff_s=settings.bus.backoff_s, reconnected=lambda _away_s: None, starting=True)
        tape = await binding.wait_for_tape(client, keys, availability)
        changed = await binding.bind(store, tape, adopt=True)
    where = shown(history_url(settings))
    print(f"{where}: {'goes on with' if changed else 'has already'} the tape {tape.id} ({tape.origin or 'origin unknown'})")
    return Exit.OK
