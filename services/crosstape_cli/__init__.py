"""The `crosstape` command: one module a subcommand, and what they share."""
