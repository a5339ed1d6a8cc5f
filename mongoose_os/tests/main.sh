#!/usr/bin/env bash
# Courses of mgos_main():  main.sh <part> <program>
set -uo pipefail
part=${1:?} program=${2:?}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mgos_main.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail() {
  echo "FAILED: $*"
  echo "-- standard output:" && cat out
  echo "-- standard error:" && tail -n 30 err
  exit 1
}

# run STATUS ARGUMENT...: runs the program and compares its status.
run() {
  local wanted=$1 status=0
  shift
  "$program" "$@" >out 2>err || status=$?
  [ $status = "$wanted" ] || fail "the status is $status, not $wanted"
}
# The same beside a mosquitto, whose log is kept.
run_online() {
  local wanted=$1 status=0
  "$here/../../scripts/with_mosquitto.sh" -c "log_type all" bash -c '
    printf "{\"mqtt\": {\"enable\": true, \"server\": \"%s\"}}" "$MQTT_SERVER" >conf5.json
    if [ -n "${DEBUG-}" ]; then printf "{\"debug\": %s}" "$DEBUG" >conf6.json; fi
    "$1" >out 2>err; status=$?
    for _ in $(seq 100); do if grep -q "auto-\|Received DISCONNECT\|disconnected" "$MQTT_DIR/log"; then break; fi; sleep 0.05; done
    cp "$MQTT_DIR/log" log
    exit $status' _ "$program" || status=$?
  [ $status != 77 ] || exit 77
  [ $status = "$wanted" ] || fail "the status is $status, not $wanted"
}
said() { # said LINE...: the whole output
  diff -u <(printf '%s\n' "$@") out || fail "the output is another"
}

case $part in
  course) # everything in its order, and an end by SIGTERM
    mkdir files
    echo '{"app": {"number": 8}}' >files/conf2.json
    DO=end run 0 files
    said mgos_app_init "number 8" INIT_DONE IP_ACQUIRED REBOOT || exit 1
    ;;
  usage)
    run 1 a b
    grep -q '^usage: ' err || fail "no usage"
    run 1 nothing
    grep -q 'nothing cannot be the directory of the application: No such file' err || fail "no reason"
    ;;
  refused)
    DO=fail run 1
    said mgos_app_init
    grep -q 'mgos_app_init() failed' err || fail "no reason"
    ;;
  exec) # restarts by execv(), with the connection closed in order; also inside a handler, where that is not possible
    for how in restart restart_in_handler; do
      DO=$how AGAIN=$work/again run_online 0
      grep -c '^mgos_app_init$' out | grep -qx 2 || fail "it did not start again ($how)"
      first=$(sed -n 's/.*New client connected from .* as \([^ ]*\) .*/\1/p' log | head -n 1)
      if [ $how = restart ]; then grep -q "Received DISCONNECT from $first" log || fail "no DISCONNECT: $(cat log)"; fi
      rm again
    done
    ;;
  exit) # restarts by a status
    EXIT_CODE=42 DO=restart run_online 42
    said mgos_app_init "number -5" INIT_DONE IP_ACQUIRED CONNACK "a line" REBOOT_AFTER REBOOT CLOSE
    grep -q "'course', ... (5 bytes)" log || fail "what was published last did not arrive"
    grep -q 'Received DISCONNECT from' log || fail "no DISCONNECT"
    # Where nobody says who the device is, it is named after the platform and its MAC address.
    grep -q ' as ubuntu_[0-9A-F]\{6\} ' log || fail "the client id is another: $(grep ' as ' log)"
    ;;
  damaged)
    echo '{"app": {"number": 8}, "debug": {"level": 3}}' >conf0.json
    echo '{"app": {"number": 9' >conf9.json
    DO=end run 0
    grep -qx 'number 8' out || fail "the settings below were not used"
    grep -q 'conf9.json: not JSON: it ends too early' err && [ -e conf9.json.damaged ] && [ ! -e conf9.json ] || fail "not set aside"
    ;;
  unreachable) # an application that waits for a server ends, too
    echo '{"mqtt": {"enable": true, "server": "127.0.0.1:1"}}' >conf5.json
    DO=end run 0
    ;;
  topics) # lines of the log and of standard output as messages; `?` are digits of the MAC address
    export EXIT_CODE=42 DO=restart
    DEBUG='{"stdout_topic": "dev_??/out", "stderr_topic": "dev_??/err"}' run_online 42
    grep -q "'dev_[0-9A-F][0-9A-F]/err'" log || fail "the log was not published"
    grep -q "'dev_[0-9A-F][0-9A-F]/out'" log || fail "standard output was not published"
    DEBUG='{"stdout_topic": "all"}' run_online 42
    grep -q "'all', ... " log || fail "the log was not published to the only topic"
    ! grep -q "/err'" log || fail "the old topic is still there"
    ;;
  *) exit 2 ;;
esac
