# Runs a program as nobody of importance, with everything read-only but its folder: as a hardened container does.
#
#   walled.sh FOLDER PROGRAM [ARGUMENT…]
#
# The folder is its working folder. Without user namespaces it ends with 77.
set -eu
unshare --user --map-root-user --mount true 2>/dev/null || exit 77
exec unshare --user --map-root-user --mount --propagation private sh -eu -c '
    folder=$1
    shift
    mount --bind "$folder" "$folder"
    # field 5 is where, field 6 are the flags that it has and must keep
    while read -r _ _ _ _ where flags _; do
        # what the kernel shows there are no files to keep, and a namespace is made through them
        case $where in "$folder" | /proc | /proc/*) continue ;; esac
        mount -o "remount,bind,$flags,ro" "$where" 2>/dev/null || true
    done </proc/self/mountinfo
    # the one that was entered before is the one below
    cd "$folder"
    for place in / /tmp "$HOME" "$folder/.."; do
        if touch "$place/probe" 2>/dev/null; then
            echo "$place can still be written to" >&2
            exit 78
        fi
    done
    unset HOME
    exec unshare --user --map-user=10001 --map-group=10001 -- "$@"
' sh "$@"
