"""What a process needs besides its work.

lifecycle        turns a coroutine into a process: event loop, signals, exit code
exit_codes       the exit codes, and after which of them a restart can help
telemetry        logs, metrics and health over HTTP
ports            checks that a TCP port is free before a service listens on it
run_dir          the directory for sockets, spools and the embedded server's data
directory_lock   locks such a directory for one process
group_files      lets the group of a run directory use its files
embedded_server  starts and stops a Valkey server of our own
"""
