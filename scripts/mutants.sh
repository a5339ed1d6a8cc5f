#!/usr/bin/env bash
# Changes the source in one place at a time and looks whether a test notices (cargo-mutants):
#
#   scripts/mutants.sh [SHARD [argument...]]
#
# SHARD is k/n, every n-th change beginning with number k: 0/8 unless told otherwise, some 300 of them. Results: build/mutants/mutants.out/.
# What is changed and which tests are run is in .cargo/mutants.toml; the tool is installed if it is missing. The work is done
# on a copy of the source, with a directory of its own for what is built.
set -euo pipefail
cd "$(dirname "$0")/.."
shard=${1:-0/8}
shift || true

if ! cargo mutants --version >/dev/null 2>&1; then
  echo "mutants: installing cargo-mutants"
  cargo install --locked --quiet cargo-mutants
fi

# The programs that the tests in C are: built once, and run against every changed library.
cmake --preset dev -DMGOS_MQTT_CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" >/dev/null
targets=()
for file in tests/c/test_*.c; do
  name=$(basename "$file" .c)
  case " $(sed -n '/^const PROGRAMS/,/^\];/p' tests/mutants.rs | tr -cd 'a-z_ ') " in
    *" ${name#test_} "*) targets+=("${name}_shared") ;;
  esac
done
cmake --build --preset dev --target "${targets[@]}" >/dev/null

mkdir -p build/mutants
status=0
MGOS_MQTT_C_PROGRAMS=$PWD/build/dev/tests/c CARGO_TARGET_DIR=$PWD/build/mutants/target \
  CARGO_PROFILE_DEV_DEBUG=none \
  cargo mutants --shard "$shard" --sharding round-robin --output build/mutants --caught "$@" || status=$?

count() { wc -l <"build/mutants/mutants.out/$1.txt"; }
caught=$(count caught) missed=$(count missed) hung=$(count timeout) unviable=$(count unviable)
echo "caught $((caught + hung)) of $((caught + hung + missed)) ($hung of them by hanging); $unviable do not compile"
# 2: some were missed, 3: some hung; the rest are errors of the tool or of the tests themselves.
case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac
[ $((10 * (caught + hung))) -ge $((9 * (caught + hung + missed))) ]
