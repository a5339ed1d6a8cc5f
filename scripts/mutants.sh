#!/usr/bin/env bash
# Changes the source in one place at a time and looks whether a test notices (cargo-mutants):
#
#   scripts/mutants.sh [SHARD]
#
# SHARD is k/n, every n-th change of each layer beginning with number k: 0/10 unless told otherwise, some 310 changes.
# First the tests in Rust that are closest to a layer look at its changes; only those that they miss are built with
# all features and shown to the slower tests in Rust and to those in C (tests/mutants.rs). Ends with a table. Results:
# build/mutants/missed.txt, and a directory for each run of the tool. See docs/mutants.md.
set -euo pipefail
cd "$(dirname "$0")/.."
shard=${1:-0/10}
out=$PWD/build/mutants
source=$PWD

if ! cargo mutants --version >/dev/null 2>&1; then
  echo "mutants: installing cargo-mutants"
  cargo install --locked --quiet cargo-mutants
fi
# What is built stays for the next time; it is most of the work of a short run.
rm -rf "$out"/{wire,session,client,again-0,again-1,missed.txt,table.txt}
mkdir -p "$out/target"
# Nobody looks at a core dump here, and random inputs need not be many when hundreds of changes see them.
export CARGO_PROFILE_DEV_DEBUG=none PROPTEST_CASES=${PROPTEST_CASES:-64}

# The programs that the tests in C are: built once, and run against every changed library.
cmake --preset dev -DMGOS_MQTT_CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" >/dev/null
mapfile -t programs < <(sed -n '/^const PROGRAMS/,/^\];/s/^ *"\(.*\)",$/test_\1_shared/p' tests/mutants.rs)
echo "mutants: building ${#programs[@]} programs of C tests, and the dependencies"
if ! cmake --build --preset dev --target "${programs[@]}" >"$out/build.log" 2>&1; then
  tail -40 "$out/build.log"
  exit 1
fi
export MGOS_MQTT_C_PROGRAMS=$PWD/build/dev/tests/c
# Runs of the tool go side by side, and two that shared a directory would run each other's programs. The dependencies
# are compiled in one of them and copied to the others.
CARGO_TARGET_DIR=$out/target/wire cargo test --quiet --no-run --no-default-features --lib
CARGO_TARGET_DIR=$out/target/again-0 cargo test --quiet --no-run --test mutants
for name in session client; do [ -d "$out/target/$name" ] || cp -a "$out/target/wire" "$out/target/$name"; done
[ -d "$out/target/again-1" ] || cp -a "$out/target/again-0" "$out/target/again-1"

# mutants <name> <argument of cargo-mutants>...: one run, in the background.
running=()
mutants() {
  local name=$1
  shift
  mkdir -p "$out/$name"
  CARGO_TARGET_DIR=$out/target/$name cargo mutants --output "$out/$name" --colors never --caught --unviable \
    --build-timeout 600 "$@" >"$out/$name/log" 2>&1 &
  running+=("$name:$!")
}

# Waits for all runs. 2: some changes were missed, 3: some hung; the rest are errors of the tool or of the tests.
finished() {
  local run status
  for run in "${running[@]}"; do
    status=0
    wait "${run#*:}" || status=$?
    case $status in 0 | 2 | 3) continue ;; esac
    tail -40 "$out/${run%:*}/log"
    exit "$status"
  done
  running=()
}

# layer <name> <cargo argument>...: the changes of a layer, seen by these tests. They need neither TLS nor the C face, and
# without both everything is built in a fraction of the time.
layer() {
  local name=$1 argument arguments=()
  shift
  for argument in "$@"; do arguments+=("--cargo-arg=$argument"); done
  mutants "$name" --file "src/$name/**" --shard "$shard" --sharding round-robin --no-default-features \
    --minimum-test-timeout 60 "${arguments[@]}" -- -- "${skip[@]}"
}

echo "mutants: the tests in Rust nearest to each layer ($(date +%T))"
# Tests of other rooms would be run for each change, and see none.
skip=(--skip config:: --skip capi:: --skip transport:: --skip driver::)
layer wire --test=wire_vectors --test=wire_round_trip --test=wire_malformed --test=wire_topic --test=wire_memory
layer session --lib --test=session_closing --test=virtual_time
skip+=(--skip session::)
layer client --lib --test=virtual_time --test=virtual_expiry --test=client_large
finished

missed=("$out"/{wire,session,client}/mutants.out/missed.txt)
echo "mutants: all tests, for the $(cat "${missed[@]}" | wc -l) changes that those have missed ($(date +%T))"
# Each half is a run that was interrupted, as the tool sees it, when all but these changes had been tried.
files=(--file 'src/wire/**' --file 'src/session/**' --file 'src/client/**')
for half in 0 1; do
  mkdir -p "$out/again-$half/mutants.out"
  cat "${missed[@]}" | awk "NR % 2 == $half" >"$out/again-$half/these.txt"
  if [ ! -s "$out/again-$half/these.txt" ]; then
    touch "$out/again-$half/mutants.out/"{unviable,caught,timeout,missed}.txt
    continue
  fi
  cargo mutants --list "${files[@]}" | grep -vxF -f "$out/again-$half/these.txt" >"$out/again-$half/mutants.out/caught.txt"
  mutants again-$half "${files[@]}" --iterate --minimum-test-timeout 300 \
    --cargo-arg=--test=session_memory --cargo-arg=--test=tls_expiry --cargo-arg=--test=mutants
done
finished
again=("$out"/again-[01])
cat "${again[@]/%//mutants.out/missed.txt}" | sort >"$out/missed.txt"

# count <layer> <result>: changes of a layer with this result, now and, if they were not missed then, in the first round.
count() {
  {
    [ "$2" = missed ] || cat "$out/$1/mutants.out/$2.txt"
    cat "${again[@]/%//mutants.out/$2.txt}" | grep "^src/$1/" || true
  } | wc -l
}

row='%-8s %8s %9s %7s %5s %7s %9s\n'
# line <name> <unviable> <caught> <hung> <missed>
line() {
  local viable=$(($3 + $4 + $5))
  # shellcheck disable=SC2059 # the format is the row above
  printf "$row" "$1" $((viable + $2)) "$2" "$3" "$4" "$5" "$((viable ? 100 * ($3 + $4) / viable : 100)) %"
}
all=(0 0 0 0)
{
  # shellcheck disable=SC2059
  printf "$row" layer changes unviable caught hung missed noticed
  for name in wire session client; do
    each=()
    for result in unviable caught timeout missed; do each+=("$(count "$name" "$result")"); done
    line "$name" "${each[@]}"
    for at in 0 1 2 3; do all[at]=$((all[at] + each[at])); done
  done
  line all "${all[@]}"
} >"$out/table.txt"
cat "$out/table.txt"
viable=$((all[1] + all[2] + all[3]))
noticed=$((all[1] + all[2]))
echo "mutants: a test noticed $noticed of $viable changes that compile; the others: ${out#"$source/"}/missed.txt"
[ $((10 * noticed)) -ge $((9 * viable)) ]
