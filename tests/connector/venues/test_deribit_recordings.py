"""A real recording of Deribit, of 2021: books, tickers and trades of options, which keep the rules of futures.

`CROSSTAPE_CORPUS` names the folder of the recordings, which are not part of this project.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.deribit import VENUE, stream
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Output
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Instrument

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
    pytest.mark.xdist_group("cryptofeed_deribit"),
]
NAME: Final = "cryptofeed_deribit"


def lines() -> Iterator[dict[str, Any]]:
    """The lines of the recording."""
    with (Path(CORPUS) / f"{NAME}.jsonl.zst").open("rb") as file:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            yield json.loads(text)


@lru_cache(maxsize=1)
def outputs() -> tuple[Output, ...]:
    """All that the parser finds if options are instruments of ours."""
    frames = [line["f"] for line in lines() if line.get("d") == "in"]
    made = [json.loads(frame).get("params", {}).get("data") or {} for frame in frames]
    names = {one["instrument_name"] for data in made for one in (data if isinstance(data, list) else [data]) if "instrument_name" in one}
    parsers = {0: stream.Parser({name: Instrument(name, "deribit", name, "BTC", "USD") for name in names})}
    return tuple(output for at, frame in enumerate(frames) for output in parsers[0](frame.encode(), at))


def test_each_change_names_the_one_before() -> None:
    """Of 46 frames of books 10 are snapshots, and all 36 changes follow."""
    last: dict[str, int] = {}
    found: Counter[str] = Counter()
    for output in outputs():
        match output:
            case BookSnapshot(instrument=name, sequence=int(number)):
                found["snapshots"] += 1
                last[name] = number
            case BookUpdate(instrument=name, last=int(number)):
                found[stream.follows(output, last[name]).name] += 1
                last[name] = number

    assert found == {"snapshots": 10, Verdict.APPLY.name: 36}


def test_every_frame_is_understood() -> None:
    """89 tickers; nothing is odd. Only the acknowledgements are beside them."""
    found = Counter(type(output).__name__ for output in outputs())

    assert (found["Ticker"], found["BookSnapshot"] + found["BookUpdate"], found["Odd"], found["Unreadable"]) == (89, 46, 0, 0)


def test_options_are_left_out_without_a_word() -> None:
    """No event, nothing unhandled; the futures of that time are known."""
    with opened(Path(CORPUS) / f"{NAME}.jsonl.zst") as text:
        replay = normalize(VENUE, text, delta=True)
        events = list(replay)
    bodies = [line["f"].encode() for line in lines() if line.get("d") == "rest"]
    listed = [one.name for body in bodies for one in VENUE.instruments.parse(body) if isinstance(one, Instrument)]

    assert events == []
    assert replay.summary.unhandled == {}
    assert "BTC-USD-PERP" in listed
    assert "BTC-USD-20210924" in listed
