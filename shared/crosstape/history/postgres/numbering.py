"""Finds numbers (`seq`) that a history in PostgreSQL lacks: a producer numbers without a break per (stream, venue, epoch)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crosstape.history.batch import Source
from crosstape.history.postgres import layout
from crosstape.history.store import Finding
from crosstape_schemas.event import VENUE_WIDE

if TYPE_CHECKING:
    from crosstape.history.postgres.connections import Connection

SHOWN: Final = 20
"""Gaps of one kind that are listed, at most."""
ALL_S: Final = 3_600
"""Longest wait for the server to go through the rows of one kind."""
BORDER_NS: Final = 3_600 * 1_000_000_000
"""How far behind the beginning of the oldest day numbers may be missing: of rows that belonged to the day before, which was deleted."""
_SHARED: Final = ("status", "gap")
"""Kinds that share the numbers of the stream of a venue, where their instrument is `VENUE_WIDE`."""


async def missing_numbers(connection: Connection, schema: str, kind: str, oldest_ts: int) -> list[Finding]:
    """Returns the gaps in the numbers of a kind that the recorder has not reported itself. `oldest_ts`: the beginning of its oldest day.

    Of candles and bars only those that are closed may be recorded, so their numbers say nothing.
    """
    if kind in layout.REVISED:
        return []
    of = f"from {layout.table(schema, kind)} where source = '{Source.TAPE.value}' and seq > 0"
    if kind not in _SHARED:
        return await _missing(connection, schema, kind, of, oldest_ts)
    found = await _missing(connection, schema, kind, f"{of} and instrument <> '{VENUE_WIDE}'", oldest_ts)
    both = all([await connection.fetchval("select to_regclass($1)::oid", layout.table(schema, one)) is not None for one in _SHARED])
    if kind == "status" and both:
        rows = " union all ".join(
            f"select venue, instrument, epoch, seq, ts, received_ts from {layout.table(schema, one)}" for one in _SHARED
        )
        of = f"from ({rows}) as rows where seq > 0 and instrument = '{VENUE_WIDE}'"
        found += await _missing(connection, schema, "venue", of, oldest_ts)
    return found


async def _missing(connection: Connection, schema: str, kind: str, of: str, oldest_ts: int) -> list[Finding]:
    """Return the gaps in the numbers of these rows."""
    broken = await connection.fetch(  # count and sum are those of first, first + 1 … last only if each is there once
        f"select venue, instrument, epoch {of} group by venue, instrument, epoch "
        "having count(*) <> max(seq) - min(seq) + 1 or 2 * sum(seq) <> (max(seq) - min(seq) + 1)::numeric * (min(seq) + max(seq))",
        timeout=ALL_S,
    )
    reported = await connection.fetchval("select to_regclass($1)::oid", layout.table(schema, "gap")) is not None
    found: list[Finding] = []
    for row in broken:
        gaps = await connection.fetch(
            "select * from (select seq, received_ts, lag(seq) over numbers as before, lag(received_ts) over numbers as before_ts, "
            f"lag(ts) over numbers as own_ts {of} and venue = $1 and instrument = $2 and epoch = $3 window numbers as (order by seq)) as r "
            f"where seq > before + 1 and own_ts >= $4{_not_reported(schema, kind) if reported else ''} order by seq limit {SHOWN}",
            row["venue"],
            row["instrument"],
            row["epoch"],
            oldest_ts + BORDER_NS,
            timeout=ALL_S,
        )
        for gap in gaps:
            first, last = gap["before"] + 1, gap["seq"] - 1
            missing = f"number {first} is" if first == last else f"numbers {first} to {last} are"
            stream = f"venue:{row['venue']}" if kind == "venue" else f"{kind}:{row['instrument']}"
            what = f"{missing} missing of {row['venue']} {row['instrument']}, epoch {row['epoch']}"
            found.append(Finding(f"{schema}, stream …:{stream}", what))
    return found[:SHOWN]


def _not_reported(schema: str, kind: str) -> str:
    """Return the condition that the recorder did not report a gap between the two rows: entries that left the tape before it read them."""
    of_kind = "" if kind == "venue" else f" and g.kind in ('{kind}', '{VENUE_WIDE}')"
    return (
        f" and not exists (select from {layout.table(schema, 'gap')} g where g.source = '{Source.RECORDER.value}'{of_kind} "
        f"and g.instrument in ($2, '{VENUE_WIDE}') and g.from_ts <= r.received_ts and g.to_ts >= r.before_ts)"
    )
