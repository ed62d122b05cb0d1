#!/bin/sh
# serve-redis.sh SERVER [OPTION VALUE …]: the server with redis.conf, these options and, if the secret holds one, a password, on mended data.
# The password goes by standard input: as an argument, everybody who lists processes would read it.
set -eu
server=$1
shift
password=$(/etc/crosstape/bus-password.sh)
password=$(printf '%s\n' "$password" | sed 's/[\\"]/\\&/g')
secured=
if [ -n "$password" ]; then
    secured="requirepass \"$password\"
masterauth \"$password\""
fi
/etc/crosstape/mend-aof.sh /data || echo "the server starts on data that were not mended" >&2
exec "$server" /etc/crosstape/redis.conf "$@" - <<END
$secured
END
