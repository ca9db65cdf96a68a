#!/usr/bin/env bash
# run.sh BUILD CMAKE COMPILER: installs shmq into a fresh prefix, builds main.cpp as a stranger would,
# once through find_package and once through pkg-config, and runs both against the installed daemon.
set -eu -o pipefail

build=$1
cmake=$2
compiler=$3
here=$(cd "$(dirname "$0")" && pwd)
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

"$cmake" --install "$build" --prefix "$directory/before" >/dev/null
# Moved after installing: nothing in there may remember where it was.
mv "$directory/before" "$directory/prefix"
prefix=$directory/prefix

for file in lib/systemd/system/shmqd.service lib/systemd/system/shmqd.socket share/man/man1/shmq.1 \
    share/man/man8/shmqd.8 share/man/man8/shmq-keeper.8 share/bash-completion/completions/shmq; do
    [[ -s $prefix/$file ]] || { echo "not installed: $file"; exit 1; }
done
# A unit has a full path: the prefix it was installed to.
grep -qx "ExecStart=$directory/before/bin/shmqd" "$prefix/lib/systemd/system/shmqd.service"

"$cmake" -S "$here" -B "$directory/build" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
"$cmake" --build "$directory/build" >/dev/null

pkgconfig=$(dirname "$(find "$prefix" -name shmq.pc)")
read -ra flags < <(PKG_CONFIG_PATH=$pkgconfig pkg-config --cflags --libs shmq)
# The program comes before the library it needs, or the linker drops what it does not need yet.
"$compiler" -std=c++20 "$here/main.cpp" -o "$directory/by_pkgconfig" "${flags[@]}"

libraries=$(dirname "$(find "$prefix" -name libshmq.so.1)")
export LD_LIBRARY_PATH=$libraries
for program in "$directory/build/consumer" "$directory/by_pkgconfig"; do
    "$here/../../support/run_example.sh" "$prefix/bin/shmqd" "$program"
done
