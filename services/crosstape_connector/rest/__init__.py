"""Everything that a connector requests by REST: instruments, snapshots, missed trades, polling, and probes of silent feeds."""
