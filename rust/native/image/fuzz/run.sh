#!/usr/bin/env bash
# Fuzzes the readers of rust/native/image, rust/store and of settings in rust/session with libFuzzer, from the corpus beside this file.
#
#   run.sh                     every target, RUNS inputs each from a fixed seed (the test command does this)
#   run.sh --seconds N         every target, N seconds each, looking on its own way each time
#   run.sh --minimise          as --seconds leaves it, the corpus without what adds no coverage
#
# A crash is written to fuzz/artifacts and fails the run. Coverage counters are a plain flag of rustc, so
# the stable toolchain does; ASAN=1 adds AddressSanitizer, which asks for RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

command -v c++ >/dev/null || { echo 'fuzz: skipped, for lack of a C++ compiler (c++)'; exit 0; }
runs=${RUNS:-100000} seconds='' minimise=''
case ${1:-} in
    '') ;;
    --seconds) seconds=$2 ;;
    --minimise) minimise=1 ;;
    *) sed -n '2,9s/^# \?//p' "$0"; exit 1 ;;
esac

flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing -Cforce-frame-pointers=yes'
target=../../../../target/fuzz
if [ -n "${ASAN:-}" ]; then
    export RUSTC_BOOTSTRAP=1
    flags="$flags -Zsanitizer=address"
    target=$target-asan
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags are not used for build scripts.
RUSTFLAGS=$(echo $flags) cargo build --quiet --release --locked --target "$host" --target-dir "$target"

mkdir -p artifacts corpus/tables corpus/library corpus/profile corpus/settings
"$target/$host/release/seeds" corpus
for name in tables library profile settings; do
    fuzzer=$target/$host/release/$name
    common="-artifact_prefix=artifacts/$name- -max_len=65536 -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=0"
    if [ -n "$minimise" ]; then
        rm -rf "corpus/$name.new" && mkdir "corpus/$name.new"
        "$fuzzer" $common -merge=1 "corpus/$name.new" "corpus/$name"
        rm -rf "corpus/$name" && mv "corpus/$name.new" "corpus/$name"
    elif [ -n "$seconds" ]; then
        "$fuzzer" $common -max_total_time="$seconds" -print_final_stats=1 "corpus/$name"
    else
        # What it finds on the way stays out of the corpus in the repository.
        found=$(mktemp -d)
        "$fuzzer" $common -runs="$runs" -seed=1 "$found" "corpus/$name" >"$found.log" 2>&1 ||
            { cat "$found.log"; rm -rf "$found" "$found.log"; exit 1; }
        rm -f "$found.log"
        rm -rf "$found"
        echo "fuzz $name: at least $runs inputs, nothing found"
    fi
done
