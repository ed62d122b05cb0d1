"""The recorded history of a tape: stores of Parquet files or in PostgreSQL, each event once.

A recorder writes it (see `crosstape_recorder`); `Tape`, the gateway and the command `history` read it. It needs the extra `history`, for S3
`s3`, for PostgreSQL `postgres`. `store` has the seam between a store and all that uses one.
"""
