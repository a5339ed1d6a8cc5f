#!/usr/bin/env bash
# mgos_mqtt_pub and mgos_mqtt_sub against mosquitto and its own programs: tests/programs.sh <part>
# $PROGRAMS is where ours are. Nothing here waits for a time: a subscription that has to be there first is
# made with -E in a session that the server keeps, and read later.
set -euo pipefail
: "${PROGRAMS:?}"
here=$(cd "$(dirname "$0")" && pwd)
part=${1:?}
export LC_ALL=C

if [ -z "${MQTT_PORT-}" ]; then # beside a server of its own
  conf=(-c "max_queued_messages 0") # nothing is dropped for a subscriber that is slower than the publisher
  if [ "$part" = credentials ]; then
    passwords=$(mktemp)
    trap 'rm -f "$passwords"' EXIT
    PATH=$PATH:/usr/sbin mosquitto_passwd -b -c "$passwords" alice al1ce-s-pa55
    conf+=(-c "allow_anonymous false" -c "password_file $passwords")
  fi
  status=0
  "$here/../scripts/with_mosquitto.sh" "${conf[@]}" "$here/programs.sh" "$part" || status=$?
  exit $status
fi

mkdir "$MQTT_DIR/work"
cd "$MQTT_DIR/work"
at=(-h 127.0.0.1 -p "$MQTT_PORT")
pub() { "$PROGRAMS/mgos_mqtt_pub" "${at[@]}" "$@"; }
sub() { timeout 20 "$PROGRAMS/mgos_mqtt_sub" "${at[@]}" "$@"; }
their_pub() { mosquitto_pub "${at[@]}" "$@"; }
their_sub() { timeout 20 mosquitto_sub "${at[@]}" "$@"; }

fail() {
  echo "programs: $part: $*" >&2
  exit 1
}
same() { # same WHAT EXPECTED FOUND
  [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}
# Runs a command that has to end with this status and a message on standard error that has this text.
fails() { # fails STATUS TEXT COMMAND...
  local wanted=$1 text=$2 status=0
  shift 2
  "$@" >out 2>err </dev/null || status=$?
  same "exit code of '$*' ($(cat err))" "$wanted" "$status"
  grep -qF -- "$text" err || fail "'$*' says '$(cat err)', not '$text'"
}

# Starts our subscriber in the background and returns when it is subscribed. Sets $ours, its process id.
start_sub() {
  mkfifo said
  "$PROGRAMS/mgos_mqtt_sub" "${at[@]}" -d "$@" >found 2>said &
  ours=$!
  exec 3<said
  rm said
  while read -r -t 20 line <&3; do
    case $line in
      *"subscribed to"*)
        cat <&3 >/dev/null & # it goes on to write there, a line for each packet
        exec 3<&-
        return
        ;;
    esac
  done
  fail "not subscribed: $line"
}

case $part in
  send) # ours to theirs, all QoS
    for qos in 0 1 2; do
      their_sub -E -c -i "watch$qos" -q 2 -t "send/$qos/#"
      pub -t "send/$qos/a" -q $qos -m "hello $qos"
      pub -L "mqtt://127.0.0.1:$MQTT_PORT/send/$qos/b" -q $qos -n -V 31
    done
    for qos in 1 2; do
      same "QoS $qos" "send/$qos/a hello $qos $qos|send/$qos/b  $qos|" \
        "$(their_sub -c -i "watch$qos" -q 2 -t "send/$qos/#" -C 2 -F '%t %p %q|' | tr -d '\n')"
    done
    # QoS 0 is not kept for a session: it is retained instead.
    pub -t send/0/r -m "hello 0" -r
    same "QoS 0" "hello 0" "$(their_sub -t send/0/r -C 1)"
    ;;
  receive) # theirs to ours, all QoS; each message once, though two subscriptions match
    sub -E -c -i watch -q 2 -t 'receive/#' -t 'receive/+'
    for qos in 1 2; do their_pub -t "receive/$qos" -q $qos -m "hello $qos"; done
    same "messages" "receive/1 hello 1 receive/2 hello 2" "$(sub -c -i watch -q 2 -t 'receive/#' -t 'receive/+' -C 2 -v | tr '\n' ' ' | sed 's/ $//')"
    their_pub -t receive/0 -r -m "hello 0"
    same "QoS 0" "hello 0" "$(sub -t receive/0 -C 1)"
    ;;
  binary) # every byte, and more than a socket's buffer takes
    { printf '%b' "$(printf '\\x%02x' $(seq 0 255))"; head -c 3000000 /dev/urandom; } >sent
    sub -E -c -i ours -q 1 -t binary
    their_sub -E -c -i theirs -q 1 -t binary
    pub -t binary -q 1 -f sent
    sub -c -i ours -q 1 -t binary -C 1 -N >found
    cmp sent found || fail "ours to ours"
    their_sub -c -i theirs -q 1 -t binary -C 1 -N >found
    cmp sent found || fail "ours to theirs"
    pub -t binary/r -r -s <sent # QoS 0: written before it ends
    their_sub -t binary/r -C 1 -N >found
    cmp sent found || fail "ours to theirs from standard input with QoS 0"
    their_pub -t binary/r -r -f sent
    sub -t binary/r -C 1 -N >found
    cmp sent found || fail "theirs to ours"
    ;;
  lines) # each line is a message, in order; more of them than the queue has room for
    seq 1 3000 >sent
    start_sub -t lines -q 2 -C 3000
    pub -t lines -q 2 -l <sent
    wait $ours
    cmp sent found || fail "the lines that arrive are not those that were sent"
    their_sub -E -c -i watch -q 1 -t last
    printf 'one\n\nthree without line feed' | pub -t last -q 1 -l
    same "lines" "one||three without line feed|" "$(their_sub -c -i watch -q 1 -t last -C 3 -F '%p|' | tr -d '\n')"
    ;;
  retained)
    pub -t kept -q 1 -r -m old
    same "kept" "1 old" "$(sub -t kept -C 1 -F '%r %p')"
    fails 27 "the time is over" sub -t kept -R -C 1 -W 1
    [ ! -s out ] || fail "-R prints a retained message"
    pub -t kept -q 1 -r -n
    fails 27 "the time is over" sub -t kept -C 1 -W 1
    [ ! -s out ] || fail "an empty retained message did not remove it"
    ;;
  will)
    their_sub -E -c -i watch -q 1 -t will
    will=(-t nothing --will-topic will --will-qos 1 --will-payload)
    start_sub "${will[@]}" vanished
    kill -KILL $ours
    wait $ours 2>/dev/null || true
    same "the will" vanished "$(their_sub -c -i watch -q 1 -t will -C 1)"
    start_sub "${will[@]}" "not to be seen"
    kill -TERM $ours
    status=0
    wait $ours || status=$?
    same "exit code after SIGTERM" 0 "$status"
    pub -t will -q 1 -m next
    same "what comes after a clean end" next "$(their_sub -c -i watch -q 1 -t will -C 1)"
    ;;
  session) # what was printed is acknowledged, what was not comes the next time
    sub -E -c -i watch -q 1 -t queue
    for i in 1 2 3; do their_pub -t queue -q 1 -m "job $i"; done
    for i in 1 2 3; do same "message $i" "job $i" "$(sub -c -i watch -q 1 -t queue -C 1)"; done
    ;;
  format)
    their_pub -t format -r -q 1 -m 'a"b'
    same "format" $'format a"b 3 612262 612262 1 1 0 100%\t\\.' "$(sub -t format -q 1 -C 1 -F '%t %p %l %x %X %q %r %d 100%%\t\\.')"
    same "JSON" '{"topic": "format", "qos": 1, "retain": true, "payloadlen": 3, "payload": "a\"b"}' "$(sub -t format -q 1 -C 1 -F %j)"
    sub -t format -C 1 -F '%I %U' | grep -Eqx '[0-9-]{10}T[0-9:]{8}[+-][0-9]{4} [0-9]+\.[0-9]{9}' || fail "time"
    fails 2 "'%z' is not known" sub -t format -F '%z'
    ;;
  refused)
    at=(-h 127.0.0.1 -p 1)
    fails 1 "127.0.0.1:1" pub -t a -m x
    fails 1 "nothing listens at the server's address and port" sub -t a
    ;;
  credentials)
    fails 1 "CONNACK 5" pub -t a -m x
    fails 1 "CONNACK 5" sub -t a -u alice -P wrong
    pub -u alice -P al1ce-s-pa55 -t a -r -m "for alice"
    same "as alice" "for alice" "$(sub -L "mqtt://alice:al1ce-s-pa55@127.0.0.1:$MQTT_PORT/a" -C 1)"
    ;;
  # A password in an address is not shown, wherever it stands. field: F-42
  hidden)
    for program in pub sub; do
      for arguments in "-h mqtt://alice:hunter2@127.0.0.1:x" "-h alice:hunter2@127.0.0.1" "-L mqtts://alice:hunter2@127.0.0.1:x/a"; do
        # shellcheck disable=SC2086
        fails 2 "127.0.0.1" $program $arguments -t a -d $([ $program = sub ] || echo -m x)
        ! grep -q hunter2 err || fail "the password is shown"
      done
    done
    ;;
  usage)
    fails 2 "a topic (-t) is needed" sub
    fails 2 "a topic (-t) is needed" pub -m x
    fails 2 "one of -m, -f, -n, -l and -s is needed" pub -t a
    fails 2 "one of -m, -f, -n, -l and -s is needed" pub -t a -m x -n
    fails 2 "without wildcards" pub -t 'a/#' -m x
    fails 2 "misplaced wildcard" sub -t 'a/#/b'
    fails 2 "'3' is not a number from 0 to 2" pub -t a -m x -q 3
    fails 2 "'5' is neither 31 nor 311" pub -t a -m x -V 5
    fails 2 "-c needs a client id" sub -t a -c
    fails 2 "'stray' is no option" sub -t a stray
    fails 1 "No such file or directory" pub -t a -f nowhere
    "$PROGRAMS/mgos_mqtt_sub" --help | grep -q -- "-F FORMAT" || fail "--help"
    "$PROGRAMS/mgos_mqtt_pub" --version | grep -Eqx 'mgos_mqtt_pub [0-9.]+' || fail "--version"
    ;;
  *) fail "no such part" ;;
esac
