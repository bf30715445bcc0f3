# Runs a server for a test, and never longer than the test. (bash -c "$(cat leash.sh)" leash OUT ERR REMOVE COMMAND…)
#
# The test holds the other end of our standard input. Each line from there is a signal for the server's process group; its end,
# which comes however the test process ends, kills the group. We write one line at the start, the server's process id, one
# for each signal when it has been sent, and exit as the server does. OUT and ERR receive its output; REMOVE, unless empty,
# is a folder to delete afterwards.
set -m # every background job becomes a process group of its own
out=$1 err=$2 remove=$3
shift 3

exec 3<&0
"$@" </dev/null >>"$out" 2>>"$err" 3<&- &
server=$!
echo "$server"
{
    while read -r signal <&3; do
        kill -s "$signal" -- "-$server"
        echo "$signal"
    done
    kill -s KILL -- "-$server"
} &
guard=$!
exec 3<&-

wait -f "$server" # -f: not when it merely stops
code=$?
kill -s KILL -- "-$server" "-$guard" 2>/dev/null # what the server left behind, and the guard
[ -z "$remove" ] || rm -rf -- "$remove"
exit "$code"
