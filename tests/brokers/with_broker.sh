#!/usr/bin/env bash
# Starts a broker of our own, runs a command with its port appended, and ends the broker:
#
#   with_broker.sh mosquitto|ejabberd|rabbitmq|rumqttd[-WAY] FREE_PORT COMMAND...
#
# WAY: 5 (MQTT 5.0; mosquitto, ejabberd, and rumqttd, of which RUMQTTD_PYTHON has the package iotcore); ws; with mosquitto also
# unix, wss (with $CERTS, of scripts/with_certificates.sh), npmws (the npm package ws, found in $NODE_PATH, is the server of the
# WebSocket before it), transport (C functions move the bytes), through a proxy: tinyproxy, squid, microsocks, dante, and several
# of these: wss-tinyproxy, transport-wss. The device finds it in the environment
# (device_address() in device.c).
# FREE_PORT is a program that prints free ports (free_port.c). Everything is bound to the loopback interface and
# keeps its files in a directory of its own, which is removed at the end. Runs as any user.
set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin
name=${1%%-*} free_port=$2 way=""
case $1 in *-*) way=${1#*-} ;; esac
shift 2
dir=$(mktemp -d "${TMPDIR:-/tmp}/mgos-broker-XXXXXX") || exit 1
pids=()

# Whether the way has this part.
way_has() {
  case "-$way-" in *-"$1"-*) ;; *) return 1 ;; esac
}

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
    if way_has ws || way_has wss; then
      echo "listener $port3 127.0.0.1" # it does not start with WebSocket alone
      echo "listener $port"
      echo "protocol websockets"
      if way_has wss; then printf '%s\n' "certfile $CERTS/server.pem" "keyfile $CERTS/server.key"; fi
    else
      echo "listener $port 127.0.0.1"
    fi
    if way_has unix; then echo "listener 0 $dir/socket"; fi
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
  local listener="{port: $port, ip: \"127.0.0.1\", module: mod_mqtt}"
  if [ "$way" = ws ]; then
    listener="{port: $port, ip: \"127.0.0.1\", module: ejabberd_http, request_handlers: {/mqtt: mod_mqtt}}"
  fi
  cat >"$dir/ejabberd.yml" <<YML
hosts: [localhost]
loglevel: warning
auth_method: [internal]
listen:
  - $listener
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
  local listener="mqtt.listeners.tcp.1 = 127.0.0.1:$port"
  if [ "$way" = ws ]; then
    listener=$(printf '%s\n' "mqtt.listeners.tcp = none" "web_mqtt.tcp.ip = 127.0.0.1" "web_mqtt.tcp.port = $port")
  fi
  printf '[rabbitmq_mqtt,rabbitmq_web_mqtt].\n' >"$dir/enabled_plugins"
  cat >"$dir/rabbitmq.conf" <<CONF
listeners.tcp = none
$listener
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

# In a Python package. Its ports for MQTT 3.1.1 and 5.0 are different ones.
start_rumqttd() {
  cat >"$dir/rumqttd.toml" <<TOML
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:$port"
next_connection_delay_ms = 1
  [v5.1.connections]
  connection_timeout_ms = 60000
  max_payload_size = 2097152
  max_inflight_count = 100
TOML
  start rumqttd.log "${RUMQTTD_PYTHON:-python3}" -c \
    'import sys; from iotcore import Broker; Broker(config_path=sys.argv[1]).run_forever()' "$dir/rumqttd.toml"
  await 20 listening "$port"
}

# A proxy on port2, and how the device speaks to it.
start_proxy() {
  case $proxy in
    tinyproxy)
      printf '%s\n' "Port $port2" "Listen 127.0.0.1" "Allow 127.0.0.1" "Timeout 600" >"$dir/tinyproxy.conf"
      start tinyproxy.log tinyproxy -d -c "$dir/tinyproxy.conf"
      export DEVICE_PROXY=http://127.0.0.1:$port2
      ;;
    squid)
      printf '%s\n' "http_port 127.0.0.1:$port2" "http_access allow all" "cache deny all" "pid_filename $dir/squid.pid" \
        "cache_log $dir/squid-cache.log" "access_log none" "coredump_dir $dir" "shutdown_lifetime 0 seconds" >"$dir/squid.conf"
      if [ "$(id -u)" = 0 ]; then chmod 777 "$dir"; fi # it becomes another user
      start squid.log squid -N -f "$dir/squid.conf"
      export DEVICE_PROXY=http://127.0.0.1:$port2
      ;;
    microsocks)
      start microsocks.log microsocks -i 127.0.0.1 -p "$port2" -u me -P p@ss
      export DEVICE_PROXY=socks5://me:p%40ss@127.0.0.1:$port2
      ;;
    dante)
      printf '%s\n' "logoutput: stderr" "internal: 127.0.0.1 port = $port2" "external: lo" "socksmethod: none" "clientmethod: none" \
        "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }" "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }" >"$dir/dante.conf"
      start dante.log danted -f "$dir/dante.conf"
      export DEVICE_PROXY=socks5://127.0.0.1:$port2
      ;;
  esac
  await 10 listening "$port2"
}

case $name in
  mosquitto | ejabberd | rabbitmq | rumqttd) ;;
  *) fail "not known" ;;
esac
case $name-$way in
  *-) ;;
  mosquitto-5 | ejabberd-5 | rumqttd-5) export DEVICE_VERSION=5 ;;
  mosquitto-unix) export DEVICE_SOCKET=$dir/socket ;;
  rabbitmq-ws) export DEVICE_SCHEME=ws:// DEVICE_PATH=/ws ;;
  *-ws) export DEVICE_SCHEME=ws:// DEVICE_PATH=/mqtt ;;
  mosquitto-*) ;;
  *) fail "no way '$way' to it" ;;
esac
proxy=""
if [ "$name" = mosquitto ]; then
  for part in ${way//-/ }; do
    case $part in
      5 | ws | unix) ;;
      wss)
        [ -n "${CERTS-}" ] || fail "wss needs CERTS"
        export DEVICE_SCHEME=wss:// DEVICE_PATH=/mqtt DEVICE_CA=$CERTS/ca.pem
        ;;
      npmws) export DEVICE_SCHEME=ws:// DEVICE_PATH=/mqtt ;;
      transport) export DEVICE_TRANSPORT=1 ;;
      tinyproxy | squid | microsocks | dante) proxy=$part ;;
      *) fail "no way '$part' to it" ;;
    esac
  done
fi
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
if way_has unix; then export DEVICE_SOCKET_PORT=$port; fi
entrance=$port ws_server=""
if way_has npmws; then
  start ws_server.log node "$(dirname "$0")/ws_server.js" "$port3" "$port"
  ws_server=${pids[-1]} entrance=$port3
  await 20 listening "$entrance" || fail "ws_server.js does not start"
fi
if [ -n "$proxy" ]; then start_proxy || fail "$proxy does not start; is it installed?"; fi
echo "$name listens at 127.0.0.1:$entrance after $((SECONDS - began)) s"
"$@" "$entrance"
status=$?
if [ -n "$ws_server" ] && ! kill -0 "$ws_server" 2>/dev/null; then fail "ws_server.js has ended"; fi
if [ $status -ne 0 ] && [ -n "${VERBOSE-}" ]; then tail -n 50 "$dir"/*.log >&2; fi
exit $status
