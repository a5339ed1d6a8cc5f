#!/usr/bin/env bash
# Each line of command below is run twice, with mgos_mqtt_pub or _sub and with mosquitto_pub or _sub, beside a mosquitto of
# its own: standard output, exit code, and what a subscriber sees have to be the same.  tests/programs_compare.sh <part>
# $PROGRAMS is where ours are. What differs on purpose stands in docs/programs.md, and in tests/programs.sh.
set -euo pipefail
: "${PROGRAMS:?}"
here=$(cd "$(dirname "$0")" && pwd)
part=${1:?}
export LC_ALL=C TZ=UTC
command -v mosquitto_pub >/dev/null || { echo "programs_compare: mosquitto-clients is not installed (scripts/setup.sh test)"; exit 77; }

if [ -z "${MQTT_PORT-}" ]; then # beside a server of its own
  conf=(-c "max_queued_messages 0")
  beside=()
  case $part in
    credentials)
      files=$(mktemp -d)
      trap 'rm -rf "$files"' EXIT
      PATH=$PATH:/usr/sbin mosquitto_passwd -b -c "$files/passwords" alice al1ce-s-pa55
      printf '%s\n' "user alice" "topic readwrite open/#" >"$files/acl"
      conf+=(-c "allow_anonymous false" -c "password_file $files/passwords" -c "acl_file $files/acl")
      ;;
    unix) conf+=(-c "listener 0 @DIR@/socket") ;;
    tls)
      beside=("$here/../scripts/with_certificates.sh")
      export CERTS=@CERTS@
      conf+=(-c "cafile @CERTS@/ca.pem" -c "certfile @CERTS@/server.pem" -c "keyfile @CERTS@/server.key"
        -c "require_certificate ${CLIENT_CERTIFICATE:-false}")
      ;;
  esac
  status=0
  ${beside[@]+"${beside[@]}"} "$here/../scripts/with_mosquitto.sh" "${conf[@]}" env CERTS=@CERTS@ "$here/programs_compare.sh" "$part" || status=$?
  exit $status
fi

mkdir "$MQTT_DIR/work"
cd "$MQTT_DIR/work"
at=(-h 127.0.0.1 -p "$MQTT_PORT")
server=("${at[@]}") # for what is not compared
export XDG_CONFIG_HOME=$PWD/config
cases=0

fail() {
  echo "programs_compare: $part: $*" >&2
  exit 1
}
# A command without its password, to be shown.
shown() { local words="$*" && printf '%s' "${words//al1ce-s-pa55/PASSWORD}"; }

# A subscriber of mosquitto sees everything that both publish, and each run ends with a message that tells it is over.
marker() { env -u XDG_CONFIG_HOME HOME=/nonexistent "$@"; } # without a configuration file
watch() { # watch [OPTION...]
  mkfifo seen
  env -u XDG_CONFIG_HOME HOME=/nonexistent mosquitto_sub "${server[@]}" "$@" -V 5 --retain-as-published -q 2 -t '#' -F '%t|%q|%r|%x|%A|%C|%D|%F|%R|%P' >seen &
  watcher=$!
  trap 'kill $watcher 2>/dev/null || true' EXIT
  exec 4<seen
  marker mosquitto_pub "${server[@]}" "$@" -t "${prefix}watched" -r -m x
  until_seen "${prefix}watched" >/dev/null
  marker mosquitto_pub "${server[@]}" "$@" -t "${prefix}watched" -r -n
  until_seen "${prefix}watched" >/dev/null
}
until_seen() { # until_seen TOPIC: prints what came before
  local line
  while read -r -t 20 line <&4; do
    case $line in "$1|"*) return ;; esac
    printf '%s\n' "$line"
  done
  fail "no $1 seen"
}
prefix=""
watching=()

# Times, and the process number that -I appends.
plain() { sed -E 's/[0-9-]{10}T[0-9:]{8}(\.[0-9]{6})?Z?[+-][0-9]{4}/TIME/g; s/^[0-9]{10}\.[0-9]{9}$/SECONDS/'; }

run() { # run WHOSE PROGRAM ARGUMENT...: its output, its exit code and what was seen, in WHOSE.found
  local whose=$1 program=$2 status=0
  shift 2
  if [ "$whose" = ours ]; then program=$PROGRAMS/mgos_mqtt_$program; else program=mosquitto_$program; fi
  timeout 20 "$program" "$@" >"$whose.out" 2>"$whose.err" <input || status=$?
  {
    echo "exit code $status"
    if [ "$part" != usage ]; then plain <"$whose.out"; fi # theirs prints its help there
    if [ -n "${watcher-}" ]; then
      marker mosquitto_pub "${server[@]}" ${watching[@]+"${watching[@]}"} -t "${prefix}end" -q 1 -m x
      until_seen "${prefix}end"
    fi
  } >"$whose.found"
}
# Our code where it is another one on purpose: docs/programs.md says why. THEIRS is a pattern: for a refused certificate
# they end with 1 or 8, as it happens.
other_code() { # other_code THEIRS OURS PROGRAM ARGUMENT...
  local theirs=$1 ours=$2
  shift 2
  cases=$((cases + 1))
  run theirs "$@"
  run ours "$@"
  sed -i "1s/^exit code $theirs\$/exit code $ours/" theirs.found
  cmp -s theirs.found ours.found ||
    fail "mgos_mqtt_$(shown "$@") differs (theirs -, ours +):"$'\n'"$(diff -u theirs.found ours.found | tail -n +3)"$'\n'"$(cat ours.err)"
}
same() { # same PROGRAM ARGUMENT...
  cases=$((cases + 1))
  run theirs "$@"
  run ours "$@"
  cmp -s theirs.found ours.found ||
    fail "mgos_mqtt_$(shown "$@") differs (theirs -, ours +):"$'\n'"$(diff -u theirs.found ours.found | tail -n +3)"$'\n'"$(cat ours.err)"
}
pub() { same pub "${at[@]}" "$@"; }
# As many sessions as programs: PREPARE is run before each of the two.
sub() { # sub PREPARE ARGUMENT...
  local prepare=$1
  shift
  cases=$((cases + 1))
  $prepare
  run theirs sub "${at[@]}" "$@"
  $prepare
  run ours sub "${at[@]}" "$@"
  cmp -s theirs.found ours.found ||
    fail "mgos_mqtt_sub $(shown "$@") differs (theirs -, ours +):"$'\n'"$(diff -u theirs.found ours.found | tail -n +3)"$'\n'"$(cat ours.err)"
}
: >input

case $part in
  publish)
    watch
    pub -t a/b -m hello
    pub -t a/b -m hello -q 1
    pub -t a/b -m hello -q 2
    pub -t a/b -m kept -r -q 1
    pub -t a/b -r -n
    pub --topic a/b --message 'long names' --qos 1 --retain --id me --keepalive 30 --quiet
    pub --topic a/b --null-message --retain --disable-clean-session --id me
    printf '%b' "$(printf '\\x%02x' $(seq 0 255))" >bytes
    pub -t a/b -f bytes -q 1
    pub --topic a/b --file bytes
    cp bytes input
    pub -t a/b -s
    pub -t a/b --stdin-file -q 2
    printf 'one\n\nthree' >input
    pub -t a/b -l
    pub -t a/b --stdin-line -q 1
    seq 200 >input
    pub -t a/b -l -q 1 -M 3
    seq 15 >input # mosquitto 2.0.11 loses QoS 2 messages beyond 20 in flight
    pub -t a/b -l -q 2
    : >input
    pub -t a/b -l
    pub -t a/b -m again --repeat 3
    pub -t a/b -m again --repeat 2 --repeat-delay 0.01 -q 1
    pub -t a/b -m hello -V 31 -i me
    pub -t a/b -m hello -V mqttv31 -i me
    pub -t a/b -m hello -V mqttv311
    pub -t a/b -m hello -V 5
    pub -t a/b -m hello --protocol-version mqttv5 -x 60
    pub -t a/b -m hello -V 5 -c -i me -x 1
    pub -t a/b -m hello -D publish content-type text/plain -D publish user-property k v -D publish user-property k w \
      -D publish correlation-data 12 -D publish payload-format-indicator 1 -D publish response-topic re/x -q 1
    pub -t a/b -m hello -V 5 --property PUBLISH message-expiry-interval 300 -D connect session-expiry-interval 10 -D connect user-property a b
    pub -t a/b -m hello -I pre --nodelay -A 127.0.0.1
    pub -t a/b -m hello --will-topic will --will-payload gone --will-qos 1 --will-retain
    pub -t a/b -m hello -V 5 --will-topic will -D will will-delay-interval 1 -D will content-type x
    pub -t a/b -m hello -u somebody -P something
    at=()
    pub -L "mqtt://127.0.0.1:$MQTT_PORT/x/y" -m 'by URL'
    pub --url "mqtt://alice:secret@localhost:$MQTT_PORT/x/y" -m 'by URL' -q 1
    mkdir config
    printf '%s\n' "# where to" "-h 127.0.0.1" "-p $MQTT_PORT" "-t from/file" "-q 1" "-m from the file" >config/mosquitto_pub
    pub
    pub -t from/command -q 2
    ;;
  usage) # nothing is published, and the exit code is not 0
    watch
    at=(-h 127.0.0.1 -p 1)
    pub -t a -m x
    pub -t a -m x --quiet
    [ ! -s ours.err ] || fail "--quiet says: $(cat ours.err)"
    same sub "${at[@]}" -t a
    same pub -h no-such-host.invalid -t a -m x
    at=(-h 127.0.0.1 -p "$MQTT_PORT")
    pub
    pub -t a
    pub -m x
    pub -t 'a/#' -m x
    other_code 0 1 pub "${at[@]}" -t '' -m x
    pub -t a -m x -n
    pub -t a -m x -q 3
    pub -t a -m x -q
    pub -t a -m x -p 70000
    pub -t a -m x -k 70000
    pub -t a -m x --bogus
    pub -t a -m x stray
    pub -t a -m x -c
    pub -t a -m x -i one -I two
    pub -t a -m x -V 4
    pub -t a -m x --repeat 0
    pub -t a -m x -D publish bogus 1
    pub -t a -m x -D bogus user-property 1 2
    pub -t a -m x -D publish user-property 1
    pub -t a -m x -D publish message-expiry-interval -1
    pub -t a -m x -D connect receive-maximum 0
    pub -t a -m x -D publish will-delay-interval 1
    pub -t a -m x -f nowhere
    pub -t a -f nowhere
    pub -t a -m x --will-payload x
    pub -t a -m x --psk 12
    other_code 1 8 pub "${at[@]}" -t a -m x --cafile nowhere
    pub -t a -m x --tls-engine nothing --cafile /dev/null
    pub -t a -m x --proxy gopher://127.0.0.1
    pub -L "http://127.0.0.1:$MQTT_PORT/a" -m x
    same sub "${at[@]}"
    same sub "${at[@]}" -t 'a/#/b'
    same sub "${at[@]}" -t a -T 'a#'
    same sub "${at[@]}" -t a -F '%z'
    same sub "${at[@]}" -t a -F '\q'
    same sub "${at[@]}" -t a -F '%'
    same sub "${at[@]}" -t a -F '@'
    same sub "${at[@]}" -t a -C 0
    same sub "${at[@]}" -t a -W 0
    same sub "${at[@]}" -t a -R --retained-only
    same sub "${at[@]}" -t a -c
    same sub "${at[@]}" -t a -V 5 -x -1
    same sub "${at[@]}" -t a -m x
    ;;
  subscribe)
    session() { # three messages wait in a new session
      marker mosquitto_sub "${at[@]}" -E -i s -q 2 -t ended
      marker mosquitto_sub "${at[@]}" -E -c -i s -q 2 -t 's/#'
      marker mosquitto_pub "${at[@]}" -t s/1 -q 1 -m one
      marker mosquitto_pub "${at[@]}" -t s/2 -q 1 -n
      marker mosquitto_pub "${at[@]}" -t s/3 -q 1 -m '{"a":[1,{"b":null}],"c":"d e"}'
    }
    # A session of MQTT 5.0 with properties.
    session5() {
      marker mosquitto_sub "${at[@]}" -E -V 5 -i s -q 2 -t ended
      marker mosquitto_sub "${at[@]}" -E -V 5 -c -i s -q 2 -t 's/#' -D subscribe subscription-identifier 7
      marker mosquitto_pub "${at[@]}" -t s/1 -q 1 -m one -D publish content-type text/plain -D publish user-property k v \
        -D publish user-property l w -D publish correlation-data 12 -D publish payload-format-indicator 1 -D publish response-topic re/x
      marker mosquitto_pub "${at[@]}" -t s/2 -q 1 -m two
    }
    kept() { for i in 1 2 3; do marker mosquitto_pub "${at[@]}" -t "k/$i" -r -q 1 -m "kept $i"; done; }
    in_session=(-c -i s -q 2 -t 's/#' -C 3)
    sub session "${in_session[@]}"
    sub session "${in_session[@]}" -v
    sub session "${in_session[@]}" --verbose -N
    sub session --disable-clean-session --id s --qos 2 --topic 's/#' -C 3
    sub session -c -i s -q 2 -t 's/#' -T s/2 -v -C 2
    sub session -c -i s -q 2 -t 's/#' --filter-out 's/+' -T other -E
    sub session "${in_session[@]}" -F '%t %p %l %q %r %m %x %X %%'
    sub session "${in_session[@]}" -F '%5t|%-5t|%.1t|%8.2t|%05l|%-5l|%40p|%-40p|%3m|%03m|%-3m|'
    sub session "${in_session[@]}" -F '\\ \t\a\e[1m\r\n\v\0end @@ %I'
    sub session "${in_session[@]}" -F '%U'
    sub session "${in_session[@]}" -F '@Y-@m-@dT@H @!' # not about midnight
    sub session "${in_session[@]}" -F '%j'
    sub session "${in_session[@]}" -F '%j' --pretty
    sub session -c -i s -q 2 -t 's/#' -T s/1 -F '%J' -C 2
    sub session -c -i s -q 2 -t 's/#' -T s/1 -F '%J' --pretty -C 2
    sub session5 -V 5 -c -i s -q 2 -t 's/#' -C 2 -F 'A%A C%C D%D F%F P%P R%R S%S|%5C|%-5S|%03F|%.2R|%8E|'
    sub session5 -V 5 -c -i s -q 2 -t 's/#' -C 2 -F '%j'
    sub session5 -V 5 -c -i s -q 2 -t 's/#' -C 2 -F '%j' --pretty
    sub kept -t 'k/#' -C 3 -v
    sub kept -t 'k/#' -C 2
    sub kept -t k/1 -t k/2 -C 2 -v
    sub kept -t 'k/#' -R -W 1
    sub kept -t 'k/#' --retained-only -W 3
    sub kept -t 'nothing/#' -E # retained ones may or may not be printed before the end
    sub kept -t 'nothing/#' -E -U k/1 --unsubscribe k/2
    sub kept -t k/1 -C 1 -V 31 -i me
    sub kept -t k/1 -C 1 -V 5 --retain-as-published -D subscribe user-property a b -D connect receive-maximum 5
    sub kept -V 5 -t k/1 -C 1 -D disconnect session-expiry-interval 5 -c -i d -x 9
    sub kept -t k/1 -C 1 --will-topic w --will-payload x --will-qos 2 -k 10 --nodelay -A 127.0.0.1
    sub kept --host 127.0.0.1 --port "$MQTT_PORT" -t k/1 -C 1 --quiet -N -F x
    removed() { kept; }
    sub removed -t 'k/#' -T k/2 --remove-retained -v -W 3
    same sub "${at[@]}" -t 'k/#' -v -W 3 # k/2 is left
    mkdir config
    printf '%s\n' "-t k/#" "# a comment" "-v" "-F %t is %p" "-C 3" >config/mosquitto_sub
    sub kept
    sub kept -C 1 -F %p
    ;;
  credentials)
    prefix=open/ watching=(-u alice -P al1ce-s-pa55)
    watch "${watching[@]}"
    pub -t open/a -m x
    pub -t open/a -m x -V 5
    pub -t open/a -m x -u alice -P wrong
    pub -t open/a -m x -V 5 -u alice -P wrong
    pub -t open/a -m x -u alice -P al1ce-s-pa55 -q 1
    pub -t open/a -m x --username alice --pw al1ce-s-pa55 -V 31 -i me
    pub -t closed/a -m x -u alice -P al1ce-s-pa55 -q 1
    same sub "${at[@]}" -t open/a -W 1
    same sub "${at[@]}" -t open/a -V 5 -W 1
    same sub "${at[@]}" -t open/a -u alice -P al1ce-s-pa55 -E
    at=()
    pub -L "mqtt://alice:al1ce-s-pa55@127.0.0.1:$MQTT_PORT/open/url" -m x
    pub -L "mqtt://alice:wrong@127.0.0.1:$MQTT_PORT/open/url" -m x
    ;;
  unix)
    watch
    same pub --unix "$MQTT_DIR/socket" -t a/b -m hello -q 1
    same sub --unix "$MQTT_DIR/socket" -t a/b -E
    same pub --unix "$MQTT_DIR/no-socket" -t a/b -m hello
    ;;
  tls)
    at=(-h localhost -p "$MQTT_PORT")
    server=("${at[@]}")
    watch --cafile "$CERTS/ca.pem"
    watching=(--cafile "$CERTS/ca.pem")
    pub -t a/b -m hello -q 1 --cafile "$CERTS/ca.pem"
    pub -t a/b -m hello --cafile "$CERTS/ca.pem" --cert "$CERTS/client.pem" --key "$CERTS/client.key" --keyform pem
    pub -t a/b -m hello --cafile "$CERTS/ca.pem" --tls-version tlsv1.3
    pub -t a/b -m hello --cafile "$CERTS/ca.pem" --tls-version tlsv1.2
    pub -t a/b -m hello --cafile "$CERTS/ca.pem" --tls-use-os-certs
    other_code "[18]" 8 pub "${at[@]}" -t a/b -m hello --cafile "$CERTS/other-ca.pem"
    other_code "[18]" 8 pub "${at[@]}" -t a/b -m hello --cafile "$CERTS/other-ca.pem" --insecure
    mkdir trusted
    cp "$CERTS/ca.pem" trusted/ca.crt
    openssl rehash trusted
    pub -t a/b -m hello --capath trusted
    pub -t a/b -m hello --cafile "$CERTS/ca.pem" -h 127.0.0.1 --insecure
    same sub "${at[@]}" -t a/b -E --cafile "$CERTS/ca.pem"
    at=()
    pub -L "mqtts://localhost:$MQTT_PORT/x/y" -m hello --cafile "$CERTS/ca.pem"
    other_code "[18]" 8 pub -L "mqtts://localhost:$MQTT_PORT/x/y" -m hello
    ;;
  *) fail "no such part" ;;
esac
echo "programs_compare: $part: $cases invocations are the same"
