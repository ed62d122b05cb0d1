#!/bin/sh
# msgspec 0.22.0: damage in a field's *name*, or in a field that the Struct does not read, passes a typed decoder without an error.
#
# One would guess: JSON is UTF-8, and a decoder refuses a message that is not, as `json.loads` and msgspec's own untyped `decode` do.
# What is true: a typed decoder checks text only where it builds a `str`. A damaged value of a field that it reads raises UnicodeDecodeError; a damaged
#   value of one that it skips does not. A damaged *name* matches no field, so its value is skipped: if the field has a default, the default
#   silently takes the place of what the venue sent. `forbid_unknown_fields=True` refuses it, and every field that a venue adds as well.
# Why market-data people care: a frame with one damaged byte (a bad disk, a faulty proxy, a recording) becomes a believable event: a liquidation
#   turns into an ordinary trade, and a quarantine for frames that fail to decode does not see it. Check `raw.decode()` once where bytes enter,
#   and give defaults only to what may truly be missing.
# Seen 2026-11-30, CPython 3.11: "damaged name of an optional field: Trade(price='100.5', liquidation=False)". The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0
cat > "$place/probe.py" <<'PY'
import json

import msgspec


class Trade(msgspec.Struct):
    price: str
    liquidation: bool = False


class Closed(Trade, forbid_unknown_fields=True):
    pass


def outcome(read, raw):
    try:
        return read(raw)
    except ValueError as exc:
        return type(exc).__name__


whole = b'{"price":"100.5","liquidation":true,"venue":"abc"}'
frames = {
    "whole": whole,
    "damaged value of a field that is read": whole.replace(b"100.5", b"100.\xb5"),
    "damaged value of a field that is not": whole.replace(b"abc", b"ab\xe3"),
    "damaged name of an optional field": whole.replace(b"liquidation", b"liquidat\xe9on"),
    "damaged name of a required field": whole.replace(b"price", b"pric\xe5"),
}
typed = msgspec.json.Decoder(Trade, strict=True).decode
seen = {}
for what, raw in frames.items():
    seen[what] = outcome(typed, raw)
    print(f"{what}: {seen[what]}")
    if raw != whole:
        assert outcome(json.loads, raw) == outcome(msgspec.json.decode, raw) == "UnicodeDecodeError", what
        assert isinstance(outcome(msgspec.json.Decoder(Closed).decode, raw), str), what
assert list(seen.values()) == [Trade("100.5", True), "UnicodeDecodeError", Trade("100.5", True), Trade("100.5", False), "ValidationError"], seen
PY
"$place/env/bin/python" "$place/probe.py"
