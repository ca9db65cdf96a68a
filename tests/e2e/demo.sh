#!/usr/bin/env bash
# demo.sh: the main job on the whole of its input, as `./dev demo` runs it; and that it leaves nothing
# behind.
set -eu -o pipefail

bin=${SHMQ_TEST_BIN_DIR:?the folder of shmqd and shmq_demo}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
export TMPDIR=$directory

"$bin/shmq_demo" | tee "$directory/out"
grep -qx 'lost 0' "$directory/out"
[[ $(grep -c '^  ok ' "$directory/out") == 3 ]]

# A folder that is missing is said to be, and the rest is done.
"$bin/shmq_demo" "$directory/none" /usr/share/common-licenses >"$directory/out"
grep -q "$directory/none cannot be read" "$directory/out"
grep -qx 'lost 0' "$directory/out"

# Nothing at all is an error.
status=0
"$bin/shmq_demo" "$directory/none" >"$directory/out" 2>&1 || status=$?
[[ $status == 1 ]]

rm "$directory/out"
left=$(ls -A "$directory")
[[ -z $left ]] || {
    echo "left behind: $left" >&2
    exit 1
}
