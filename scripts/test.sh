#!/usr/bin/env bash
# All tests that need no server but those they start themselves, cheap stages first:
#
#   scripts/test.sh            everything
#   scripts/test.sh rust c     these stages only
#
# Stages: fmt, clippy, deny (licences, sources and known holes of the dependencies), features (builds without TLS, and
# without the C face), psk (with pre-shared keys by OpenSSL),
# rust, c (release build: C tests, headers, examples, ABI), asan, valgrind, tsan, package. A stage that fails does not keep the next from running.
# The last line counts them all.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
# One generator per machine; a build directory that exists keeps the one it has.
if [ -z "${CMAKE_GENERATOR-}" ] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
# All builds share Cargo's directory with the one the caller uses.
cargo_dir=${CARGO_TARGET_DIR:-$PWD/target}
jobs=$(nproc 2>/dev/null || echo 2)
logs=build/log
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
  if cargo fmt --version >/dev/null 2>&1; then check fmt cargo fmt --check; else skip fmt "rustfmt is not installed"; fi
}

stage_clippy() {
  if cargo clippy --version >/dev/null 2>&1; then
    check clippy cargo clippy --locked --all-targets -- -D warnings
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

stage_features() {
  check features cargo check --locked --no-default-features
  check features cargo test --locked --no-default-features --features capi --test no_tls
}

# What the feature psk adds; everything else is the same with it.
stage_psk() {
  if ! pkg-config --exists openssl 2>/dev/null; then
    skip psk "OpenSSL's headers are not installed"
    return
  fi
  check psk cargo check --locked --no-default-features --features psk
  check psk cargo test --locked --features psk --test tls_psk
  if cargo clippy --version >/dev/null 2>&1; then
    check psk cargo clippy --locked --all-targets --features psk -- -D warnings
  fi
  tests psk psk --tests-regex 'psk|^c\.version|^package\.(native_libs|openssl|pkg_config)$'
}

# Configures and builds a preset, once.
built=" "
build() { # build STAGE PRESET
  case $built in *" $2 "*) return 0 ;; esac
  run "$1" cmake --preset "$2" -DMGOS_MQTT_CARGO_TARGET_DIR="$cargo_dir" &&
    run "$1" cmake --build --preset "$2" --parallel "$jobs" && built="$built$2 "
}

tests() { # tests STAGE PRESET CTEST-ARGUMENT...
  local stage=$1 preset=$2 junit=$PWD/$logs/$1.xml status=0 sums
  shift 2
  rm -f "$junit"
  if ! build "$stage" "$preset"; then
    count "$stage" 0 1 0
    return
  fi
  run "$stage" ctest --preset "$preset" --parallel "$jobs" --output-junit "$junit" "$@" || status=$?
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
  if command -v valgrind >/dev/null; then tests valgrind release --label-regex valgrind; else skip valgrind "valgrind is not installed"; fi
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
stage_package() { tests package release --label-regex package; }

all=(fmt clippy deny features psk rust c asan valgrind tsan package)
[ $# -gt 0 ] || set -- "${all[@]}"
for stage in "$@"; do
  case " ${all[*]} " in
    *" $stage "*) ;;
    *)
      echo "no stage '$stage'; there are: ${all[*]}" >&2
      exit 2
      ;;
  esac
done

times=""
for stage in "$@"; do
  : >"$logs/$stage.log"
  start=$SECONDS
  "stage_$stage"
  times="$times $stage $((SECONDS - start)) s,"
done

echo
echo "stages:${times%,}"
if [ ${#failures[@]} -gt 0 ]; then echo "failed stages: ${failures[*]} (all output: $logs/)"; fi
if [ $skipped -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
