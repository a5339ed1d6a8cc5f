#!/usr/bin/env bash
# mgos_mqtt_doctor names the fault of each set-up: tests/programs_doctor.sh <part>. $PROGRAMS is where it is.
set -euo pipefail
: "${PROGRAMS:?}"
here=$(cd "$(dirname "$0")" && pwd)
part=${1:?}
export LC_ALL=C PATH=$PATH:/usr/sbin
unset XDG_CONFIG_HOME

if [ -z "${MQTT_PORT-}" ]; then # beside a server of its own
  conf=() beside=()
  case $part in
    credentials)
      files=$(mktemp -d)
      trap 'rm -rf "$files"' EXIT
      mosquitto_passwd -b -c "$files/passwords" alice al1ce-s-pa55
      mosquitto_passwd -b "$files/passwords" bob al1ce-s-pa55
      printf '%s\n' "user alice" "topic readwrite open/#" "topic write half/#" "topic read silent/#" "user bob" "topic write silent/#" >"$files/acl"
      conf=(-c "allow_anonymous false" -c "password_file $files/passwords" -c "acl_file $files/acl")
      ;;
    limits) conf=(-c "max_qos 1" -c "retain_available false") ;;
    tls)
      beside=("$here/../scripts/with_certificates.sh")
      conf=(-c "certfile @CERTS@/server.pem" -c "keyfile @CERTS@/server.key")
      ;;
  esac
  status=0
  ${beside[@]+"${beside[@]}"} "$here/../scripts/with_mosquitto.sh" ${conf[@]+"${conf[@]}"} env CERTS=@CERTS@ "$here/programs_doctor.sh" "$part" || status=$?
  exit $status
fi

mkdir "$MQTT_DIR/work"
cd "$MQTT_DIR/work"
at=(-h 127.0.0.1 -p "$MQTT_PORT")
setups=0
fail() {
  echo "programs_doctor: $part: $*" >&2
  exit 1
}
# A command without its password, to be shown.
shown() { local words="$*" && printf '%s' "${words//al1ce-s-pa55/PASSWORD}"; }
# finds TEXT ARGUMENT...: a step with a fault (or a note) whose line has this text, with something to do about it.
finds() {
  local text=$1 status=0
  shift
  setups=$((setups + 1))
  timeout 60 "$PROGRAMS/mgos_mqtt_doctor" "$@" >found 2>&1 </dev/null || status=$?
  grep -qE "^(FAULT|note) .*$text" found || fail "'$(shown "$@")' does not find '$text': $(cat found)"
  grep -E -A1 "^(FAULT|note) .*$text" found | grep -q "what to do: " || fail "'$(shown "$@")' does not say what to do: $(cat found)"
  if grep -q "^FAULT" found; then [ $status = 1 ] || fail "'$(shown "$@")' ends with $status"; else [ $status = 0 ] || fail "'$(shown "$@")' ends with $status"; fi
  ! grep -qE "al1ce|hunter2" found || fail "the password is shown: $(cat found)"
}
healthy() { # healthy ARGUMENT...: no fault
  timeout 60 "$PROGRAMS/mgos_mqtt_doctor" "$@" >found 2>&1 || fail "'$(shown "$@")' finds: $(cat found)"
}

# Something else that listens: sets $port.
listener=""
listen() { # listen WHAT, as socat has it
  stop
  local try
  for try in 1 2 3 4 5 6 7 8; do
    port=$((32800 + RANDOM % 20000))
    : >said # not what the one before has said
    socat -d -d "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "$1" 2>said &
    listener=$!
    until grep -q "listening on\|E bind" said; do kill -0 $listener 2>/dev/null || break; done
    if grep -q "listening on" said; then return; fi
  done
  fail "no free port"
}
stop() {
  [ -z "$listener" ] || kill "$listener" 2>/dev/null || true
  listener=""
}
# Another mosquitto, for a certificate or an option of its own: sets $port.
serve() { # serve LINE...
  stop
  local try
  for try in 1 2 3 4 5 6 7 8; do
    port=$((32800 + RANDOM % 20000))
    : >said # not what the one before has said
    printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "persistence false" "$@" >serve.conf
    if [ "$(id -u)" = 0 ]; then echo "user root" >>serve.conf; fi
    mosquitto -c serve.conf >said 2>&1 &
    listener=$!
    until grep -q " running" said; do kill -0 $listener 2>/dev/null || break; done
    if grep -q " running" said; then return; fi
  done
  fail "mosquitto does not start: $(cat said)"
}
trap stop EXIT

case $part in
  network)
    command -v socat >/dev/null || exit 77
    healthy "${at[@]}"
    healthy "${at[@]}" -V 5 --json
    python3 -c 'import json; d = json.load(open("found")); assert d["faults"] == 0 and len(d["steps"]) > 9, d' || fail "JSON: $(cat found)"
    # The port may stand behind the host.
    healthy -h "127.0.0.1:$MQTT_PORT"
    grep -qE "^ok +tcp +127.0.0.1 port $MQTT_PORT " found || fail "the port of -h: $(cat found)"
    finds "CONNECT_" -h "[::1]:1"
    grep -q "::1 port 1:" found || fail "the port behind brackets: $(cat found)"
    # What is retained at the topic of -t, of whatever length, stays.
    long=$(printf 'long/%.0s' $(seq 40))topic
    mosquitto_pub "${at[@]}" -t "$long" -r -q 1 -m precious
    healthy "${at[@]}" -t "$long"
    grep -qE "^skipped +retained .*use another -t" found || fail "a topic in use: $(cat found)"
    grep -qE "^ok +subscribe +$long\$" found || fail "a long topic: $(cat found)"
    [ "$(timeout 20 mosquitto_sub "${at[@]}" -t "$long" -C 1)" = precious ] || fail "what was retained is gone"
    healthy "${at[@]}" -t unused
    grep -qE "^ok +retained " found || fail "an unused topic: $(cat found)"
    finds "CONNECT_REFUSED" -h 127.0.0.1 -p 1
    finds "DNS_FAILED" -h no-such-host.invalid
    finds "CONNECT_(UNREACHABLE|FAILED)" -h 255.255.255.255 -p 1883 # to everybody: the system refuses that itself
    finds "TLS_(NOT_SPOKEN|CLOSED)" "${at[@]}" --tls-use-os-certs -u alice -P hunter2
    finds "proxy +CONNECT_REFUSED" "${at[@]}" --proxy http://127.0.0.1:1
    finds "PROXY_(BAD_ANSWER|REFUSED)" "${at[@]}" --proxy "socks5h://127.0.0.1:$MQTT_PORT"
    finds "WEBSOCKET_" -L "ws://127.0.0.1:$MQTT_PORT"
    printf 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' >http
    listen "SYSTEM:head -c 10 >/dev/null; cat $PWD/http"
    finds "NOT_CONNACK" -h 127.0.0.1 -p "$port"
    finds "WEBSOCKET_REFUSED" -L "ws://127.0.0.1:$port"
    listen "SYSTEM:sleep 30"
    finds "CONNACK_TIMEOUT" -h 127.0.0.1 -p "$port"
    listen "SYSTEM:exit 0"
    finds "CLOSED_BY_SERVER|CONNECTION_RESET" -h 127.0.0.1 -p "$port"
    listen "SYSTEM:sleep 1.5; exec socat - TCP\\:127.0.0.1\\:$MQTT_PORT"
    finds "SLOW" -h 127.0.0.1 -p "$port"
    ;;
  limits)
    finds "QOS_LOWERED" "${at[@]}" -V 5
    finds "RETAIN_REFUSED" "${at[@]}" -V 5
    finds "connection +lost|QOS_LOWERED" "${at[@]}" # before MQTT 5.0 mosquitto closes the connection
    ;;
  credentials)
    alice=(-u alice -P al1ce-s-pa55)
    healthy "${at[@]}" "${alice[@]}" -t open/doctor
    finds "REFUSED_NOT_AUTHORIZED" "${at[@]}"
    finds "REFUSED_(NOT_AUTHORIZED|CREDENTIALS)" "${at[@]}" -u alice -P hunter2
    finds "REFUSED_(NOT_AUTHORIZED|OTHER|CREDENTIALS)" "${at[@]}" -V 5 -u alice -P hunter2
    finds "does not arrive" "${at[@]}" "${alice[@]}" -V 5 -t half/x # mosquitto grants the subscription
    finds "does not arrive" "${at[@]}" "${alice[@]}" -t silent/x
    finds "publish .*Not authorized" "${at[@]}" "${alice[@]}" -V 5 -t silent/x
    # What somebody else publishes there is not taken for its own.
    { while sleep 0.2; do echo noise; done; } 2>/dev/null | mosquitto_pub "${at[@]}" -u bob -P al1ce-s-pa55 -t silent/x -l &
    listener=$!
    finds "QoS 0 to silent/x does not arrive" "${at[@]}" "${alice[@]}" -t silent/x
    stop
    # Another client with the same id: each takes the connection from the other.
    mosquitto_sub "${at[@]}" "${alice[@]}" -i same -t open/other >/dev/null 2>&1 &
    listener=$!
    finds "connection +lost" "${at[@]}" "${alice[@]}" -i same -t open/doctor
    ;;
  tls)
    ca=(--cafile "$CERTS/ca.pem")
    healthy -h localhost -p "$MQTT_PORT" "${ca[@]}"
    grep -q "names: .*localhost" found || fail "no names: $(cat found)"
    grep -q "pin: .*$(cat "$CERTS/server.pin")" found || fail "no pin $(cat "$CERTS/server.pin"): $(cat found)"
    grep -q "expires in [01] days" found || fail "no date: $(cat found)"
    finds "TLS_EXPECTED|speak only TLS" -h localhost -p "$MQTT_PORT" -u alice -P hunter2
    finds "TLS_UNTRUSTED" -h localhost -p "$MQTT_PORT" --cafile "$CERTS/other-ca.pem"
    finds "TLS_PIN" -h localhost -p "$MQTT_PORT" "${ca[@]}" --tls-pins "$(printf '0%.0s' $(seq 64))"
    finds "TLS_BAD_FILE" -h localhost -p "$MQTT_PORT" --cafile nowhere.pem
    finds "TLS_BAD_KEY" -h localhost -p "$MQTT_PORT" "${ca[@]}" --cert "$CERTS/client.pem" --key "$CERTS/server.key"
    for setup in expired:TLS_EXPIRED future:TLS_NOT_YET_VALID other-name:TLS_WRONG_NAME self-signed:TLS_SELF_SIGNED; do
      serve "certfile $CERTS/${setup%:*}.pem" "keyfile $CERTS/${setup%:*}.key"
      finds "${setup#*:}" -h localhost -p "$port" "${ca[@]}"
    done
    serve "certfile $CERTS/revoked.pem" "keyfile $CERTS/revoked.key"
    finds "TLS_REVOKED" -h localhost -p "$port" "${ca[@]}" --tls-crl "$CERTS/ca.crl"
    serve "certfile $CERTS/server.pem" "keyfile $CERTS/server.key" "cafile $CERTS/ca.pem" "require_certificate true"
    finds "TLS_(CLIENT_CERTIFICATE|CLOSED)" -h localhost -p "$port" "${ca[@]}"
    finds "TLS_(CLIENT_CERTIFICATE|CLOSED)" -h localhost -p "$port" "${ca[@]}" --cert "$CERTS/other-client.pem" --key "$CERTS/other-client.key"
    # The server does not send the intermediate certificate that its own was issued by.
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out middle.key 2>log
    openssl req -new -key middle.key -subj "/CN=Middle CA" -out middle.csr 2>>log
    openssl x509 -req -in middle.csr -CA "$CERTS/ca.pem" -CAkey "$CERTS/ca.key" -set_serial 77 -days 2 -out middle.pem \
      -extfile <(echo "basicConstraints=critical,CA:TRUE") 2>>log
    openssl req -new -key "$CERTS/server.key" -subj "/CN=localhost" -out leaf.csr 2>>log
    openssl x509 -req -in leaf.csr -CA middle.pem -CAkey middle.key -set_serial 78 -days 2 -out leaf.pem \
      -extfile <(echo "subjectAltName=DNS:localhost") 2>>log
    serve "certfile $PWD/leaf.pem" "keyfile $CERTS/server.key"
    finds "TLS_UNTRUSTED.*Middle CA" -h localhost -p "$port" "${ca[@]}"
    grep -q "must also send the intermediate certificates" found || fail "intermediate certificates are not named: $(cat found)"
    ;;
  *) fail "no such part" ;;
esac
echo "programs_doctor: $part: the faults of $setups set-ups are found"
