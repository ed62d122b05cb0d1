#!/bin/sh
# polars 2.1.0: price × size of two exact decimal columns is rounded to the digits of a price.
#
# One would guess: Decimal columns are there so that no digit is lost: the product of two columns with 8 decimals has 16, as in Python's decimal, in
#   PostgreSQL, or in DuckDB, and Σ price × size over trades is the exact quote volume; their quotient, a VWAP, has the digits of a quotient.
# What is true: the product keeps the scale of the more precise factor, not the sum of both, and is rounded row by row before it is summed. A quotient has
#   that scale too, so that the quotient of a small number is 0. `mean` of a Decimal column is a 64-bit float.
# Why market-data people care: exchanges quote 8 decimals, and the error is largest where they are used: of four small trades of a coin at 0.00000061 a
#   third of the quote volume is gone, and nothing warns, since the column's type still says Decimal. Right: cast both columns to a scale that holds
#   the product first (`pl.Decimal(38, 16)`), or compute in integers of the last digit.
# Seen 2026-11-30, Python 3.11: quote volume 0.00000004 by polars, 0.0000000599999904 exact and with a scale of 16. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check polars==2.1.0
cat > "$place/probe.py" <<'PY'
from decimal import Decimal

import polars as pl

TRADES = [("0.00000061", "0.02459016"), ("0.00000061", "0.02459016"), ("0.00000061", "0.02459016"), ("0.00000061", "0.02459016")]


def frame(scale):
    columns = {"price": pl.Decimal(38, scale), "size": pl.Decimal(38, scale)}
    return pl.DataFrame([(Decimal(price), Decimal(size)) for price, size in TRADES], schema=columns, orient="row")


exact = sum(Decimal(price) * Decimal(size) for price, size in TRADES)
eight, sixteen = frame(8), frame(16)
product = eight["price"] * eight["size"]
print("type of the product:", product.dtype)
print("quote volume, exact:", f"{exact:f}", "· by polars:", f"{product.sum():f}", "· with a scale of 16:", f"{(sixteen['price'] * sixteen['size']).sum():f}")
quotient = (eight["price"] / (eight["size"] * 10_000_000)).to_list()[0]
print("a quotient:", f"{quotient:f}", "· type of the mean:", eight.select(pl.col("price").mean()).dtypes[0])

assert product.dtype == pl.Decimal(38, 8)
assert exact == Decimal("0.0000000599999904")
assert product.sum() == Decimal("0.00000004"), product.sum()
assert (sixteen["price"] * sixteen["size"]).sum() == exact
assert eight.select(pl.col("price").mean()).dtypes[0] == pl.Float64
PY
"$place/env/bin/python" "$place/probe.py"
