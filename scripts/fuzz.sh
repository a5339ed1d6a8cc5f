#!/usr/bin/env bash
# Coverage-guided fuzzing, see docs/reliability.md:
#
#   scripts/fuzz.sh [TARGET...]     each target (or these) for FUZZ_SECONDS seconds, 60 unless told otherwise
#   scripts/fuzz.sh merge [TARGET...]   what was found into fuzz/corpus, as few and as small inputs as cover the same
#
# New inputs are kept in build/fuzz/TARGET/, an input that fails as build/fuzz/TARGET-*. The last line counts the targets.
#
# Needs the address sanitizer of the compiler: a nightly toolchain, or RUSTC_BOOTSTRAP=1, which this script sets for a
# stable one. And a C++ compiler, for libFuzzer. Ends with 77 where there are none.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
work=build/fuzz

# What cargo-fuzz builds with.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address -Ccodegen-units=1"

skip() {
  echo "== fuzz: skipped: $*"
  echo "0 passed, 0 failed"
  exit 77
}

mkdir -p "$work"
rustc -vV | grep -q nightly || export RUSTC_BOOTSTRAP=1
command -v c++ >/dev/null || skip "no C++ compiler, which libFuzzer needs"
# shellcheck disable=SC2086 # several flags
echo 'fn main() {}' | rustc $flags --target "$host" -o "$work/probe" - 2>"$work/probe.log" && "$work/probe" ||
  skip "needs a nightly toolchain or RUSTC_BOOTSTRAP=1, and the address sanitizer for $host ($work/probe.log)"

merge=0
if [ "${1-}" = merge ]; then
  merge=1
  shift
fi
if [ $# -eq 0 ]; then
  # shellcheck disable=SC2046 # names
  set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v -e '^mgos-mqtt-fuzz$' -e '^targets$')
fi

RUSTFLAGS=$flags cargo build --release --locked --quiet --manifest-path fuzz/Cargo.toml --target "$host" \
  --target-dir "$target_dir"

passed=0 failed=0
for name in "$@"; do
  program=$target_dir/$host/release/$name
  log=$work/$name.log
  mkdir -p "$work/$name" "fuzz/corpus/$name"
  if [ $merge -eq 1 ]; then
    mkdir -p "$work/$name.merged"
    "$program" -set_cover_merge=1 "$work/$name.merged" "fuzz/corpus/$name" "$work/$name" >"$log" 2>&1
    rm -rf "fuzz/corpus/$name"
    mv "$work/$name.merged" "fuzz/corpus/$name"
    echo "== $name: $(find "fuzz/corpus/$name" -type f | wc -l) inputs"
    continue
  fi
  echo "== $name: $seconds s (all output: $log)"
  status=0
  "$program" -max_total_time="$seconds" -max_len=512 -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$work/$name-" \
    "$work/$name" "fuzz/corpus/$name" >"$log" 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    passed=$((passed + 1))
    # The last line of progress: runs, coverage (edges), features, inputs, runs a second.
    grep -a '^#[0-9]*.DONE' "$log" | tail -n 1
  else
    failed=$((failed + 1))
    grep -a -m 1 -A 4 -e 'panicked at' -e 'ERROR: ' "$log" || tail -n 5 "$log"
    grep -a 'Test unit written to' "$log" || true
  fi
done
if [ $merge -eq 1 ]; then exit 0; fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
