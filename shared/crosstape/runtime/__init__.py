"""What a process needs around its work: signals, exit codes, run directory, telemetry, the embedded server."""
