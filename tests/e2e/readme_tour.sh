#!/usr/bin/env bash
# readme_tour.sh: the README's commands do what it says, pasted as they stand: the tour on a daemon of
# its own, the demo's part after `shmq_demo --keep`, and the quick start built by a stranger.
set -eu -o pipefail

bin=${SHMQ_TEST_BIN_DIR:?the folder of shmq, shmqd and shmq_demo}
root=$(cd "$(dirname "$0")/../.." && pwd)
directory=$(mktemp -d)
daemons=()
end() {
    ((${#daemons[@]} == 0)) || kill "${daemons[@]}" 2>/dev/null || true
    wait
    rm -rf "$directory"
}
trap end EXIT

fail() {
    printf 'README: %s\n' "$*" >&2
    exit 1
}

# blocks MARK: the contents of all fenced blocks of the README whose fence carries MARK
blocks() {
    awk -v mark="$1" '/^```/ { inside = !inside && $0 == "```" mark; next } inside' "$root/README.md"
}

# paste_blocks MARK: runs those blocks as one script; what it prints goes to $directory/MARK
paste_blocks() {
    local script=$directory/${1// /_}
    { echo 'set -eu -o pipefail' && blocks "$1"; } >"$script.sh"
    grep -q shmq "$script.sh" || fail "has no block '$1'"
    timeout 60 bash "$script.sh" >"$script.out" 2>&1 || {
        cat "$script.out" >&2
        fail "a command of the blocks '$1' failed"
    }
    printf '%s' "$script.out"
}

# expect FILE LINE...: each is a line of it
expect() {
    local file=$1 line
    shift
    for line; do
        grep -qxF -- "$line" "$file" || {
            cat "$file" >&2
            fail "its commands did not print the line: $line"
        }
    done
}

export PATH=$bin:$PATH
unset SHMQ_SOCKET

# ---- the demo that is kept, and the tour on its daemon -------------------------------------------
TMPDIR=$directory shmq_demo --keep /usr/share/common-licenses >"$directory/demo" 2>&1 || {
    cat "$directory/demo" >&2
    fail "shmq_demo failed"
}
expect "$directory/demo" "lost 0"
eval "$(grep '^export SHMQ_SOCKET=' "$directory/demo")"
daemons+=("$(sed -n 's/^To end it: kill \([0-9]*\);.*/\1/p' "$directory/demo")")
out=$(paste_blocks "sh demo")
grep -q '^/usr/share/common-licenses/[^:]*:3:' "$out" || fail "recv demo did not print a line 3"
tour_lines=("resize a.jpg" "RESIZE B.JPG" "RESIZE C.JPG" "a long job" "byte for byte")
out=$(paste_blocks "sh tour")
expect "$out" "${tour_lines[@]}"

# ---- the tour alone, on a daemon that runs already -----------------------------------------------
export SHMQ_SOCKET=$directory/socket
shmqd --socket "$SHMQ_SOCKET" 2>"$directory/log" &
daemons+=($!)
for _ in {1..200}; do
    shmq status >/dev/null 2>&1 && break
    sleep 0.05
done
out=$(paste_blocks "sh tour")
expect "$out" "${tour_lines[@]}"

# ---- the quick start -----------------------------------------------------------------------------
mkdir "$directory/source"
blocks "cpp quickstart" >"$directory/source/main.cpp"
blocks "cmake quickstart" >"$directory/source/CMakeLists.txt"
cmake --install "$(dirname "$bin")" --prefix "$directory/prefix" >/dev/null
cmake -S "$directory/source" -B "$directory/build" -DCMAKE_PREFIX_PATH="$directory/prefix" >/dev/null
cmake --build "$directory/build" >/dev/null
timeout 60 "$directory/build/greetings" >"$directory/greetings"
expect "$directory/greetings" "hello"

# ---- the same in C and in Python -----------------------------------------------------------------
blocks "c quickstart" >"$directory/source/main.c"
read -ra flags < <(PKG_CONFIG_PATH=$(dirname "$(find "$directory/prefix" -name shmq.pc)") \
    pkg-config --cflags --libs shmq)
cc -std=c99 -pedantic -Wall -Wextra -Werror "$directory/source/main.c" -o "$directory/c_greetings" \
    "${flags[@]}"
LD_LIBRARY_PATH=$(dirname "$(find "$directory/prefix" -name libshmq.so.1)")
export LD_LIBRARY_PATH
timeout 60 "$directory/c_greetings" >"$directory/c_out"
expect "$directory/c_out" "hello"
package=$directory/prefix/lib/python3/dist-packages
if [[ -d $package/shmq ]]; then
    blocks "python quickstart" >"$directory/source/main.py"
    PYTHONPATH=$package timeout 60 /usr/bin/python3 "$directory/source/main.py" >"$directory/python_out"
    expect "$directory/python_out" "hello"
fi
echo "the README's commands did what it says"
