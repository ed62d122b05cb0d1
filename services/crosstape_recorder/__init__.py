"""The recorder: keeps the tape, each event once; finds, repairs and audits what it has kept."""
