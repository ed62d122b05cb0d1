#!/bin/sh
# A strategy with redis-cli alone: say when a consolidated market is crossed, i.e. when one venue bids more than another asks.
#
#   examples/crossed.sh -s ~/.local/state/crosstape/valkey.sock        (what `crosstape up` printed)
#   examples/crossed.sh -u redis://127.0.0.1:6379
#
# Every quote is published on the channel of its stream; PSUBSCRIBE prints four lines a message, the last is the event's JSON.
set -eu
redis-cli "$@" --raw PSUBSCRIBE 'tape:cbbo:*' | grep --line-buffered '"market":"crossed"' | while read -r quote; do
    field() { printf '%s' "$quote" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",]*\).*/\1/p"; }
    echo "$(field instrument) crossed by $(field spread_bps) bps"
done
