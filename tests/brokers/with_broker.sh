#!/usr/bin/env bash
# Starts a broker of our own, runs a command with its port appended, and ends the broker:
#
#   with_broker.sh mosquitto|ejabberd|rabbitmq FREE_PORT COMMAND...
#
# FREE_PORT is a program that prints free ports (free_port.c). Everything is bound to the loopback interface and
# keeps its files in a directory of its own, which is removed at the end. Runs as any user.
set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin
name=$1 free_port=$2
shift 2
dir=$(mktemp -d "${TMPDIR:-/tmp}/mgos-broker-XXXXXX") || exit 1
pids=()

fail() {
  echo "with_broker: $name: $*" >&2
  for log in "$dir"/*.log; do
    if [ -s "$log" ]; then
      echo "--- $(basename "$log"), its end" >&2
      tail -n 20 "$log" >&2
    fi
  done
  exit 1
}

# Ends what was started, last first, each by its number.
end() {
  local i pid
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    pid=${pids[i]}
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  pids=()
  rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

# start LOG COMMAND...: in the background
start() {
  local log=$1
  shift
  "$@" </dev/null >"$dir/$log" 2>&1 &
  pids+=($!)
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# await SECONDS COMMAND...: until it succeeds; fails when the process started last has ended.
await() {
  local tries=$(($1 * 20))
  shift
  while ! "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] && kill -0 "${pids[-1]}" 2>/dev/null || return 1
    sleep 0.05
  done
}

start_mosquitto() {
  {
    echo "listener $port 127.0.0.1"
    echo "allow_anonymous true"
    echo "max_queued_messages 0"
    # Started by root it would become another user.
    if [ "$(id -u)" = 0 ]; then echo "user root"; fi
  } >"$dir/mosquitto.conf"
  start mosquitto.log mosquitto -c "$dir/mosquitto.conf"
  await 10 listening "$port"
}

# Not by ejabberdctl: that becomes another user, and needs a node name and epmd, which nobody needs here.
start_ejabberd() {
  local app libs
  cat >"$dir/ejabberd.yml" <<YML
hosts: [localhost]
loglevel: warning
auth_method: [internal]
listen:
  - {port: $port, ip: "127.0.0.1", module: mod_mqtt}
modules:
  mod_mqtt: {}
YML
  app=$(find /usr/lib /usr/local/lib -path '*/ejabberd-*/ebin/ejabberd.app' -print -quit 2>/dev/null)
  [ -n "$app" ] || return 1
  libs=$(dirname "$(dirname "$(dirname "$app")")")
  start ejabberd.out.log env HOME="$dir" ERL_LIBS="$libs" EJABBERD_CONFIG_PATH="$dir/ejabberd.yml" \
    EJABBERD_LOG_PATH="$dir/ejabberd.log" ERL_CRASH_DUMP=/dev/null \
    erl -noinput -mnesia dir "\"$dir/db\"" -s ejabberd \
    -eval "ok = ejabberd_auth:try_register(<<\"u\">>, <<\"localhost\">>, <<\"p\">>), ok = file:write_file(\"$dir/ready\", [])."
  await 90 test -e "$dir/ready" && await 10 listening "$port"
}

# Not by the one in /usr/sbin, which becomes another user. Its node needs epmd: one of its own.
start_rabbitmq() {
  local epmd_port=$port2 dist_port=$port3
  printf '[rabbitmq_mqtt].\n' >"$dir/enabled_plugins"
  cat >"$dir/rabbitmq.conf" <<CONF
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:$port
mqtt.allow_anonymous = true
mqtt.default_user = guest
mqtt.default_pass = guest
CONF
  start epmd.log epmd -port "$epmd_port" -address 127.0.0.1
  await 10 listening "$epmd_port" || return 1
  start rabbitmq.out.log env HOME="$dir" ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME="mq$port@localhost" RABBITMQ_DIST_PORT="$dist_port" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" \
    RABBITMQ_MNESIA_BASE="$dir/mnesia" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_LOGS=- RABBITMQ_PID_FILE="$dir/pid" \
    RABBITMQ_CONF_ENV_FILE=/dev/null /usr/lib/rabbitmq/bin/rabbitmq-server
  await 90 listening "$port"
}

case $name in
  mosquitto | ejabberd | rabbitmq) ;;
  *) fail "not known" ;;
esac
started=no
# Somebody else may take a port that was free a moment ago.
for _ in 1 2 3; do
  read -r port port2 port3 < <("$free_port" 3) || fail "no free ports"
  began=$SECONDS
  if "start_$name"; then
    started=yes
    break
  fi
  [ ${#pids[@]} -gt 0 ] || break
  kill "${pids[@]}" 2>/dev/null
  wait "${pids[@]}" 2>/dev/null
  pids=()
  rm -rf "$dir/db" "$dir/mnesia"
done
[ $started = yes ] || fail "does not start; is it installed?"
echo "$name listens at 127.0.0.1:$port after $((SECONDS - began)) s"
"$@" "$port"
status=$?
if [ $status -ne 0 ] && [ -n "${VERBOSE-}" ]; then tail -n 50 "$dir"/*.log >&2; fi
exit $status
