#!/usr/bin/env bash
# Runs an application against a mosquitto of its own, and compares all messages with those that its first comment states:
#
#   run_app.sh <source> <program>
#
# The lines after "Scenario:" are done one after the other:
#
#   > TOPIC MESSAGE   publishes a message
#   < TOPIC MESSAGE   waits for a message of the application
#   ready TOPIC       waits until the application is subscribed to the topic
#   restart           restarts mosquitto, which forgets everything; the application has to find back to it
#   again             ends the application by SIGTERM, which has to succeed, and starts it once more in the same directory
#   kill              kills the application, so that its will is published
#
# At the end the application is ended by SIGTERM, if it is not yet. Nobody may have published anything else. The observer is
# mosquitto_sub, in one process for each life of mosquitto; the application is stopped while it starts.
set -uo pipefail
source=${1:?} program=${2:?}
PATH=$PATH:/usr/sbin:/sbin
for needed in mosquitto mosquitto_sub mosquitto_pub; do
  command -v $needed >/dev/null || { echo "$needed is not installed"; exit 77; }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/mongoose_os.XXXXXX")
broker="" observer="" app=""
cleanup() {
  local pid
  exec 2>/dev/null # the shell's words about what is killed here
  for pid in $app $observer $broker; do
    kill -CONT "$pid" 2>/dev/null
    kill -KILL "$pid" 2>/dev/null
  done
  wait 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 143' INT TERM HUP

fail() {
  echo "FAILED: $*"
  echo "-- messages:" && cat "$dir/seen"
  echo "-- application:" && tail -n 40 "$dir/app.log"
  echo "-- mosquitto:" && tail -n 15 "$dir/broker.log"
  exit 1
}

# within 30 s CONDITION...: waits until a command succeeds.
within() {
  local end=$((SECONDS + $1))
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
}

publish() { mosquitto_pub -h 127.0.0.1 -p "$port" -q 1 -t "$1" -m "$2"; }
seen_probe() {
  publish run_app/probe "$1" 2>/dev/null && grep -qxF "run_app/probe $1" "$dir/all"
}
# All that was seen, but for the probes.
seen() {
  grep -v '^run_app/probe ' "$dir/all" >"$dir/seen"
  return 0
}

lives=0
start_broker() {
  local try
  lives=$((lives + 1))
  for try in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "${port-}" ] && [ $lives -gt 1 ] || port=$((20000 + RANDOM % 12000))
    printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "persistence false" "log_type all" "log_dest file $dir/broker.log" \
      "${BROKER_LINE:-}" >"$dir/mosquitto.conf"
    if [ "$(id -u)" = 0 ]; then echo "user root" >>"$dir/mosquitto.conf"; fi
    : >"$dir/broker.log"
    mosquitto -c "$dir/mosquitto.conf" >/dev/null 2>&1 &
    broker=$!
    if within 10 s grep -qsE ' running$|Error' "$dir/broker.log" && grep -q ' running$' "$dir/broker.log"; then break; fi
    kill "$broker" 2>/dev/null
    wait "$broker" 2>/dev/null
    [ "$try" != 10 ] || fail "mosquitto does not start"
    [ $lives = 1 ] || sleep 1 # the port has to be the same, and somebody has it for the moment
  done
  mosquitto_sub -h 127.0.0.1 -p "$port" -q 1 -t '#' -F '%t %p' >>"$dir/all" 2>/dev/null &
  observer=$!
  within 30 s seen_probe "$lives" || fail "the observer does not see anything"
}

stop() { # stop PID SIGNAL
  kill "-$2" "$1"
  wait "$1"
} 2>/dev/null

start_app() {
  (cd "$dir" && exec "$program" files) >>"$dir/app.log" 2>&1 &
  app=$!
}
end_app() {
  local status=0
  [ -n "$app" ] || return 0
  stop "$app" TERM || status=$?
  app=""
  [ $status = 0 ] || fail "the application ended with status $status"
}

# The line of mosquitto's log that shows a subscription; the application is the one that does not subscribe to '#'.
subscribed() { grep -qE "^[0-9]+: .*$(printf '%s' "$1" | sed 's/[][\.*^$+?(){}|]/\\&/g') \(QoS" "$dir/broker.log"; }

: >"$dir/all" >"$dir/seen" >"$dir/app.log" >"$dir/broker.log"
mkdir "$dir/files"
start_broker
printf '{"mqtt": {"enable": true, "server": "127.0.0.1:%s", "reconnect_timeout_min": 0.1}, "debug": {"level": 3}}\n' "$port" >"$dir/files/conf5.json"
start_app

# The scenario, and what is to be seen by it.
awk '/Scenario:$/ { inside = 1; next } inside && /^ \*\// { exit } inside { sub(/^ \*   /, ""); print }' "$source" >"$dir/scenario"
[ -s "$dir/scenario" ] || fail "no scenario in $source"
expected=0
arrived() { seen; [ "$(wc -l <"$dir/seen")" -ge $expected ]; }
while IFS= read -r line <&3; do
  word=${line%% *} rest=${line#* }
  case $word in
    '>' | '<')
      topic=${rest%% *} message=${rest#* }
      expected=$((expected + 1))
      if [ "$word" = '>' ]; then publish "$topic" "$message" || fail "cannot publish: $line"; fi
      within 30 s arrived || fail "message $expected did not come: $line"
      got=$(sed -n "${expected}p" "$dir/seen")
      [ "$got" = "$rest" ] || fail "message $expected is not '$rest' but '$got'"
      ;;
    ready) within 30 s subscribed "$rest" || fail "not subscribed: $rest" ;;
    restart)
      kill -STOP "$app"
      stop "$observer" TERM
      stop "$broker" TERM
      start_broker
      kill -CONT "$app"
      ;;
    again)
      end_app
      : >"$dir/broker.log"
      start_app
      ;;
    kill)
      stop "$app" KILL
      app=""
      ;;
    *) fail "not a step of a scenario: $line" ;;
  esac
done 3<"$dir/scenario"
end_app
# What is still under way arrives before this.
within 30 s seen_probe last || fail "the observer is gone"
seen
[ "$(wc -l <"$dir/seen")" = $expected ] || fail "more messages than the $expected expected"
if grep -q ' ERROR\|AddressSanitizer\|runtime error' "$dir/app.log"; then fail "the application reports errors"; fi
echo "$expected messages, as stated"
