#!/usr/bin/env bash
# The C tests of threads under ThreadSanitizer, library and standard library included:
#
#   scripts/tsan.sh            all of them
#   scripts/tsan.sh free many  these only: tests/c/test_<name>.c
#
# Needs a nightly Rust with its source (rustup component add rust-src --toolchain nightly), because the
# standard library has to be instrumented as well, and Linux on x86-64 or AArch64. Where it cannot be had it prints
# SKIPPED and ends with 77. The runtime is that of Rust; the C code is only compiled for it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

skip() {
  echo "tsan: SKIPPED: $*"
  exit 77
}

fail() {
  echo "tsan: $*" >&2
  exit 1
}

: "${CC:=cc}"
[ $# -gt 0 ] || set -- threads free foreign_loop many bad_network process waits
cargo +nightly --version >/dev/null 2>&1 || skip "there is no nightly Rust"
sysroot=$(rustc +nightly --print sysroot)
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
[ -d "$sysroot/lib/rustlib/src/rust/library" ] || skip "nightly has no rust-src"
runtime=$sysroot/lib/rustlib/$host/lib/librustc-nightly_rt.tsan.a
[ -f "$runtime" ] || skip "nightly has no ThreadSanitizer for $host"
pkg-config --exists cmocka || skip "cmocka is missing"

target=${CARGO_TARGET_DIR:-$PWD/target}/tsan
out=build/tsan
mkdir -p "$out"
# The sources of the standard library's dependencies may have to be fetched first.
if ! env RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR="$target" "CC_${host//-/_}=$CC" \
  cargo +nightly rustc --quiet --package mgos-mqtt --lib --crate-type staticlib -Zbuild-std --target "$host" >"$out/build.log" 2>&1; then
  if grep -qiE 'failed to (download|fetch|get|query)|could not connect|offline' "$out/build.log"; then
    skip "the dependencies of the standard library cannot be fetched"
  fi
  cat "$out/build.log" >&2
  fail "the library does not build"
fi
library=$target/$host/debug/libmgos_mqtt.a

# build PROGRAM OBJECT... : Rust's runtime takes the place of the C compiler's.
# shellcheck disable=SC2046 # flags
build() {
  local program=$1
  shift
  "$CC" -o "$program" "$@" "$library" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
    $(pkg-config --libs cmocka) -lpthread -ldl -lm -lrt -lgcc_s -rdynamic
}

# shellcheck disable=SC2046
compile() {
  "$CC" -std=gnu11 -g -O1 -fsanitize=thread -DTHREAD_SANITIZER -D_GNU_SOURCE -Iinclude $(pkg-config --cflags cmocka) -c "$1" -o "$2"
}

# First a program with a data race: a sanitizer that finds nothing there finds nothing anywhere.
cat >"$out/race.c" <<'EOF'
#include <pthread.h>
#include <stddef.h>
static int shared;
static void *add(void *ud) {
  for (int i = 0; i < 1000; i++) shared++;
  return ud;
}
int main(void) {
  pthread_t a, b;
  pthread_create(&a, NULL, add, NULL);
  pthread_create(&b, NULL, add, NULL);
  pthread_join(a, NULL);
  pthread_join(b, NULL);
  return 0;
}
EOF
compile "$out/race.c" "$out/race.o" && build "$out/race" "$out/race.o" || fail "cannot build for ThreadSanitizer"
"$out/race" >"$out/race.log" 2>&1
grep -q 'WARNING: ThreadSanitizer: data race' "$out/race.log" || skip "ThreadSanitizer does not work here: $(head -c 200 "$out/race.log")"

shared=()
for part in net broker client names drive; do
  compile "tests/c/$part.c" "$out/$part.o" || fail "tests/c/$part.c does not compile"
  shared+=("$out/$part.o")
done
failed=()
for test in "$@"; do
  compile "tests/c/test_$test.c" "$out/test_$test.o" && build "$out/test_$test" "$out/test_$test.o" "${shared[@]}" ||
    fail "tests/c/test_$test.c does not build"
  # die_after_fork: the tests fork while other threads run.
  MGOS_MQTT_TEST_SLOW=1 TSAN_OPTIONS="die_after_fork=0 exitcode=66 ${TSAN_OPTIONS-}" \
    timeout 900 "$out/test_$test" >"$out/$test.log" 2>&1
  status=$?
  if [ $status -eq 0 ]; then
    echo "tsan: $test passed"
  else
    failed+=("$test")
    echo "tsan: $test failed ($status), $(grep -c 'WARNING: ThreadSanitizer' "$out/$test.log") reports: $out/$test.log"
  fi
done
[ ${#failed[@]} -eq 0 ]
