#!/bin/sh
# pandas 3.1.1 and polars 2.1.0: a week is something else in each spelling, and only some of them are an exchange's week.
#
# One would guess: `resample("W")`, `resample("W-MON")` and `group_by_dynamic(every="7d")` or `"1w"` all make the weekly candles of a venue whose week
#   begins on Monday, 00:00 UTC, as `resample("1D")` makes its daily ones.
# What is true: in pandas a "W" bin is labelled with its *last* day, unlike "1D" or "1h": "W" puts the right rows together but names them by the
#   Sunday, and "W-MON" ends with Monday, so that the whole Monday that opens the venue's week counts to the week before. "7D" begins with the
#   first day of the data: two downloads of one series disagree. In polars "1w" begins on Monday, but "7d", the same length, counts from
#   1970-01-01 and begins on Thursday.
# Why market-data people care: Binance and Bybit begin weekly candles on Monday, Kraken and KuCoin on Thursday. Weeks that are a day off have a wrong
#   open and close, and those of "W-MON" even carry the venue's labels, so that a join goes through; a Sunday label is six days late.
#   Right for a Monday: `resample("W-MON", closed="left", label="left")`, polars "1w". Right for a Thursday: `resample("7D", origin="epoch")`, polars "7d".
# Seen 2026-11-30, Python 3.11: the first full week is "Sun 13 (Mon 07 00:00, 168)" with "W", "Mon 14 (Tue 08 00:00, 168)" with "W-MON" and
#   "Thu 10 (Thu 10 00:00, 168)" with polars "7d". The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pandas==3.1.1 polars==2.1.0
cat > "$place/probe.py" <<'PY'
import datetime

import pandas as pd
import polars as pl

start = datetime.datetime(2026, 9, 7)  # a Monday
hours = [start + datetime.timedelta(hours=h) for h in range(21 * 24)]  # three whole weeks of hourly rows
frame = pd.DataFrame({"row": hours}, index=pd.DatetimeIndex(hours))
table = pl.DataFrame({"t": hours})


def by_pandas(rows=frame, **options):
    bins = rows.resample(**options)["row"]
    return [(f"{label:%a %d}", f"{first:%a %d %H:%M}", n) for label, first, n in zip(bins.count().index, bins.min(), bins.count())]


def by_polars(every):
    bins = table.with_columns(row="t").group_by_dynamic("t", every=every).agg(pl.col("row").min(), pl.len())
    return [(f"{label:%a %d}", f"{first:%a %d %H:%M}", n) for label, first, n in bins.rows()]


monday = [("Mon 07", "Mon 07 00:00", 168), ("Mon 14", "Mon 14 00:00", 168), ("Mon 21", "Mon 21 00:00", 168)]
thursday = [("Thu 03", "Mon 07 00:00", 72), ("Thu 10", "Thu 10 00:00", 168), ("Thu 17", "Thu 17 00:00", 168), ("Thu 24", "Thu 24 00:00", 96)]
seen = {
    'pandas "W"': by_pandas(rule="W"),
    'pandas "W-MON"': by_pandas(rule="W-MON"),
    'pandas "W-MON" left, left': by_pandas(rule="W-MON", closed="left", label="left"),
    'pandas "7D"': by_pandas(rule="7D"),
    'pandas "7D", a day less data': by_pandas(frame.iloc[24:], rule="7D"),
    'pandas "7D" from the epoch': by_pandas(rule="7D", origin="epoch"),
    'polars "1w"': by_polars("1w"),
    'polars "7d"': by_polars("7d"),
}
print(f"pandas {pd.__version__}, polars {pl.__version__}: label (first row, rows)")
for what, bins in seen.items():
    print(f"{what:30}", ", ".join(f"{label} ({first}, {n})" for label, first, n in bins))
assert seen['pandas "W"'] == [("Sun 13", "Mon 07 00:00", 168), ("Sun 20", "Mon 14 00:00", 168), ("Sun 27", "Mon 21 00:00", 168)]
assert seen['pandas "W-MON"'] == [
    ("Mon 07", "Mon 07 00:00", 24), ("Mon 14", "Tue 08 00:00", 168), ("Mon 21", "Tue 15 00:00", 168), ("Mon 28", "Tue 22 00:00", 144)]
assert seen['pandas "W-MON" left, left'] == seen['polars "1w"'] == monday
assert seen['pandas "7D"'] == monday and seen['pandas "7D", a day less data'][0] == ("Tue 08", "Tue 08 00:00", 168)
assert seen['pandas "7D" from the epoch'] == seen['polars "7d"'] == thursday
PY
"$place/env/bin/python" "$place/probe.py"
