"""Makes a DataFrame of the last hour's bars, and prints what each venue traded in it.

    python examples/last_hour.py redis://127.0.0.1:6379 BTC-USDT          (needs polars: pip install '.[frames]')

The bars are read from the tape, the newest revision of each minute, with every digit. The columns `minutes` and `complete` say how much of
the hour the tape has: a sum over minutes that are not there looks like any other sum.
"""

import argparse
import time

import polars as pl

from crosstape import CrosstapeError, SyncTape

HOUR_NS = 3_600 * 10**9


def by_venue(bars: pl.DataFrame) -> pl.DataFrame:
    """A row for each venue, and one for all together (`consolidated`)."""
    price = pl.col("quote_volume").sum().cast(pl.Float64) / pl.col("volume").sum().cast(pl.Float64)  # sums are exact, a quotient is rounded
    return (
        bars.filter("closed")
        .group_by("venue")
        .agg(
            pl.len().alias("minutes"),
            pl.col("complete").sum(),
            pl.col("trades").sum(),
            pl.col("volume").sum(),
            pl.col("low").min(),
            pl.col("high").max(),
            price.alias("vwap"),
        )
        .sort("venue")
    )


def main(url: str, instrument: str) -> None:
    """Print the table."""
    with SyncTape(url) as tape:
        bars = tape.frame("bar:1m", instrument, from_ts=time.time_ns() - HOUR_NS, library="polars")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=140, tbl_hide_column_data_types=True, trim_decimal_zeros=True):
        print(by_venue(bars))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What each venue traded in the last hour.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("instrument", help="such as BTC-USDT")
    options = parser.parse_args()
    try:
        main(options.url, options.instrument)
    except CrosstapeError as error:
        parser.error(str(error))
