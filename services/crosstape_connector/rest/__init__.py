"""All that is asked by REST: instruments, snapshots, backfill of trades, polling, and probes of silent feeds."""
