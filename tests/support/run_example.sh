#!/usr/bin/env bash
# run_example.sh SHMQD PROGRAM [ARGUMENT...]: runs one program against a daemon of its own and
# passes its exit status on.
set -u

shmqd=$1
shift
directory=$(mktemp -d)
export SHMQ_SOCKET=$directory/socket

"$shmqd" --socket "$SHMQ_SOCKET" 2>"$directory/log" &
daemon=$!
end() {
    kill "$daemon" 2>/dev/null
    wait "$daemon" 2>/dev/null
    rm -rf "$directory"
}
trap end EXIT

# The file is there once the daemon listens.
for _ in {1..200}; do
    [[ -S $SHMQ_SOCKET ]] && break
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.05
done
if [[ ! -S $SHMQ_SOCKET ]]; then
    echo "the daemon did not open its socket; it said:" >&2
    cat "$directory/log" >&2
    exit 1
fi

timeout 60 "$@"
status=$?
if ((status != 0)); then
    echo "$1 ended with status $status; the daemon said:" >&2
    cat "$directory/log" >&2
fi
exit "$status"
