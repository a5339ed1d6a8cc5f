#!/usr/bin/env bash
# Builds the library as it is installed, with and without TLS, and the drivers:
#
#   benches/build.sh <directory> [peers | psk]
#
# "peers" builds the drivers of the other libraries, too; "psk" the library with pre-shared keys, for its size only.
# Cargo's directory is CARGO_TARGET_DIR, or target/ as always, with one inside for each other set of features: in the
# same one, each would be linked anew after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/${1:?}
cargo_dir=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$out"

library() { # library NAME CMAKE-OPTION...
  local name=$1
  shift
  cmake --preset release -B "$out/$name" -DMGOS_MQTT_BUILD_TESTS=OFF -DMGOS_MQTT_BUILD_EXAMPLES=OFF \
    -DMGOS_MQTT_BUILD_PROGRAMS=OFF -DMGOS_MQTT_MONGOOSE_OS=OFF -DCMAKE_INSTALL_LIBDIR=lib "$@" >/dev/null
  cmake --build "$out/$name"
  cmake --install "$out/$name" --prefix "$out/$name/installed" >/dev/null
}
driver() { # driver NAME LINK-FLAG...
  local name=$1
  shift
  "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Werror -I"$out/tls/installed/include" "benches/drivers/$name.c" \
    benches/drivers/bench.c -o "$out/$name" "$@"
}

library plain -DMGOS_MQTT_TLS=OFF -DMGOS_MQTT_CARGO_TARGET_DIR="$cargo_dir/plain"
if [ "${2-}" = psk ]; then library psk -DMGOS_MQTT_PSK=ON -DMGOS_MQTT_CARGO_TARGET_DIR="$cargo_dir/psk"; fi
library tls -DMGOS_MQTT_CARGO_TARGET_DIR="$cargo_dir"
"${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Werror benches/sink.c -o "$out/sink" -lssl -lcrypto
"${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Werror -fno-builtin -shared -fPIC benches/count_allocations.c \
  -o "$out/count_allocations.so"
"${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Werror -shared -fPIC benches/slow_clock.c -o "$out/slow_clock.so"
driver mgos_mqtt -L"$out/tls/installed/lib" -lmgos_mqtt -Wl,-rpath,"$out/tls/installed/lib"
if [ "${2-}" = peers ]; then
  driver raw -lssl -lcrypto
  driver mosquitto -lmosquitto -lpthread
  driver paho -lpaho-mqtt3as -lpthread
  cargo build --release --locked --manifest-path benches/drivers/rumqttc/Cargo.toml --target-dir "$out/rumqttc-target"
  cp "$out/rumqttc-target/release/bench-rumqttc" "$out/rumqttc"
fi
