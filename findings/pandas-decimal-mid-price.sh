#!/bin/sh
# pandas 3.1.1 with pyarrow 26.0.1: the mean of bid and ask in decimal columns is the ask.
#
# One would guess: `quotes[["bid", "ask"]].mean(axis=1)` of two exact decimal columns is the mid price: 67234.105 between 67234.10 and 67234.11. If the
#   type could not hold it, the call would raise, as writing 67234.105 into such a column does ("Rescaling Decimal value would cause data loss").
# What is true: a mean has the type of its column, and is rounded to that scale, ties away from zero. With a spread of one tick the mid is the ask, with
#   negative prices (spreads between two instruments) the bid. `groupby().mean()`, `resample().mean()` and `Series.mean()` round as well: the mean of
#   spreads of 0.01, 0.02 and 0.01 is 0.01. `median` and `rolling().mean()` of the same column are 64-bit floats. pyarrow's page on `mean` names the
#   type of the result; pandas' does not, and to its other columns it gives a float.
# Why market-data people care: one tick is the usual spread of a liquid instrument, so every mid is half a tick too high, effective spreads of buys come
#   out as zero and those of sells as twice what they are, and nothing warns. The obvious other way raises: `(bid + ask) / 2` would need 39 digits for
#   decimal128(18,2), since the 2 counts as 19 digits. Right: `(bid + ask) * Decimal("0.5")`, for columns of at most 35 digits; sum and count for a mean.
# Seen 2026-11-30, Python 3.11, as asserted below. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1
cat > "$place/probe.py" <<'PY'
from decimal import Decimal

import pandas as pd
import pyarrow as pa

CENTS = pd.ArrowDtype(pa.decimal128(18, 2))
quotes = pd.DataFrame({"bid": ["67234.10", "67234.10", "-0.02"], "ask": ["67234.11", "67234.11", "-0.01"]}).map(Decimal).astype(CENTS)
mean, median = quotes.mean(axis=1), quotes.median(axis=1)
exact = (quotes["bid"] + quotes["ask"]) * Decimal("0.5")
print(f"mid by mean:   {mean.tolist()} {mean.dtype}")
print(f"mid by median: {median.tolist()} {median.dtype}")
print(f"mid exact:     {exact.tolist()} {exact.dtype}")
assert mean.tolist() == [Decimal("67234.11"), Decimal("67234.11"), Decimal("-0.02")] and mean.dtype == CENTS
assert mean[0] == quotes["ask"][0] and mean[2] == quotes["bid"][2]
assert exact.tolist() == [Decimal("67234.105"), Decimal("67234.105"), Decimal("-0.015")]
assert median.dtype == pd.ArrowDtype(pa.float64())

spreads = pd.Series([Decimal("0.01"), Decimal("0.02"), Decimal("0.01")], dtype=CENTS)
minutes = pd.to_datetime(["2026-11-30 00:00", "2026-11-30 00:01", "2026-11-30 00:02"])
found = {
    "Series.mean": spreads.mean(),
    "groupby": spreads.groupby(["a", "a", "a"]).mean().iloc[0],
    "resample": spreads.set_axis(minutes).resample("1h").mean().iloc[0],
    "sum / count": spreads.sum() / spreads.count().item(),
}
print("mean of spreads of 0.01, 0.02, 0.01:", ", ".join(f"{name} {value:.6f}" for name, value in found.items()))
assert found["Series.mean"] == found["groupby"] == found["resample"] == Decimal("0.01")
assert Decimal("0.0133") < found["sum / count"] < Decimal("0.0134")
assert spreads.rolling(3).mean().dtype == "float64"


def refused(action):
    try:
        action()
    except pa.ArrowInvalid as exc:
        return str(exc)
    raise AssertionError("no error")


def write():
    quotes.loc[0, "bid"] = Decimal("67234.105")


print("(bid + ask) / 2:", refused(lambda: (quotes["bid"] + quotes["ask"]) / 2))
print("writing 67234.105:", refused(write))
PY
"$place/env/bin/python" "$place/probe.py"
