"""The history as Parquet files, in a folder or in an S3 bucket.

names    which files hold which commits, by their names alone
file     the rows of a file, and the marks of its footer
folder   the files of a folder or bucket: list, read, put if absent, delete
store    the store
candles  candles of trades, asked of DuckDB: see engine (runs it), extents (which files), relation (which rows)
newest   the newest event, likewise
"""
