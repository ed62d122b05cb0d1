#!/bin/sh
# polars 2.1.0: pl.concat of two frames rounds the second one's decimals to the scale of the first, and says nothing.
#
# One would guess: `how="vertical"` is the strict way: it refuses Int32 under Int64 and milliseconds under nanoseconds with a SchemaError, and only
#   `vertical_relaxed` casts. So two Decimal columns either have one type, or the call raises.
# What is true: for Decimal columns of different scale it casts each frame to the type of the first, rounds half to even, and returns. 0.01414016 under a
#   column with two decimals is 0.01, a price of 0.00001734 is 0.00. With the frames in the other order nothing is lost. `vstack`, `extend`,
#   `Series.append`, `how="diagonal"` and lazy frames do the same. `vertical_relaxed` takes the larger scale and keeps every digit: here the strict
#   way loses and the relaxed way does not. `pl.read_parquet` of the same two frames as files raises a SchemaError.
# Why market-data people care: each venue and each instrument has its own tick, and a frame built from Python's `Decimal` takes its scale from the
#   values that happen to be in it, so two polls of one instrument may differ. Put together for a consolidated tape, the small trades of one venue
#   lose their digits, and which venue it is depends on the order. Right: `how="vertical_relaxed"`, or one declared `pl.Decimal(38, scale)` for all.
# Seen 2026-11-30, Python 3.11, as asserted below; 1.44.2 does the same. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check polars==2.1.0
cat > "$place/probe.py" <<'PY'
import pathlib
import sys
from decimal import Decimal

import polars as pl
from polars.exceptions import SchemaError

place = pathlib.Path(sys.argv[1])
one = pl.DataFrame({"venue": ["one"], "price": [Decimal("67234.10")], "size": [Decimal("0.50")]})
other = pl.DataFrame({"venue": ["other"], "price": [Decimal("0.00001734")], "size": [Decimal("0.01414016")]})
print("types by the values:", one["size"].dtype, "and", other["size"].dtype)
assert (one["size"].dtype, other["size"].dtype) == (pl.Decimal(38, 2), pl.Decimal(38, 8))


def sizes(frame):
    return {venue: f"{size:f}" for venue, size in frame.select("venue", "size").iter_rows()}


strict = pl.concat([one, other], how="vertical")
turned = pl.concat([other, one], how="vertical")
relaxed = pl.concat([one, other], how="vertical_relaxed")
for name, frame in (("vertical", strict), ("vertical, turned", turned), ("vertical_relaxed", relaxed)):
    print(f"{name}: {frame['size'].dtype} {sizes(frame)}, prices {[f'{price:f}' for price in frame['price']]}")
exact = {"one": "0.50000000", "other": "0.01414016"}
assert strict["size"].dtype == pl.Decimal(38, 2)
assert sizes(strict) == {"one": "0.50", "other": "0.01"}
assert strict["price"].to_list()[1] == 0
assert sizes(turned) == sizes(relaxed) == exact

lossy = {
    "diagonal": pl.concat([one, other], how="diagonal"),
    "vstack": one.vstack(other),
    "extend": one.clone().extend(other),
    "lazy": pl.concat([one.lazy(), other.lazy()]).collect(),
}
for name, frame in lossy.items():
    assert sizes(frame) == sizes(strict), name
print("the same as vertical:", *lossy)


def refused(action):
    try:
        action()
    except SchemaError as exc:
        return str(exc).splitlines()[0]
    raise AssertionError("no error")


print("Int32 under Int64:", refused(lambda: pl.concat([pl.DataFrame({"n": [1]}, schema={"n": kind}) for kind in (pl.Int64, pl.Int32)])))
for number, frame in enumerate((one, other)):
    frame.write_parquet(place / f"{number}.parquet")
print("the frames as files:", refused(lambda: pl.read_parquet([place / "0.parquet", place / "1.parquet"])))
PY
"$place/env/bin/python" "$place/probe.py" "$place"
