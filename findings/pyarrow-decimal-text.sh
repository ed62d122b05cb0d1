#!/bin/sh
# pyarrow 26.0.1: a small exact decimal is written as text with an exponent, and exponents are read as decimals.
#
# One would guess: a decimal column cast to text, or written as CSV, has plain numbers with the column's digits behind the point: 0.0000006100.
# What is true: from six zeros behind the point on it is scientific notation, `6.100E-7`, as Java prints a BigDecimal; zero with ten decimals is `0E-10`.
#   In the other direction the cast takes `1e3`, `.5`, `5.`, `007` and `-0.0` as numbers, and forgets how they were written.
# Why market-data people care: prices of small coins and of pairs against bitcoin begin with six zeros. A CSV or JSON made that way has two forms of number
#   in one column, and readers that expect plain ones (a regular expression, PostgreSQL's COPY into integers, a spreadsheet, a matching of texts by
#   equality) refuse or miss exactly those rows. Right: make the text from the unscaled integer, or in Python by format(value, "f").
# Seen 2026-11-30, Python 3.11: as asserted below. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyarrow==26.0.1
cat > "$place/probe.py" <<'PY'
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv

prices = pa.array([Decimal("0.0000010000"), Decimal("0.0000006100"), Decimal("0.0000000000")], pa.decimal128(38, 10))
texts = prices.cast(pa.string()).to_pylist()
file = io.BytesIO()
pyarrow.csv.write_csv(pa.table({"price": prices}), file)
read = pa.array(["1e3", ".5", "5.", "007", "-0.0"]).cast(pa.decimal128(38, 2)).to_pylist()
print("cast to text:", texts)
print("as CSV:", file.getvalue().decode().split())
print("read from 1e3 .5 5. 007 -0.0:", read)

assert texts == ["0.0000010000", "6.100E-7", "0E-10"], texts
assert read == [Decimal("1000.00"), Decimal("0.50"), Decimal("5.00"), Decimal("7.00"), Decimal("0.00")]
PY
"$place/env/bin/python" "$place/probe.py"
