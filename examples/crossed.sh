#!/bin/sh
# A strategy with redis-cli alone: prints when a consolidated market is crossed, that is, when one venue bids more than another asks.
#
#   examples/crossed.sh                                                (a server on localhost:6379)
#   examples/crossed.sh -u redis://127.0.0.1:6379                      (an address, as `make demo` and `crosstape up` print it)
#   examples/crossed.sh -s ~/.local/state/crosstape/valkey.sock        (a unix socket, as `crosstape up` prints it)
#
# All arguments are passed on to redis-cli. The script prints lines such as `BTC-USDT crossed by -0.35 bps`. That is the spread, best ask
# minus best bid, in hundredths of a percent of the mid price: it is negative because the best ask is below the best bid.
#
# It subscribes to channels, and a channel delivers each message at most once: what is published while nobody listens is lost. When the
# connection ends, this script reports that on standard error and subscribes again. Read the streams if nothing may be missing (edges.py).
set -u
# The quote's own fields stand before its legs, which have fields of the same names.
field() { printf '%s' "${quote%%,\"legs\":*}" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",]*\).*/\1/p"; }
while :; do
    # PSUBSCRIBE prints four lines for each message; the last one is the event's JSON.
    redis-cli "$@" --raw PSUBSCRIBE 'tape:cbbo:*' | grep --line-buffered '"market":"crossed"' | while read -r quote; do
        echo "$(field instrument) crossed by $(field spread_bps) bps"
    done
    echo "crossed.sh: the connection ended; quotes are lost until it is back. Trying again in a second" >&2
    sleep 1
done
