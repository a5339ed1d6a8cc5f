#!/usr/bin/env bash
# All tests that need no server but those they start themselves, cheap stages first:
#
#   scripts/test.sh            everything but features, package and tsan
#   scripts/test.sh rust c     these stages only
#
# Stages: fmt, clippy, deny (licences, sources and known holes of the dependencies), psk (with pre-shared keys by OpenSSL), rust,
# miri (the C interface), c (release build: C tests, headers, examples, ABI), asan, valgrind, secrets (what all of them
# printed). Those that mostly build are apart, so that these take less than twenty minutes: features (without TLS, without the C
# interface ...) and package (what is installed, and what links it) are `make test-builds`; tsan, which builds the
# standard library and all programs once more, is `make test-tsan`. A stage that fails does not keep the next from running.
# At the end: the time of each stage, and how much of the processors it took; the last line counts all tests.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
# One generator per machine; a build directory that exists keeps the one it has.
if [ -z "${CMAKE_GENERATOR-}" ] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
# All builds share Cargo's directory with the one the caller uses.
cargo_dir=${CARGO_TARGET_DIR:-$PWD/target}
jobs=$(nproc 2>/dev/null || echo 2)
# Most C tests wait for a server or for a time, and leave the processors to others meanwhile; some are about times.
at_once=$((jobs + 1))
logs=build/log
# A package of its own: the program that reads the configuration of a Mongoose OS application when that is built.
configure=mongoose_os/configure/Cargo.toml
mkdir -p "$logs"

passed=0 failed=0 skipped=0
failures=()

count() { # count STAGE PASSED FAILED SKIPPED
  passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
  if [ "$3" -gt 0 ]; then failures+=("$1"); fi
}

# run STAGE COMMAND...: shows what it does and keeps it in a file.
run() {
  local stage=$1
  shift
  echo "== $stage: $*"
  "$@" 2>&1 | tee -a "$logs/$stage.log"
}

skip() { # skip STAGE WHY
  echo "== $1: skipped: $2"
  count "$1" 0 0 1
}

# A stage that is one check.
check() {
  if run "$@"; then count "$1" 1 0 0; else count "$1" 0 1 0; fi
}

stage_fmt() {
  if cargo fmt --version >/dev/null 2>&1; then
    check fmt cargo fmt --all --check
    check fmt cargo fmt --check --manifest-path "$configure"
  else
    skip fmt "rustfmt is not installed"
  fi
}

stage_clippy() {
  if cargo clippy --version >/dev/null 2>&1; then
    check clippy cargo clippy --locked --all-targets -- -D warnings
    # A link that leads nowhere names what was renamed.
    check clippy env RUSTDOCFLAGS="-D rustdoc::broken_intra_doc_links" cargo doc --locked --no-deps \
      --document-private-items
    check clippy cargo clippy --locked --all-targets --manifest-path "$configure" --target-dir "$cargo_dir/mgos_configure" -- -D warnings
  else
    skip clippy "clippy is not installed"
  fi
}

# The list of known holes comes from the network; without it that part is left out, and says so.
stage_deny() {
  if ! cargo deny --version >/dev/null 2>&1; then
    skip deny "cargo-deny is not installed (cargo install --locked cargo-deny)"
    return
  fi
  check deny cargo deny --locked check licenses bans sources
  check deny cargo deny --locked --manifest-path "$configure" check licenses bans sources
  if timeout 60 cargo deny --locked fetch db >>"$logs/deny.log" 2>&1; then
    check deny cargo deny --locked --offline check advisories
  else
    skip deny "the advisory database cannot be fetched"
  fi
}

stage_rust() {
  local status=0 sums
  run rust cargo test --locked --no-fail-fast || status=$?
  sums=$(awk '/^test result: / { for (i = 1; i < NF; i++) { if ($(i + 1) == "passed;") p += $i; if ($(i + 1) == "failed;") f += $i
    if ($(i + 1) == "ignored;") s += $i } } END { print p + 0, f + 0, s + 0 }' "$logs/rust.log")
  # shellcheck disable=SC2086 # three numbers
  set -- $sums
  if [ $status -ne 0 ] && [ "$2" -eq 0 ]; then set -- "$1" 1 "$3"; fi # it did not compile, or crashed
  count rust "$@"
}

# The C interface without sockets, and without what Miri cannot run, C code: the variadic functions and their formatter's
# tests. Needs a nightly toolchain with Miri and the sources of the standard library.
stage_miri() {
  local status=0
  if ! cargo +nightly miri --version >/dev/null 2>&1; then
    skip miri "there is no nightly Rust with Miri"
    return
  fi
  run miri timeout 600 cargo +nightly miri setup || status=$?
  if [ $status -ne 0 ]; then
    if grep -qiE 'rust-src|failed to (download|fetch|get|query)|could not connect|offline' "$logs/miri.log"; then
      skip miri "it cannot build its standard library here"
    else
      count miri 0 1 0
    fi
    return
  fi
  # With the system's clock, and files.
  check miri env MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS-}" cargo +nightly miri test --locked --lib \
    --no-default-features --features capi --target-dir "$cargo_dir/miri" -- \
    capi::fed_tests capi::config capi::mgos_mqtt_version
}

# Each combination of features compiles; the one of all but psk is what the other stages run. The tests are compiled with those
# that leave out most: none of them looks at two features of one kind. Without TLS and the C interface the unit tests run,
# too: everything else that runs there also runs with them.
# field: F-86
stage_features() {
  # Without the program for stores: it needs the feature store, and Cargo would build the library with it, too.
  local combination targets packages=(--workspace --exclude mgos-mqtt-store)
  for combination in "" capi tls psk websocket proxy scram store capi,psk tls,psk capi,websocket,proxy capi,tls,psk; do
    case $combination in
      *psk*) if ! pkg-config --exists openssl 2>/dev/null; then continue; fi ;;
    esac
    case $combination in
      "" | capi | tls) targets=--all-targets ;;
      *) targets=--lib ;;
    esac
    check features cargo check --locked "${packages[@]}" $targets --no-default-features --features "$combination"
  done
  if cargo clippy --version >/dev/null 2>&1; then
    check features cargo clippy --locked "${packages[@]}" --no-default-features -- -D warnings
  fi
  check features cargo test --locked "${packages[@]}" --no-default-features --lib --test no_tls
  check features cargo test --locked --package mgos-mqtt --no-default-features --features capi --test no_tls
}

# What the feature psk adds; everything else is the same with it.
stage_psk() {
  if ! pkg-config --exists openssl 2>/dev/null; then
    skip psk "OpenSSL's headers are not installed"
    return
  fi
  check psk cargo test --locked --features psk --test tls_psk
  if cargo clippy --version >/dev/null 2>&1; then
    # The code that the feature adds, and the tests that know of it.
    check psk cargo clippy --locked --lib --test tls_psk --test tls --test tls_secrets --features psk -- -D warnings
  fi
  # What these tests run, and what is installed.
  targets=(mgos_mqtt_cargo mgos_mqtt_pub mgos_mqtt_sub mgos_mqtt_rr mgos_mqtt_doctor mgos_mqtt_man test_version_shared test_version_static example_tls_psk)
  tests psk psk --tests-regex 'psk|^c\.version|^package\.(native_libs|openssl|pkg_config|wholly_static)$'
  targets=()
}

# Configures a preset and builds it, or only the targets in the array of that name.
targets=()
make_preset() { # make_preset PRESET
  cmake --preset "$1" -DMGOS_MQTT_CARGO_TARGET_DIR="$cargo_dir" &&
    cmake --build --preset "$1" --parallel "$jobs" ${targets[@]+--target "${targets[@]}"}
}

# The release build begins at once, beside the first stages, which have a directory of Cargo's to themselves: neither
# keeps two processors busy alone, and its link, which optimises the whole library as one, takes one for a long time.
ahead=
build_ahead() {
  set -m # a process group of its own, so that all of it can be ended
  make_preset release >"$logs/release.log" 2>&1 &
  ahead=$!
  set +m
  trap 'kill -- -"$ahead" 2>/dev/null' EXIT
  trap 'exit 130' INT TERM HUP
}

# Once for each preset.
built=" "
build() { # build STAGE PRESET
  local status=0
  case $built in *" $2 "*) return 0 ;; esac
  if [ "$2" = release ] && [ -n "$ahead" ]; then
    echo "== $1: the release build that began with the first stage"
    wait "$ahead" || status=$?
    ahead=
    trap - EXIT
    tee -a "$logs/$1.log" <"$logs/release.log"
    if [ $status -ne 0 ]; then return $status; fi
  else
    run "$1" make_preset "$2" || return
  fi
  built="$built$2 "
}

tests() { # tests STAGE PRESET CTEST-ARGUMENT...
  local stage=$1 preset=$2 junit=$PWD/$logs/$1.xml status=0 sums
  shift 2
  rm -f "$junit"
  if ! build "$stage" "$preset"; then
    count "$stage" 0 1 0
    return
  fi
  run "$stage" ctest --preset "$preset" --parallel "$at_once" --output-junit "$junit" "$@" || status=$?
  sums=$(awk -F'"' '/^[ \t]*(<testsuite|tests=|failures=|disabled=|skipped=)/ { for (i = 1; i < NF; i += 2) {
      key = $i; sub(/.*[ \t]/, "", key); value[key] = $(i + 1) } }
    /<testcase/ { exit }
    END { print value["tests="] - value["failures="] - value["disabled="] - value["skipped="], value["failures="] + 0, value["skipped="] + value["disabled="] }' \
    "$junit" 2>/dev/null)
  # shellcheck disable=SC2086
  set -- ${sums:-0 0 0}
  if [ $status -ne 0 ] && [ "$2" -eq 0 ]; then set -- "$1" 1 "$3"; fi
  count "$stage" "$@"
}

stage_c() { tests c release --label-exclude 'valgrind|package'; }
stage_asan() { tests asan asan --label-exclude 'header|abi|package'; }
stage_valgrind() {
  # Here they compute most of the time.
  if command -v valgrind >/dev/null; then at_once=$jobs tests valgrind release --label-regex valgrind; else skip valgrind "valgrind is not installed"; fi
}
# Needs a nightly toolchain with the sources of the standard library; ends with 77 where there is none.
stage_tsan() {
  local status=0
  run tsan scripts/tsan.sh || status=$?
  case $status in
    0) count tsan 1 0 0 ;;
    77) count tsan 0 0 1 ;;
    *) count tsan 0 1 0 ;;
  esac
}

# What errors and logs of all stages before it said; the tests write it there.
texts=$PWD/$logs/texts
stage_secrets() {
  if [[ " $stages " = *" rust "* ]] && ! find "$texts" -type f -size +20k 2>/dev/null | grep -q .; then
    echo "the tests have left no texts in $texts" | tee -a "$logs/secrets.log"
    count secrets 0 1 0
    return
  fi
  check secrets scripts/find_secrets.sh "$logs"
}
stage_package() { tests package release --label-regex package; }

all=(fmt clippy deny psk rust miri c asan valgrind secrets)
[ $# -gt 0 ] || set -- "${all[@]}"
all+=(features package tsan)
for stage in "$@"; do
  case " ${all[*]} " in
    *" $stage "*) ;;
    *)
      echo "no stage '$stage'; there are: ${all[*]}" >&2
      exit 2
      ;;
  esac
done

stages=$*
rm -rf "$texts"
mkdir -p "$texts"
export MGOS_MQTT_TEST_TEXTS=$texts

# Sets $busy: the seconds of processor time that the commands of this shell took so far.
look_at_times() {
  times >"$logs/times" # in a subshell or a pipe it would be the times of that
  busy=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); sum += 60 * t[1] + t[2] } printf "%d", sum }' "$logs/times")
}

case " $* " in *" c "* | *" valgrind "* | *" package "*) if [ $# -gt 1 ]; then build_ahead; fi ;; esac
spent=""
for stage in "$@"; do
  : >"$logs/$stage.log"
  look_at_times
  start=$SECONDS used=$busy
  "stage_$stage"
  look_at_times
  spent="$spent $stage $((SECONDS - start)) s ($((busy - used))),"
done

echo
echo "stages, with the processor time in brackets:${spent%,}"
echo "all: $SECONDS s ($busy) on $jobs processors"
if [ ${#failures[@]} -gt 0 ]; then echo "failed stages: ${failures[*]} (all output: $logs/)"; fi
if [ $skipped -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
