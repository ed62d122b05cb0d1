"""The `crosstape` command: one module for each subcommand, and the modules that they share.

up, demo → supervise (child processes: connector, aggregator, simulate)
watch, demo → follow (quotes from the tape) → causes (why there are none) → live, view (a table on the terminal)
all → options (settings and logs), server (the server's address)
"""
