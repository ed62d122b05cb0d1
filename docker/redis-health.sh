#!/bin/sh
# redis-health.sh: exits 0 when the server on this port answers and has loaded its data.
REDISCLI_AUTH=$(/etc/crosstape/bus-password.sh)
export REDISCLI_AUTH
[ "$(redis-cli --no-auth-warning ping 2>/dev/null | tail -n 1)" = PONG ]
