#!/bin/sh
# duckdb 2.0.1: price × size of two DECIMAL(18,8) columns raises for one bitcoin trade, and goes well for a cheap coin.
#
# One would guess: DECIMAL(18,8), which holds any price and any size of a trade, is a sound type for both columns, and `sum(price * size)` gives an
#   exact quote volume in a wider type, as PostgreSQL's `numeric` does, and as DuckDB itself does for `sum(price)`.
# What is true: the product's type is DECIMAL(18,16), of the same width with twice the decimals: above 99.99 quote units a trade the query ends with an
#   OutOfRangeException. With DECIMAL(38,18), the type that Parquet writers choose by habit, it ends above 99: the product has 36 decimals of 38 digits.
#   With DECIMAL(38,12) it goes up to 10^14. `avg(price)` and a quotient of two exact sums, the VWAP, are DOUBLE.
# Why market-data people care: a query over a quiet altcoin that was tested for months fails at the first big trade, in the middle of a scan; and who
#   casts one column to DOUBLE to be rid of it has left exact numbers without noticing. Right: store or cast both as DECIMAL(38,12) at most, or cast one
#   factor (`price::DECIMAL(38,8) * size`), and divide the two exact sums outside.
# Seen 2026-11-30, Python 3.11: as asserted below. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1
cat > "$place/probe.py" <<'PY'
import duckdb

db = duckdb.connect()


def notional(price, digits, decimals):
    kind = f"DECIMAL({digits},{decimals})"
    try:
        row = db.sql(f"SELECT typeof(p * s), p * s FROM (SELECT '{price}'::{kind} p, '0.5'::{kind} s)").fetchall()[0]
    except duckdb.OutOfRangeException as exc:
        return "raises", str(exc)[:75]
    return row[0], f"{row[1]:f}"


seen = {case: notional(*case) for case in [("67234.10", 18, 8), ("0.10", 18, 8), ("67234.10", 38, 18), ("67234.10", 38, 12)]}
for (price, digits, decimals), found in seen.items():
    print(f"{price} x 0.5 as DECIMAL({digits},{decimals}):", *found)
mixed = db.sql("SELECT typeof(p::DECIMAL(38,8) * s), p::DECIMAL(38,8) * s FROM (SELECT '67234.10'::DECIMAL(18,8) p, '0.5'::DECIMAL(18,8) s)").fetchall()[0]
print("one factor cast to DECIMAL(38,8):", *mixed)
average = db.sql("SELECT typeof(avg(p)), typeof(sum(p * s) / sum(s)) FROM (SELECT '0.10'::DECIMAL(18,8) p, '0.5'::DECIMAL(18,8) s)").fetchall()[0]
print("type of avg(price) and of a VWAP:", *average)

assert seen["67234.10", 18, 8][0] == seen["67234.10", 38, 18][0] == "raises"
assert seen["0.10", 18, 8] == ("DECIMAL(18,16)", "0.0500000000000000")
assert seen["67234.10", 38, 12] == ("DECIMAL(38,24)", "33617.050000000000000000000000")
assert mixed[0] == "DECIMAL(38,16)" and average == ("DOUBLE", "DOUBLE")
PY
"$place/env/bin/python" "$place/probe.py"
