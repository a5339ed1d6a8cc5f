#!/usr/bin/env bash
# Coverage-guided fuzzing, see docs/reliability.md:
#
#   scripts/fuzz.sh [TARGET...]     each target (or these) for FUZZ_SECONDS seconds, 60 unless told otherwise
#   scripts/fuzz.sh merge [TARGET...]   what was found into fuzz/corpus, as few and as small inputs as cover the same
#
# The seconds are processor time in user mode, so that a busy machine makes it last longer and not do less. A target that
# waits more than it works (ten seconds of the clock to one of the processor) ends early, and fails.
#
# New inputs are kept in build/fuzz/TARGET/, an input that fails as build/fuzz/TARGET-*. What each target did goes to
# build/fuzz/summary.txt, too. The last line counts the targets.
#
# Needs the address sanitizer of the compiler: a nightly toolchain, or RUSTC_BOOTSTRAP=1, which this script sets for a
# stable one. And a C++ compiler, for libFuzzer. Ends with 77 where there are none. The target in C, json_read, which is what
# the component for Mongoose OS reads JSON with, needs clang with its libFuzzer instead (Debian: clang, libclang-rt-dev).
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
if [ $merge -eq 1 ] && [[ " $* " == *" json_read "* ]]; then
  echo "fuzz: merge: json_read has no inputs in fuzz/corpus: its first ones are in mongoose_os/tests/json_scanf.tsv" >&2
  exit 2
fi
everything=0
if [ $# -eq 0 ]; then
  everything=1
  # shellcheck disable=SC2046 # names
  set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v -e '^mgos-mqtt-fuzz$' -e '^targets$')
fi
# Kept inputs are for the targets in Rust.
if [ $everything -eq 1 ] && [ $merge -eq 0 ]; then set -- "$@" json_read; fi

# The target in C. Its first inputs are the formats and texts of the table that its tests go through.
json_read=$work/c/mongoose_os/tests/fuzz_json_read_guided
can_fuzz_c() {
  echo 'int LLVMFuzzerTestOneInput(const char *at, unsigned long n) { return (int) (n > 1000 && at[0]); }' |
    clang -x c - -fsanitize=fuzzer,address,undefined -o "$work/probe" 2>"$work/probe.log"
}
build_json_read() {
  cmake --preset dev -B "$work/c" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=c++ >"$work/c.log" 2>&1 &&
    cmake --build "$work/c" --target fuzz_json_read_guided >>"$work/c.log" 2>&1 || return 1
  mkdir -p "$work/json_read.first"
  awk -F'\t' -v into="$work/json_read.first" '{ for (i = 1; i <= NF; i++) {
    name = into "/" NR "_" i; printf "%s", $i >name; close(name) } }' mongoose_os/tests/json_scanf.tsv
}

if [ "$*" != json_read ]; then
  RUSTFLAGS=$flags cargo build --release --locked --quiet --manifest-path fuzz/Cargo.toml --target "$host" \
    --target-dir "$target_dir"
fi

# fuzz NAME PROGRAM LOG INPUTS: one target, from the inputs in a folder on. libFuzzer knows only the clock, therefore in
# rounds, until the processor's time is up.
fuzz() {
  local name=$1 program=$2 log=$3 first=$4 status=0 used=0 user=0 system=0 elapsed=0 runs=0 round_user round_system round_elapsed
  : >"$log"
  while [ "$used" -lt "$seconds" ] && [ "${elapsed%.*}" -lt $((10 * seconds)) ]; do
    { TIMEFORMAT='%U %S %R'; time "$program" -max_total_time=$((seconds - used)) -max_len=512 -timeout=120 -rss_limit_mb=2048 \
      -print_final_stats=1 -artifact_prefix="$work/$name-" "$work/$name" "$first" >"$log.round" 2>&1 ||
      status=$?; } 2>"$log.time"
    cat "$log.round" >>"$log"
    read -r round_user round_system round_elapsed < <(tail -n 1 "$log.time")
    user=$(sum "$user" "$round_user") system=$(sum "$system" "$round_system") elapsed=$(sum "$elapsed" "$round_elapsed")
    used=${user%.*}
    runs=$((runs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log.round" | tail -n 1 | grep . || echo 0)))
    [ $status -eq 0 ] || break
  done
  # The last line of progress: coverage in edges, features, inputs.
  local progress
  progress=$(grep -a '^#[0-9]*.\(DONE\|REDUCE\|NEW\|pulse\|INITED\)' "$log.round" | tail -n 1 | sed 's/.*\(cov: .*corp: [^ ]*\).*/\1/')
  rm -f "$log.round" "$log.time"
  echo "$name: $user s user, $system s system, $elapsed s elapsed, $runs runs, $progress" | tee -a "$work/summary.txt"
  if [ $status -eq 0 ] && [ "$used" -ge "$seconds" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    grep -a -m 1 -A 4 -e 'panicked at' -e 'ERROR: ' "$log" || tail -n 5 "$log"
    grep -a 'Test unit written to' "$log" || true
  fi
}
sum() { awk "BEGIN { printf \"%.1f\", $1 + $2 }"; }

passed=0 failed=0 skipped=0
[ $merge -eq 1 ] || : >"$work/summary.txt"
for name in "$@"; do
  program=$target_dir/$host/release/$name
  log=$work/$name.log
  if [ "$name" = json_read ]; then
    if ! can_fuzz_c; then
      echo "== json_read: skipped: needs clang with its libFuzzer and sanitizers (Debian: libclang-rt-dev; $work/probe.log)"
      skipped=$((skipped + 1))
      continue
    elif ! build_json_read; then
      echo "== json_read: does not compile:"
      tail -n 20 "$work/c.log"
      failed=$((failed + 1))
      continue
    fi
    mkdir -p "$work/$name"
    echo "== $name: $seconds s (all output: $log)"
    fuzz "$name" "$json_read" "$log" "$work/json_read.first"
    continue
  fi
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
  fuzz "$name" "$program" "$log" "fuzz/corpus/$name"
done
if [ $merge -eq 1 ]; then exit 0; fi
if [ $skipped -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
