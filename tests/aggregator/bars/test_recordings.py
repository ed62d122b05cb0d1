"""Real recordings: bars built from normalized trades, compared with an independent reading of the frames with plain `json`.

`CROSSTAPE_CORPUS` names the folder of the recordings, which are not part of this project. None of them has both the trades of full minutes
and the venue's own candles of these minutes, so the venue's candles are not compared here.
"""

from __future__ import annotations

import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.registry import recorded
from crosstape_schemas import CONSOLIDATED, Bar, Trade
from tests.aggregator.builders import S, alive, engine
from tests.connector.venues.golden import as_read

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
]
SECONDS: Final = {"1s": 1, "1m": 60, "5m": 300, "1h": 3_600}
Row = tuple[str, str, str, str, Fraction, Fraction, int, Fraction]


def lines(name: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a recording."""
    with (Path(CORPUS) / f"{name}.jsonl.zst").open("rb") as file:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            yield json.loads(text)


def short(number: str) -> str:
    """Return a number of a frame without trailing zeros."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def expected(name: str) -> dict[tuple[str, int], Row]:
    """Compute the bars from the frames: timeframe and second of the open → the numbers; prices as text."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for line in lines(name):
        if line.get("d") == "in" and (data := json.loads(line["f"])["data"]).get("e") == "trade" and data.get("X", "MARKET") == "MARKET":
            for timeframe, length in SECONDS.items():
                groups[timeframe, data["T"] // 1_000 // length * length].append(data)
    found = {}
    for key, rows in groups.items():
        rows.sort(key=lambda row: (row["T"], row["t"]))
        by_price = sorted(rows, key=lambda row: Fraction(row["p"]))
        sizes = [Fraction(row["q"]) for row in rows]
        found[key] = (
            short(rows[0]["p"]), short(by_price[-1]["p"]), short(by_price[0]["p"]), short(rows[-1]["p"]),
            sum(sizes, Fraction(0)), sum((Fraction(row["p"]) * Fraction(row["q"]) for row in rows), Fraction(0)), len(rows),
            sum((size for row, size in zip(rows, sizes, strict=True) if not row["m"]), Fraction(0)),
        )  # fmt: skip
    return found


def built(name: str) -> list[Bar]:
    """Let an engine build the bars, with a clock that is that of the recording."""
    venue = recorded(str(next(lines(name))["venue"]))
    one: Engine = engine(bars=tuple(SECONDS))
    bars: list[Bar] = []
    with opened(Path(CORPUS) / f"{name}.jsonl.zst") as file:
        head, *others = file
        kept = [head, *(line for line in others if b"depthUpdate" not in line and b'u\\":' not in line)]  # books and quotes change no bar
        now = 0
        for event in map(as_read, normalize(venue, kept)):
            if not isinstance(event, Trade):
                continue
            now = max(now, event.received_ts)
            one.apply([alive(event.venue, now), event], now)
            one.look((), now, now)
            output = one.outputs[0]
            while (ts := output.next_ts()) is not None and ts <= now:
                bars += [bar for bar in output.due(now, 100) if isinstance(bar, Bar)]
    now += 7_200 * S
    one.apply([alive(event.venue, now)], now)
    one.look((), now, now)
    return bars + [bar for bar in one.outputs[0].due(now, 10_000) if isinstance(bar, Bar)]


@pytest.mark.parametrize(("name", "trades"), [("binance_spot_btcusdt_20240808", 19_904), ("binance_usdm_btcusdt_20240808", None)])
def test_bars_are_those_of_the_frames_to_the_digit(name: str, trades: int | None) -> None:
    """Of the venue and of all venues, which is one; each closed bar is there, and all are exact."""
    wanted = expected(name)
    newest: dict[tuple[str, str, int], Bar] = {}
    for bar in built(name):
        if bar.closed and bar.trades:
            newest[bar.venue, bar.timeframe, bar.open_ts // S] = bar
    assert len(wanted) > 300
    if trades is not None:
        assert sum(row[6] for (timeframe, _), row in wanted.items() if timeframe == "1s") == trades
    venue = next(venue for venue, *_ in newest if venue != CONSOLIDATED)
    for one in (venue, CONSOLIDATED):
        found = {
            (timeframe, second): (
                str(bar.open), str(bar.high), str(bar.low), str(bar.close),
                Fraction(bar.volume), Fraction(bar.quote_volume), bar.trades, Fraction(str(bar.taker_buy_volume)),
            )
            for (of, timeframe, second), bar in newest.items() if of == one
        }  # fmt: skip
        assert found == wanted
