#!/usr/bin/env bash
# Changes the source in one place at a time and looks whether a test notices (cargo-mutants):
#
#   scripts/mutants.sh [LAYER...]
#
# LAYER is a directory of src/: wire, session, client, driver, transport, capi; all of them unless told otherwise. SHARD=k/n
# in the environment: every n-th change of each layer beginning with number k, instead of those that `shards` below names,
# which are some 300 of the first three layers and some 300 of the others.
#
# First the tests in Rust that are closest to a layer look at its changes; only those that they miss are built with
# all features and shown to the slower tests in Rust and to those in C (tests/mutants.rs). Ends with a table. Results:
# build/mutants/missed.txt, and a directory for each run of the tool. See docs/mutants.md.
set -euo pipefail
cd "$(dirname "$0")/.."
declare -A shards=([wire]=0/10 [session]=0/10 [client]=0/10 [driver]=0/9 [transport]=0/9 [capi]=0/9)
layers=("$@")
[ $# -gt 0 ] || layers=(wire session client driver transport capi)
for layer in "${layers[@]}"; do
  [ -n "${shards[$layer]:-}" ] || { echo "mutants: $layer is none of: ${!shards[*]}" >&2; exit 2; }
done
# Programs of the tests in C want them.
[ -n "${CERTS:-}" ] || exec scripts/with_certificates.sh env CERTS=@CERTS@ "$0" "$@"
out=$PWD/build/mutants
source=$PWD

if ! cargo mutants --version >/dev/null 2>&1; then
  echo "mutants: installing cargo-mutants"
  cargo install --locked --quiet cargo-mutants
fi
# What is built stays for the next time; it is most of the work of a short run.
rm -rf "$out"/{wire,session,client,driver,transport,capi,again-0,again-1,missed.txt,table.txt}
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
export MGOS_MQTT_C_PROGRAMS=$PWD/build/dev/tests/c MGOS_MQTT_UNCHANGED=$PWD

# The tests in Rust that are closest to each layer, and the features they need: the fewer, the quicker everything is built.
declare -A features=([wire]="" [session]="" [client]="" [driver]="" [transport]="tls psk" [capi]="capi")
declare -A nearest=(
  [wire]="--test=wire --test=wire_memory"
  [session]="--lib --test=session_closing --test=virtual_time"
  [client]="--lib --test=virtual_time --test=client_large"
  [driver]="--lib --test=driver"
  [transport]="--lib --test=tls --test=tls_psk"
  [capi]="--lib"
)
# The rooms whose unit tests are run: the others would see none of the changes. (`transport` has a module `config`.)
declare -A units=(
  [wire]="wire" [session]="wire session client" [client]="wire client" [driver]="driver" [transport]="transport config"
  [capi]="capi config"
)
# What looks at those that were missed. All of them have at least the programs in C.
declare -A others=(
  [wire]="--test=session_memory --test=mqtt5" [session]="--test=session_memory --test=mqtt5"
  [client]="--test=session_memory --test=mqtt5 --test=tls"
  [driver]="--test=virtual_time --test=slow_callbacks --test=loom"
  [transport]="--test=driver --test=transports --test=tls_addresses --test=tls_secrets --test=tls_slow_files"
  [capi]="--test=json_header"
)

# mutants <directory> <argument of cargo-mutants>...: one run. 2: some changes were missed, 3: some hung; the rest are errors of
# the tool or of the tests.
mutants() {
  local name=$1 status=0
  shift
  mkdir -p "$out/$name"
  cargo mutants --workspace --test-workspace=true --output "$out/$name" --colors never --caught --unviable --build-timeout 600 "$@" >"$out/$name/log" 2>&1 ||
    status=$?
  case $status in 0 | 2 | 3) return ;; esac
  tail -40 "$out/$name/log"
  return 1
}

# cargo_args <argument of cargo>...: as arguments of cargo-mutants.
cargo_args() { printf -- '--cargo-arg=%s\n' "$@"; }

# Runs of the tool go side by side, two at a time, and two that shared a directory would run each other's programs.
running=()
finished() {
  local run
  for run in "${running[@]}"; do wait "$run" || exit 1; done
  running=()
}
beside() {
  [ ${#running[@]} -lt 2 ] || { wait "${running[0]}" || exit 1; running=("${running[@]:1}"); }
  "$@" &
  running+=($!)
}

first_look() {
  local layer=$1 skip=() room arguments
  # Skipped by name, since a filter by name would leave out those of tests/.
  for room in config capi transport driver session client wire; do
    [[ " ${units[$layer]} " == *" $room "* ]] || skip+=(--skip "$room::")
  done
  # shellcheck disable=SC2086 # they are lists
  mapfile -t arguments < <(cargo_args ${nearest[$layer]})
  CARGO_TARGET_DIR=$out/target/$layer mutants "$layer" --file "src/$layer/**" --shard "${SHARD:-${shards[$layer]}}" \
    --sharding round-robin --no-default-features --features "${features[$layer]}" --minimum-test-timeout 60 \
    "${arguments[@]}" -- -- "${skip[@]}"
}

echo "mutants: the tests in Rust nearest to each layer ($(date +%T))"
for layer in "${layers[@]}"; do beside first_look "$layer"; done
finished

# second_look <half> <layer>: one half of what was missed. It is a run that was interrupted, as the tool sees it, when all
# but these changes had been tried.
second_look() {
  local half=$1 layer=$2 arguments features=()
  local name=again-$half/$layer
  mkdir -p "$out/$name/mutants.out"
  awk "NR % 2 == $half" "$out/$layer/mutants.out/missed.txt" >"$out/$name/these.txt"
  if [ ! -s "$out/$name/these.txt" ]; then
    touch "$out/$name/mutants.out/"{unviable,caught,timeout,missed}.txt
    return
  fi
  cargo mutants --workspace --list --file "src/$layer/**" | grep -vxF -f "$out/$name/these.txt" >"$out/$name/mutants.out/caught.txt"
  # shellcheck disable=SC2086
  mapfile -t arguments < <(cargo_args ${others[$layer]} --test=mutants)
  [ "$layer" != transport ] || features=(--features psk)
  CARGO_TARGET_DIR=$out/target/again-$half mutants "$name" --file "src/$layer/**" --iterate "${features[@]}" \
    --minimum-test-timeout 300 "${arguments[@]}"
}
second_looks() {
  local layer
  for layer in "${layers[@]}"; do second_look "$1" "$layer" || return 1; done
}

missed=("${layers[@]/#/$out/}")
echo "mutants: all tests, for the $(cat "${missed[@]/%//mutants.out/missed.txt}" | wc -l) changes that those have missed ($(date +%T))"
for half in 0 1; do beside second_looks "$half"; done
finished
cat "$out"/again-[01]/*/mutants.out/missed.txt | sort >"$out/missed.txt"

# count <layer> <result>: changes of a layer with this result, now and, if they were not missed then, in the first round.
count() {
  {
    [ "$2" = missed ] || cat "$out/$1/mutants.out/$2.txt"
    cat "$out"/again-[01]/"$1/mutants.out/$2.txt"
  } | wc -l
}

row='%-9s %8s %9s %7s %5s %7s %9s\n'
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
  for name in "${layers[@]}"; do
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
