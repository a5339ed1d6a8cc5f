#!/usr/bin/env bash
# Runs a command beside a mosquitto of its own, and ends with the command's status:
#
#   scripts/with_mosquitto.sh [-c 'line of mosquitto.conf']... command [argument...]
#
# The server listens on a free port of 127.0.0.1 and keeps everything in a directory that is removed
# with it. The word @SERVER@ in arguments becomes 127.0.0.1:<port>, @PORT@ its port, and @DIR@ the
# directory; the same are in $MQTT_SERVER, $MQTT_PORT and $MQTT_DIR. In lines @DIR@ is that, too, and
# @NEXT_PORT@ the port behind, for a second listener. Without `allow_anonymous` in a -c
# line everybody may connect. The server is ended by its process id when the command ended, when this
# script is told to end, and on Linux also when it is killed (only the directory is then left).
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # where Debian puts mosquitto

dir=$(mktemp -d "${TMPDIR:-/tmp}/mosquitto.XXXXXX")
broker="" reader="" command=""
# shellcheck disable=SC2317 # called by the trap
cleanup() {
  local pid
  for pid in $command $broker $reader; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

conf=()
while getopts c: option; do
  case $option in
    c) conf+=("${OPTARG//@DIR@/$dir}") ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { echo "with_mosquitto: no command" >&2; exit 2; }
command -v mosquitto >/dev/null || { echo "with_mosquitto: mosquitto is not installed (scripts/setup.sh demo)" >&2; exit 77; }
case "${conf[*]-}" in *allow_anonymous*) ;; *) conf+=("allow_anonymous true") ;; esac

# Dies with this script, however that ends.
guard=()
if command -v setpriv >/dev/null && setpriv --pdeathsig TERM true 2>/dev/null; then guard=(setpriv --pdeathsig TERM); fi

# Starts mosquitto on a port that nobody else uses: if somebody does, it says so and another is tried.
mkfifo "$dir/said"
for try in 1 2 3 4 5 6 7 8 9 10; do
  port=$((20000 + RANDOM % 12000)) # below the ports that systems hand out themselves
  printf '%s\n' "listener $port 127.0.0.1" "log_dest stderr" "persistence false" \
    ${conf[@]+"${conf[@]//@NEXT_PORT@/$((port + 1))}"} >"$dir/mosquitto.conf"
  if [ "$(id -u)" = 0 ]; then echo "user root" >>"$dir/mosquitto.conf"; fi
  ${guard[@]+"${guard[@]}"} mosquitto -c "$dir/mosquitto.conf" >"$dir/said" 2>&1 </dev/null &
  broker=$!
  exec 3<"$dir/said"
  up=""
  while read -r -t 10 line <&3; do
    echo "$line" >>"$dir/log"
    case $line in *" running") up=yes; break ;; esac
  done
  [ -z "$up" ] || break
  kill "$broker" 2>/dev/null || true
  wait "$broker" 2>/dev/null || true
  broker=""
  exec 3<&-
  if [ "$try" = 10 ] || ! grep -q "Address already in use" "$dir/log"; then
    echo "with_mosquitto: mosquitto does not start:" >&2
    cat "$dir/log" >&2
    exit 1
  fi
done
cat <&3 >>"$dir/log" & # what it says from now on
reader=$!
exec 3<&-

export MQTT_SERVER=127.0.0.1:$port MQTT_PORT=$port MQTT_DIR=$dir
args=()
for word in "$@"; do
  word=${word//@SERVER@/$MQTT_SERVER}
  word=${word//@PORT@/$port}
  args+=("${word//@DIR@/$dir}")
done
# In the background, so that a signal to this script is not kept waiting by the command.
"${args[@]}" <&0 &
command=$!
status=0
wait "$command" || status=$?
command=""
exit $status
