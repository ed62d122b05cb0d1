#!/bin/sh
# bus-password.sh [FILE]: prints the bus's password as the services read it, without what an editor may have put around it: a byte order
# mark, line ends of Windows, white space. Fails if the file cannot be read.
set -eu
content=$(cat "${1:-/run/secrets/bus_password}")
mark=$(printf '\357\273\277')
printf '%s\n' "$content" | tr -d '\r' | LC_ALL=C sed "1s/^$mark//; s/^[[:space:]]*//; s/[[:space:]]*\$//"
