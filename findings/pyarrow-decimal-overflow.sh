#!/bin/sh
# pyarrow 26.0.1: a text that is too large for decimal128(38, 18) becomes another number, without an error.
#
# One would guess: a cast of text to decimal128 keeps the number or raises. It does raise for a nineteenth decimal ("would cause data loss") and
#   for many numbers that are too large, so it is taken for the strict one among the libraries.
# What is true: the check comes after 128 bits have wrapped around. Of the numbers from 10^20 on, those whose remainder happens to be small pass it:
#   `350000000000000000000` is read as 9717633079061536536.625392568231788544, `700000000000000000000` as 19435266158123073073.25…, while 250000000000000000000
#   and 999999999999999999999 raise.
# Why market-data people care: decimal128(38, 18) is the type in which exact prices and sizes are kept, since it holds 18 decimals; and there are quantities
#   above 10^20: total supplies and sizes of meme coins in their smallest unit, quote volumes of tokens with 18 decimals. The wrong number is stored,
#   summed, and looks like any other. Right: count the digits before the cast (pyarrow.compute.binary_length and find_substring do it for a column).
# Seen 2026-11-30, Python 3.11: as asserted below. The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pyarrow==26.0.1
cat > "$place/probe.py" <<'PY'
import pyarrow as pa

KIND = pa.decimal128(38, 18)


def cast(text):
    try:
        return f"{pa.array([text]).cast(KIND)[0].as_py():f}"
    except pa.ArrowInvalid as exc:
        return "raises: " + str(exc)[:60]


numbers = ["99999999999999999999", "250000000000000000000", "350000000000000000000", "700000000000000000000", "1234567890123456789012", "1.0000000000000000001"]
seen = {text: cast(text) for text in numbers}
for text, found in seen.items():
    print(f"{text:>24} -> {found}")

assert seen["99999999999999999999"] == "99999999999999999999.000000000000000000"
assert seen["350000000000000000000"] == "9717633079061536536.625392568231788544"
assert seen["700000000000000000000"] == "19435266158123073073.250785136463577088"
assert seen["250000000000000000000"].startswith("raises")
assert seen["1.0000000000000000001"].startswith("raises")
PY
"$place/env/bin/python" "$place/probe.py"
