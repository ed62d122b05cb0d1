"""`crosstape venues`: lists the venues that there are, what each has, and what of it is proven. Connects to nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from crosstape.runtime.exit_codes import Exit
from crosstape_cli.options import find_venue
from crosstape_connector.venues import ccxt
from crosstape_connector.venues.ccxt.exchanges import known
from crosstape_connector.venues.offers import NO_FEED, polled_kinds
from crosstape_connector.venues.proofs import proof
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import CANDLE
from crosstape_simulator.venues.registry import default_listings

Source = Literal["native", "ccxt"]
ORDER: Final = ("trade", "quote", "book", "delta", "ticker", "candle", "mark", "funding", "open_interest", "liquidation")
SHORT: Final = ("trade", "book")
"""The kinds whose proof the text shows; `--json` has all."""


def venues(
    names: Annotated[tuple[str, ...], Parameter(help="List only these venues: okx bybit_linear …; default: all.", negative="")] = (),
    /,
    *,
    source: Annotated[Source | None, Parameter(help="List only venues that crosstape speaks to itself, or only those by ccxt.")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document.")] = False,
) -> Exit:
    """List all venues, the kinds of events that each has, by what its trades and books are proven, and its test environments.

    An example shows how an instrument is called here, and after it the venue's own name: settings have ours. `-PERP` is a perpetual.

    Venues by ccxt have names like ccxt.kraken. What they have is what the library says of itself: it is not tested at the exchange, and
    their books are unproven. A connector for one needs the extra `ccxt`; this list does not.

    Nothing is connected or asked.
    """
    for name in names:
        find_venue(name, "venue")
    rows = [*(VENUES.values() if source != "ccxt" else ()), *map(ccxt.venue, ccxt.names() if source != "native" else ())]
    rows = [venue for venue in rows if not names or venue.id in names]
    described = [_described(venue) for venue in rows]
    if as_json:
        sys.stdout.write(json.dumps({"ccxt": known().version, "venues": described}, indent=1) + "\n")
    else:
        sys.stdout.write("\n".join([*_table(described), ""]))
    return Exit.OK


def _described(venue: Venue) -> dict[str, Any]:
    proven: dict[str, str] = {}
    for endpoint in venue.endpoints:
        for kind in endpoint.channels:
            if kind != NO_FEED:
                proven.setdefault("candle" if kind.startswith(CANDLE) else kind, proof(venue, endpoint, kind))
    proven |= dict.fromkeys(polled_kinds(venue), "none")
    return {
        "venue": venue.id,
        "source": "ccxt" if venue.library_class else "native",
        "kinds": sorted(proven, key=ORDER.index),
        "proven": {kind: proven[kind] for kind in sorted(proven, key=ORDER.index)},
        "candles": [] if venue.candles is None else list(venue.candles.timeframes),
        "environments": list(venue.environments),
        "example": next(({"instrument": one.instrument, "symbol": one.symbol} for one in default_listings(venue.id)), None),
        "markets": list(known().exchanges[venue.library_class].markets) if venue.library_class else None,
    }


def _table(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    cells = [("venue", "source", "example", "kinds", "proven", "environments"), *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    proven = "; ".join(f"{kind}: {row['proven'][kind]}" for kind in SHORT if kind in row["proven"])
    example = f"{row['example']['instrument']} ({row['example']['symbol']})" if row["example"] else ""
    return row["venue"], row["source"], example, " ".join(row["kinds"]), proven, " ".join(row["environments"])
