#!/usr/bin/env bash
# guide_tour.sh: every command of docs/guide.md does what the guide says, pasted as it stands, in one
# shell, on a daemon of its own.
set -eu -o pipefail

bin=${SHMQ_TEST_BIN_DIR:?the folder of shmq and shmqd}
root=$(cd "$(dirname "$0")/../.." && pwd)
guide=$root/docs/guide.md
directory=$(mktemp -d)
daemon=
end() {
    [[ -z $daemon ]] || kill "$daemon" 2>/dev/null || true
    wait
    rm -rf "$directory"
}
trap end EXIT

export PATH=$bin:$PATH SHMQ_SOCKET=$directory/socket
cd "$directory"
shmqd --socket "$SHMQ_SOCKET" --state-dir "$directory/state" 2>"$directory/log" &
daemon=$!
for _ in {1..200}; do
    shmq status >/dev/null 2>&1 && break
    sleep 0.05
done

# Job control, as in the shell of a reader: %1 is the first worker.
{
    echo 'set -eu -o pipefail; set -m'
    awk '/^```/ { inside = !inside && $0 == "```sh guide"; next } inside' "$guide"
} >guide.sh
[[ $(grep -c shmq guide.sh) -ge 30 ]] || {
    echo 'guide.md: where have its commands gone?' >&2
    exit 1
}
timeout 100 bash guide.sh >out 2>&1 || {
    cat out >&2
    echo 'guide.md: a command of it failed' >&2
    exit 1
}

# What a comment promises is a line of the output.
sed -n 's/.*# prints: //p' guide.sh >promised
[[ $(wc -l <promised) -ge 9 ]]
while IFS= read -r line; do
    grep -qxF -- "$line" out || {
        cat out >&2
        printf 'guide.md: its commands did not print the line: %s\n' "$line" >&2
        exit 1
    }
done <promised
for line in 'in order, byte for byte' 'order 2' 'did cured, delivery 4'; do
    grep -qxF -- "$line" out || {
        cat out >&2
        printf 'guide.md: its commands did not print the line: %s\n' "$line" >&2
        exit 1
    }
done
[[ -z $(shmq ls --names) ]] || {
    echo "guide.md leaves queues behind: $(shmq ls --names)" >&2
    exit 1
}
# Verbs that it names in its tables exist.
while IFS= read -r verb; do
    shmq "$verb" --help >/dev/null
done < <(grep -oE '^\|.*`shmq [a-z]+' "$guide" | grep -oE '[a-z]+$' | sort -u)
echo "the guide's commands did what it says"
