#!/bin/sh
# What one would guess: a `Decimal` field of msgspec takes the text of a JSON string if it is a number in the notation of JSON.
# What is true: it takes whatever Python's `Decimal` takes: underscores, spaces at both ends, digits of other scripts, and 1E-7000.
#   "1_000" becomes 1000, " 1" and "１" become 1, with `strict=True` as well: a strict decoder is no check of the notation.
# Why market-data people care: prices and sizes come as text from most venues, and a damaged one becomes a wrong price instead of an error.
#   `decimal.Context.create_decimal` refuses underscores and spaces, and, with traps for `Subnormal`, `Overflow`, `Clamped` and `Rounded`,
#   enforces bounds and a number of digits in the same step. Digits of other scripts it takes as well: `str.isascii` tells them.
# Seen with msgspec 0.22.0 on CPython 3.11.7.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check "msgspec==0.22.0"
"$place/venv/bin/python" - <<'PY'
from decimal import Clamped, Context, Decimal, InvalidOperation, Overflow, Rounded, Subnormal

import msgspec

read = msgspec.json.Decoder(Decimal, strict=True).decode
bounded = Context(prec=64, Emin=-24, Emax=19, traps=[Clamped, InvalidOperation, Overflow, Rounded, Subnormal]).create_decimal
for text, value in {"1_000": "1000", " 1": "1", "1 ": "1", "１": "1", "1E-7000": "1E-7000"}.items():
    found = read(msgspec.json.encode(text))
    assert found == Decimal(value), (text, found)
    try:
        kept = str(bounded(text))
    except ArithmeticError as exc:
        kept = f"refused ({type(exc).__name__})"
    print(f"{text!r:10} msgspec: {found!s:10} create_decimal: {kept}")
    assert kept.startswith("refused") or not text.isascii(), (text, kept)
PY
