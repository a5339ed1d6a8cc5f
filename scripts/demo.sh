#!/usr/bin/env bash
# Shows the library at work beside a mosquitto of its own:  scripts/demo.sh <directory of the build>
set -euo pipefail
build=${1:?}
if [ -z "${MQTT_SERVER-}" ]; then
  exec "$(dirname "$0")/with_mosquitto.sh" "$0" "$build" </dev/null
fi

heading() {
  echo
  echo "== $*"
}
# Runs an example, whose output is indented.
example() {
  echo "\$ $1 $MQTT_SERVER"
  "$build/c_examples/$1" "$MQTT_SERVER" 2>&1 | sed 's/^/  /'
}

echo "A mosquitto listens on $MQTT_SERVER; $("$build/c_programs/mgos_mqtt_pub" --version) is built in $build."

heading "Publish and subscribe"
example publish
example subscribe

heading "The same from the command line"
echo "\$ mgos_mqtt_pub -t demo/greeting -q 1 -r -m 'hello' && mgos_mqtt_sub -t 'demo/#' -C 1 -v"
"$build/c_programs/mgos_mqtt_pub" -h 127.0.0.1 -p "$MQTT_PORT" -t demo/greeting -q 1 -r -m 'hello'
"$build/c_programs/mgos_mqtt_sub" -h 127.0.0.1 -p "$MQTT_PORT" -t 'demo/#' -C 1 -v -W 10 | sed 's/^/  /'

heading "JSON telemetry from a format string"
example json_telemetry

heading "A device says good-bye, comes back, and vanishes: then the server publishes its will"
example will_and_state

heading "Nothing listens at the main server: the backup takes over"
example backup_server

heading "A whole device: configuration, state, telemetry, commands, a reconnect"
example firmware_main

echo
echo "demo: it works"
