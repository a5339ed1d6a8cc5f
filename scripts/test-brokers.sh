#!/usr/bin/env bash
# The tests with other brokers, and the tests of loss:
#
#   scripts/test-brokers.sh                   all of them
#   scripts/test-brokers.sh rabbitmq chaos    these only
#
# mosquitto, ejabberd, rabbitmq: the same test with each, with -5 in MQTT 5.0, where rumqttd sends topic aliases; with -ws
# over WebSocket, mosquitto also over a local socket (-unix), a secure WebSocket (-wss), behind the npm package ws (-npmws), over
# a transport of C functions (-transport), through proxies (-tinyproxy, -squid, -microsocks, -dante), and over several of these.
# chaos: a proxy cuts the link to a living mosquitto at random, for CHAOS_SECONDS. kill: mosquitto is killed each second, for
# KILL_SECONDS. chaos-tls and kill-tls: the same over TLS, for half as long. slow: a megabyte through an uplink of five kilobytes
# a second; burst: twenty thousand messages for a handler that takes five milliseconds; both beside the others. Every broker is
# started privately, on a free port of the loopback interface, and ended. The last line counts everything.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
if [ -z "${CMAKE_GENERATOR-}" ] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
PATH=$PATH:/usr/sbin:/sbin # where Debian puts servers, and a user's PATH does not look
: "${PRESET:=release}" "${CHAOS_SECONDS:=60}" "${KILL_SECONDS:=60}"
programs=build/$PRESET/tests/brokers
logs=build/log
mkdir -p "$logs"

all=(mosquitto mosquitto-5 mosquitto-ws mosquitto-npmws mosquitto-wss-tinyproxy mosquitto-unix mosquitto-transport mosquitto-transport-wss
  mosquitto-tinyproxy mosquitto-squid mosquitto-microsocks mosquitto-dante ejabberd ejabberd-5 rabbitmq rumqttd-5 chaos chaos-tls kill kill-tls
  burst slow)
# On request only. With rabbitmq-ws the will comes even after DISCONNECT, and it is not known yet whose fault that is.
others=(mosquitto-wss ejabberd-ws rabbitmq-ws)
[ $# -gt 0 ] || set -- "${all[@]}"
for part in "$@"; do
  case " ${all[*]} ${others[*]} " in
    *" $part "*) ;;
    *)
      echo "no part '$part'; there are: ${all[*]} ${others[*]}" >&2
      exit 2
      ;;
  esac
done

build() {
  cmake --preset "$PRESET" -DMGOS_MQTT_CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" &&
    cmake --build --preset "$PRESET" --parallel "$(nproc 2>/dev/null || echo 2)" --target broker_tests
}
echo "== building"
if ! build >"$logs/brokers-build.log" 2>&1; then
  tail -n 30 "$logs/brokers-build.log"
  echo "0 passed, 1 failed"
  exit 1
fi

# They take minutes, and next to nothing of the processors.
declare -A beside=()
for part in burst slow; do
  if [[ " $* " == *" $part "* ]]; then
    timeout 700 "$programs/$part" >"$logs/brokers-$part-run.log" 2>&1 &
    beside[$part]=$!
  fi
done

# rumqttd comes in a Python package, with an environment of its own below build/.
rumqttd_python=$PWD/build/rumqttd/bin/python
has_rumqttd() {
  "$rumqttd_python" -c 'import iotcore' 2>/dev/null && return
  python3 -m venv build/rumqttd && build/rumqttd/bin/pip install --quiet --only-binary :all: iotcore==0.4.0
} >"$logs/brokers-rumqttd-setup.log" 2>&1

# So does the npm package ws, a server for WebSocket.
export NODE_PATH=$PWD/build/npm/node_modules
has_npm_ws() {
  node -e 'require("ws")' 2>/dev/null && return
  npm install --prefix build/npm --no-save --no-audit --no-fund ws@8.18.0
} >"$logs/brokers-npm-setup.log" 2>&1

passed=0 failed=0 failures=()
for part in "$@"; do
  echo "== $part"
  if [ "$part" = rumqttd-5 ] && ! has_rumqttd; then
    echo "skipped: the package iotcore cannot be had ($logs/brokers-rumqttd-setup.log)"
    continue
  fi
  if [ "$part" = mosquitto-npmws ] && ! has_npm_ws; then
    echo "skipped: the npm package ws cannot be had ($logs/brokers-npm-setup.log)"
    continue
  fi
  # The limit is for what hangs; each part ends long before.
  case $part in
    chaos) command=(timeout $((CHAOS_SECONDS + 240)) env DURATION="$CHAOS_SECONDS" "$programs/chaos") ;;
    kill) command=(timeout $((KILL_SECONDS + 240)) env DURATION="$KILL_SECONDS" "$programs/kill") ;;
    chaos-tls)
      seconds=$((CHAOS_SECONDS / 2))
      command=(timeout $((seconds + 240)) scripts/with_certificates.sh env CERTS=@CERTS@ DURATION="$seconds" "$programs/chaos")
      ;;
    kill-tls)
      seconds=$((KILL_SECONDS / 2))
      command=(timeout $((seconds + 240)) scripts/with_certificates.sh env CERTS=@CERTS@ DURATION="$seconds" "$programs/kill")
      ;;
    burst | slow)
      ended=0
      wait "${beside[$part]}" || ended=$?
      command=(sh -c 'cat "$1"; exit "$2"' sh "$logs/brokers-$part-run.log" "$ended")
      ;;
    rumqttd-5)
      command=(env RUMQTTD_PYTHON="$rumqttd_python" tests/brokers/with_broker.sh "$part" "$programs/free_port" timeout 600
        sh -c '"$0" "$@" payloads aliases' "$programs/broker_test" "$part")
      ;;
    *-wss*) command=(scripts/with_certificates.sh env CERTS=@CERTS@ tests/brokers/with_broker.sh "$part" "$programs/free_port" timeout 600
      "$programs/broker_test" "$part") ;;
    *) command=(tests/brokers/with_broker.sh "$part" "$programs/free_port" timeout 600 "$programs/broker_test" "$part") ;;
  esac
  status=0
  "${command[@]}" 2>&1 | tee "$logs/brokers-$part.log" || status=$?
  sums=$(sed -n "s/^${part%-tls}: \([0-9]*\) passed, \([0-9]*\) failed\$/\1 \2/p" "$logs/brokers-$part.log" | tail -n 1)
  # A part that ends without its last line, or with an error that it did not count, has failed.
  read -r p f <<<"${sums:-0 0}"
  if [ $status -ne 0 ] && [ "$f" -eq 0 ] || [ $((p + f)) -eq 0 ]; then f=$((f + 1)); fi
  passed=$((passed + p)) failed=$((failed + f))
  if [ "$f" -gt 0 ]; then failures+=("$part"); fi
done

echo
if [ ${#failures[@]} -gt 0 ]; then echo "failed: ${failures[*]} (all output: $logs/brokers-*.log)"; fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
