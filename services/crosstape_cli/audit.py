"""`crosstape audit`: computes again what was published, from the recorded inputs, and compares it digit by digit."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from crosstape.errors import SettingsError
from crosstape.history.opening import open_store
from crosstape.runtime.lifecycle import Exit, main
from crosstape.settings import Settings
from crosstape_cli.instrument_names import InstrumentNames
from crosstape_cli.moments import From, To, iso, span
from crosstape_cli.options import SettingsFile, begin_logging, load
from crosstape_cli.view import counted
from crosstape_recorder.audit.committed import complete_until
from crosstape_recorder.audit.findings import Audit as Findings
from crosstape_recorder.audit.findings import Difference
from crosstape_recorder.audit.reading import AUDITED, Span, needed
from crosstape_recorder.audit.reading import audit as audit_store
from crosstape_recorder.audit.rules import Rules

Kind = Literal["cbbo", "window", "bar", "depth", "edge"]
MOST_INPUTS = 20
"""Inputs that are printed with one difference."""


def audit(
    instrument: Annotated[str | None, Parameter(help="Instrument, as BTC-USDT; default: all that were recorded.")] = None,
    /,
    *,
    from_text: From = None,
    to_text: To = None,
    kind: Annotated[tuple[Kind, ...], Parameter(negative="", help="What to audit; may be given several times. Default: all.")] = (),
    show: Annotated[int, Parameter(help="How many differences to print, with their inputs.")] = 20,
    settings: SettingsFile = None,
) -> Exit:
    """Compute what was published again, from the recorded events and the texts of the methods, and compare it digit by digit.

    It audits consolidated quotes (cbbo), their windows, bars, consolidated books (depth) and edges, and composites; --from is needed. The
    history must have them and their inputs: recorder.kinds with trade, quote, book, status, gap and what is audited. The settings must be
    those of the aggregator (aggregator.*) at that time.

    Each difference is printed with the events that it was computed from. Exits with 1 if there is any, and with 5 if there was nothing to
    compare.
    """
    loaded = load(settings)
    now_ts = time.time_ns()
    from_ts, to_ts = span(from_text, to_text, now_ts)
    if from_ts is None:
        raise SettingsError("--from is missing: an audit needs a time from which on, as --from -1h")
    if show < 0:
        raise SettingsError(f"--show {show}: it cannot be below 0")
    name = None if instrument is None else InstrumentNames(()).meant(instrument)
    begin_logging(loaded, service="audit")
    return main(lambda: _audit(loaded, name, Span(from_ts, to_ts), kind or AUDITED, show), short=True)


async def _audit(settings: Settings, instrument: str | None, wanted: Span, kinds: tuple[str, ...], show: int) -> Exit:
    began = time.monotonic()
    asked_ts = wanted.to_ts
    async with open_store(settings) as store:
        recorder = settings.recorder
        until_ts = await complete_until(store, needed(instrument, kinds), recorder.commit_s, recorder.kinds)
        if until_ts is not None and until_ts < asked_ts:
            wanted = Span(wanted.from_ts, until_ts)
        if wanted.to_ts <= wanted.from_ts:
            sys.stdout.write(f"nothing to compare: the recorder has committed all kinds only up to {iso(wanted.to_ts)}, before --from\n")
            return Exit.UNPROVEN
        found = await audit_store(store, wanted, Rules.of(settings.aggregator), instrument=instrument, kinds=kinds)
    for one in found.differences[:show]:
        sys.stdout.write(text_of(one))
    if len(found.differences) > show or found.differs.total() > len(found.differences):
        sys.stdout.write(f"… and {found.differs.total() - min(show, len(found.differences))} more\n\n")
    console = Console()
    console.print(summary(found, kinds))
    if found.unchecked:
        console.print(reasons(found))
    took_s = time.monotonic() - began
    of = f"{instrument or 'all instruments'} from {iso(wanted.from_ts)} to {iso(wanted.to_ts)}"
    result = f"{counted(found.compared, 'value')} compared in {took_s:.1f} s, {counted(found.differs.total(), 'difference')}"
    sys.stdout.write(f"{of}: {result}\n")
    if wanted.to_ts < asked_ts:
        sys.stdout.write(f"audited up to {iso(wanted.to_ts)}: the recorder has not committed later events of all kinds\n")
    if not found.compared:
        sys.stdout.write("nothing was published in this time, or recorder.kinds does not have it\n")
        return Exit.UNPROVEN
    return Exit.FAILED if found.differs.total() else Exit.OK


def text_of(one: Difference) -> str:
    """Return a difference as it is printed."""
    lines = [one.event, f"  {one.field}", f"    published  {one.published}", f"    computed   {one.computed}"]
    lines += [f"    from       {text}" for text in one.inputs[:MOST_INPUTS]]
    if len(one.inputs) > MOST_INPUTS:
        lines.append(f"               … and {len(one.inputs) - MOST_INPUTS} more")
    return "\n".join((*lines, "", ""))


def summary(found: Findings, kinds: tuple[str, ...]) -> Table:
    """Return a table with the counts of each kind."""
    table = Table("audited", "events", "exact", "justified", "not checked", "differences", box=None)
    for kind in kinds:
        unchecked = sum(count for (one, _), count in found.unchecked.items() if one == kind)
        numbers = found.events[kind], found.exact[kind], found.justified[kind], unchecked, found.differs[kind]
        table.add_row(kind, *(f"{number:,}" for number in numbers))
    return table


def reasons(found: Findings) -> Table:
    """Return a table with the reasons why values could not be checked."""
    table = Table("not checked", "values", "because", box=None)
    for (kind, reason), count in sorted(found.unchecked.items()):
        table.add_row(kind, f"{count:,}", reason)
    return table
