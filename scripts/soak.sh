#!/usr/bin/env bash
# A mixed load through faults, for as long as SOAK_SECONDS says (an hour), and what the process needed meanwhile:
#
#   scripts/soak.sh            writes build/soak/soak.csv (a line a second), soak.svg (the same as curves), soak.log
#
# The broker is a mosquitto of its own, on free ports of the loopback interface. SEED repeats what chance did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
if [ -z "${CMAKE_GENERATOR-}" ] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
: "${PRESET:=release}" "${SOAK_SECONDS:=3600}"
export SOAK_SECONDS
programs=build/$PRESET/tests/brokers
out=build/soak
mkdir -p "$out"

echo "== building"
if ! { cmake --preset "$PRESET" -DMGOS_MQTT_CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" &&
  cmake --build --preset "$PRESET" --parallel "$(nproc 2>/dev/null || echo 2)" --target broker_tests; } >"$out/build.log" 2>&1; then
  tail -n 30 "$out/build.log"
  exit 1
fi

versions() {
  echo "  libmgos_mqtt $(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1), revision $(git rev-parse --short HEAD 2>/dev/null || echo unknown), preset $PRESET"
  echo "  $(rustc --version)"
  echo "  $(PATH=$PATH:/usr/sbin mosquitto -h | head -n 1)"
  echo "  $(uname -sr), $(getconf GNU_LIBC_VERSION 2>/dev/null), $(nproc) processors"
}
# The limit is for what hangs.
{
  versions
  timeout $((SOAK_SECONDS + 600)) scripts/with_certificates.sh env CERTS=@CERTS@ \
    "$programs/soak" "$programs/soak_load" "$out/soak.csv"
} 2>&1 | tee "$out/soak.log"
status=${PIPESTATUS[0]}
if [ -s "$out/soak.csv" ]; then awk -f scripts/soak-plot.awk "$out/soak.csv" >"$out/soak.svg" && echo "$out/soak.csv, $out/soak.svg"; fi
exit "$status"
