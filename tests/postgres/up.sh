#!/usr/bin/env bash
# Runs a PostgreSQL for tests in the foreground, on loopback only; whoever connects is believed.
#
#   tests/postgres/up.sh DIR PORT
#
# DIR holds its data; started again on the same DIR it is the same server. The user is `herald`, a superuser.
# HERALD_TEST_POSTGRES names the folder with PostgreSQL's programs (tests/run --setup makes it, tests/run --env names it).
set -euo pipefail
umask 077

if [ $# -ne 2 ]; then
    echo "usage: $0 DIR PORT" >&2
    exit 2
fi
: "${HERALD_TEST_POSTGRES:?is not set: run tests/run --setup, then export \$(tests/run --env)}"
mkdir -p "$1"
dir=$(cd "$1" && pwd -P)
bin=$HERALD_TEST_POSTGRES

# PostgreSQL refuses to run as root. A user namespace in which we are somebody else is enough for it; where there are none,
# it gets a copy of the programs that nobody may read.
as=()
if [ "$(id -u)" -eq 0 ]; then
    if unshare --user --map-user=1000 --map-group=1000 true 2>/dev/null; then
        as=(unshare --user --map-user=1000 --map-group=1000)
    else
        [ -d "$dir/programs" ] || cp -rL "$bin/.." "$dir/programs"
        bin=$dir/programs/bin
        chmod 755 "$dir" && chown -R nobody "$dir"
        as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    fi
fi

if [ ! -s "$dir/data/PG_VERSION" ]; then
    "${as[@]}" "$bin/initdb" -D "$dir/data" -U herald --auth=trust --no-sync -E UTF8 --locale=C >"$dir/initdb.log"
fi
exec "${as[@]}" "$bin/postgres" -D "$dir/data" -p "$2" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 -c shared_buffers=32MB
