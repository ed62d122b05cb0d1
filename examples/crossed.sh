#!/bin/sh
# A strategy with redis-cli alone: say when a consolidated market is crossed, that is when one venue bids more than another asks.
#
#   examples/crossed.sh -s ~/.local/state/crosstape/valkey.sock        (what `crosstape up` printed)
#   examples/crossed.sh -u redis://127.0.0.1:6379
#
# It subscribes to channels, and a channel delivers each message at most once: what is published while nobody listens is lost. When the
# connection ends, this script says so on standard error and subscribes again. Read the streams where nothing may be missing (edges.py).
set -u
field() { printf '%s' "$quote" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",]*\).*/\1/p"; }
while :; do
    # PSUBSCRIBE prints four lines a message; the last one is the event's JSON.
    redis-cli "$@" --raw PSUBSCRIBE 'tape:cbbo:*' | grep --line-buffered '"market":"crossed"' | while read -r quote; do
        echo "$(field instrument) crossed by $(field spread_bps) bps"
    done
    echo "crossed.sh: the connection ended; quotes are lost until it is back. Trying again in a second" >&2
    sleep 1
done
