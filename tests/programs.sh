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
  if [ "$part" = websocket ] || [ "$part" = proxy ]; then
    conf+=(-c "listener @NEXT_PORT@ 127.0.0.1" -c "protocol websockets")
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
# Runs a command that has to succeed and to print a line that matches. Not by a pipe to grep -q: that leaves at the first
# match, and the command then fails because nobody reads.
says() { # says PATTERN COMMAND...
  local pattern=$1 status=0
  shift
  "$@" >out 2>err </dev/null || status=$?
  same "exit code of '$*' ($(cat err))" 0 "$status"
  grep -qE -- "$pattern" out || fail "'$*' prints no '$pattern': $(cat out)"
}
to_full_disk() { "$@" >/dev/full; }
# Runs a command whose output nobody reads, which ends it as it ends others: by SIGPIPE, without a word.
to_closed_pipe() { # to_closed_pipe COMMAND...
  local status=0
  mkfifo unread
  exec 5<>unread 6>unread 5<&-
  rm unread
  "$@" >&6 2>err </dev/null || status=$?
  exec 6>&-
  same "exit code of '$*' into a closed pipe, and what it says" "141 " "$status $(cat err)"
}

# A server behind the socket ./fake, in MQTT 5.0, for one client: it grants what is asked for and then
#   refuse   takes no subscription back
#   stall    reads nothing more after CONNECT
fake() { # fake WHAT
  command -v python3 >/dev/null || exit 77
  python3 - "$1" <<'EOF' &
import socket, sys, time
def read(n):
    data = b""
    while len(data) < n:
        more = client.recv(n - len(data))
        if not more: sys.exit()
        data += more
    return data
def packet():
    first, length, shift = read(1)[0], 0, 0
    while True:
        byte = read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128: return first >> 4, read(length)
listener = socket.socket(socket.AF_UNIX)
listener.bind("binding")
listener.listen(1)
import os
os.rename("binding", "fake") # it is there when it listens
client = listener.accept()[0]
while True:
    kind, body = packet()
    if kind == 1: client.sendall(b"\x20\x03\0\0\0")
    if kind == 8: client.sendall(b"\x90\x04" + body[:2] + b"\0\0")
    if kind == 10: client.sendall(b"\xb0\x04" + body[:2] + b"\0\x87")
    if sys.argv[1] == "stall": time.sleep(60)
EOF
  server=$!
  trap 'kill $server 2>/dev/null || true' EXIT
  while [ ! -S fake ]; do kill -0 $server || fail "the fake server does not start"; done
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
    same "JSON" '{"tst":"T","topic":"format","qos":1,"retain":1,"payloadlen":3,"mid":1,"payload":"a\"b"}' \
      "$(sub -t format -q 1 -C 1 -F %j | sed -E 's/"[0-9-]{10}T[0-9:.]{15}[+-][0-9]{4}"/"T"/')"
    says '^[0-9-]{10}T[0-9:]{8}[+-][0-9]{4} [0-9]+\.[0-9]{9}$' sub -t format -C 1 -F '%I %U'
    fails 1 "'%z' is not known" sub -t format -F '%z'
    ;;
  refused)
    at=(-h 127.0.0.1 -p 1)
    fails 1 "127.0.0.1:1" pub -t a -m x
    fails 1 "nothing listens at the server's address and port" sub -t a
    ;;
  credentials)
    fails 5 "CONNACK 5" pub -t a -m x
    fails 5 "CONNACK 5" sub -t a -u alice -P wrong
    pub -u alice -P al1ce-s-pa55 -t a -r -m "for alice"
    same "as alice" "for alice" "$(sub -L "mqtt://alice:al1ce-s-pa55@127.0.0.1:$MQTT_PORT/a" -C 1)"
    ;;
  # A password in an address is not shown, wherever it stands. field: F-42
  hidden)
    for program in pub sub; do
      for arguments in "-h mqtt://alice:hunter2@127.0.0.1:x" "-h alice:hunter2@127.0.0.1" "-L mqtts://alice:hunter2@127.0.0.1:x/a" \
        "-L mqtt://alice:hunter/2@127.0.0.1/a" "mqtt://alice:hunter2@127.0.0.1" --password=hunter2 "-u alice:hunter2@127.0.0.1 --password=hunter2@"; do
        # shellcheck disable=SC2086
        fails 1 "mgos_mqtt_$program: " $program $arguments -t a -d $([ $program = sub ] || echo -m x)
        ! grep -q hunter err || fail "'$arguments': the password is shown: $(cat err)"
      done
    done
    ;;
  usage)
    fails 1 "a topic (-t) is needed" sub
    fails 1 "a topic (-t) is needed" pub -m x
    fails 1 "one of -m, -f, -n, -l and -s is needed" pub -t a
    fails 1 "there can be one message only" pub -t a -m x -n
    fails 1 "is no topic name" pub -t 'a/#' -m x
    fails 1 "misplaced wildcard" sub -t 'a/#/b'
    fails 1 "'3' is not a number from 0 to 2" pub -t a -m x -q 3
    fails 1 "'4' is none of 31, 311 and 5" pub -t a -m x -V 4
    fails 1 "-c needs a client id" sub -t a -c
    fails 1 "'stray' is no option" sub -t a stray
    fails 1 "No such file or directory" pub -t a -f nowhere
    for program in pub sub rr doctor; do
      says "^ +--cafile FILE " "$PROGRAMS/mgos_mqtt_$program" --help
      says "^mgos_mqtt_$program [0-9.]+\$" "$PROGRAMS/mgos_mqtt_$program" --version
      for option in --help --version; do
        to_closed_pipe "$PROGRAMS/mgos_mqtt_$program" $option
        fails 1 "mgos_mqtt_$program: cannot write the output: No space left on device" \
          to_full_disk "$PROGRAMS/mgos_mqtt_$program" $option
      done
    done
    ;;
  documented) # the table in docs/programs.md is made from the options, and has all of those of mosquitto's programs
    document=$PROGRAMS/mgos_mqtt_document
    sed '1,/^<!-- options -->$/d' "$here/../docs/programs.md" >found
    "$document" table >wanted
    diff -u wanted found || fail "docs/programs.md is not up to date: make programs-doc"
    for program in pub sub rr; do
      "$document" options $program >ours
      "$document" man $program >page
      { mosquitto_$program --help || true; } | grep -oE '^ +(-[A-Za-z]|--[a-z0-9-]+) :' | tr -d ' :' >theirs
      # The usage above has some that are not explained below it.
      { mosquitto_$program --help || true; } | sed -n '/^Usage:/,/--help$/p' | grep -oE '[[{ ](-[A-Za-z]|--[a-z0-9-]+)' | tr -d '[{ ' >>theirs
      "$PROGRAMS/mgos_mqtt_$program" --help >help
      [ "$(wc -l <theirs)" -gt 40 ] || fail "the help of mosquitto_$program is not understood"
      while read -r option; do
        grep -qxe "$option" ours || fail "$option of mosquitto_$program is missing"
        # As a whole word: -c is not there because --cafile is.
        grep -qE -- "\\\\fB${option//-/\\\\-}(\\\\|\$)" page || fail "$option is not in the manual page"
      done <theirs
      while read -r option; do
        case $option in -S | --tls-engine*) continue ;; esac
        grep -qE -- "^ +(-., )?$option( |\$|,)" help || fail "$option is not in --help of $program"
      done <ours
    done
    ;;
  manual) # the exit codes are those of --help, and the files those that are read
    for program in pub sub rr doctor; do
      "$PROGRAMS/mgos_mqtt_document" man $program >page
      codes=$("$PROGRAMS/mgos_mqtt_$program" --help | tr -s ' \n' '  ' | sed 's/.*Exit code: //; s/ $//')
      status=$(tr -d '\\' <page | sed -n '/^.SH "EXIT STATUS"/,/^.SH/p' | sed -n 2p)
      same "the exit status of $program" "$codes" "$status"
      [ $program = doctor ] || grep -qF "~/.config/mosquitto_$program" page || fail "the other file of $program is not named"
    done
    ;;
  request) # mgos_mqtt_rr as mosquitto_rr, with the response topic as a property in MQTT 5.0
    for version in 5 311; do
      for program in mosquitto_rr "$PROGRAMS/mgos_mqtt_rr"; do
        their_sub -E -c -i answers -V $version -q 1 -t ask
        { their_sub -c -i answers -V $version -q 1 -t ask -C 1 -F '%R|%p' | while IFS='|' read -r to text; do
          their_pub -V $version -q 1 -t "${to:-answer}" -m "got $text"
        done; } &
        "$program" "${at[@]}" -V $version -q 1 -t ask -e answer -m question -v -W 10 >out || fail "$program $version: $?"
        same "the answer to $program, $version" "answer got question" "$(cat out)"
        wait $!
      done
    done
    # Without -R a message that was retained before is the answer.
    their_pub -t answer -r -q 1 -m old
    same "a retained one" old "$("$PROGRAMS/mgos_mqtt_rr" "${at[@]}" -t ask -e answer -n)"
    fails 27 "no answer in time" "$PROGRAMS/mgos_mqtt_rr" "${at[@]}" -t ask -e answer -m x -R -W 1
    for program in mosquitto_rr "$PROGRAMS/mgos_mqtt_rr"; do
      fails 1 "" "$program" "${at[@]}" -t ask -m x
      fails 1 "" "$program" "${at[@]}" -t ask -e answer
      fails 1 "" "$program" "${at[@]}" -t 'ask/#' -e answer -m x
      fails 1 "" "$program" -h 127.0.0.1 -p 1 -t ask -e answer -m x
    done
    ;;
  impossible) # recognised, and refused with the reason; nothing is connected to
    refused=(-t a -m x -h 127.0.0.1 -p 1)
    fails 1 "engines belong to OpenSSL" pub "${refused[@]}" --tls-engine pkcs11
    fails 1 "engines belong to OpenSSL" pub "${refused[@]}" --keyform engine
    fails 1 "engines belong to OpenSSL" pub "${refused[@]}" --tls-engine-kpass-sha1 00
    fails 1 "TLS 1.1 is not spoken" pub "${refused[@]}" --tls-version tlsv1.1
    fails 1 "SRV records are not looked up" pub "${refused[@]}" -S
    fails 8 "ECDHE-RSA-AES128-SHA" pub "${refused[@]}" --ciphers ECDHE-RSA-AES128-SHA
    ;;
  url)
    url=mqtt://127.0.0.1:$MQTT_PORT
    their_sub -E -c -i watch -q 1 -t '#'
    pub -L "$url/a%20b/c%2Fd%25" -q 1 -m 1
    pub -L "MQTT://us%40er:p%3Aa%2F@127.0.0.1:$MQTT_PORT/plain" -q 1 -m 2
    pub -L "tcp://127.0.0.1:$MQTT_PORT" -t other -q 1 -m 3
    pub -L "$url/ignored" -t wins -q 1 -m 4
    same "topics" "a b/c/d% 1|plain 2|other 3|wins 4|" "$(their_sub -c -i watch -q 1 -t '#' -C 4 -F '%t %p|' | tr -d '\n')"
    fails 1 "two hexadecimal digits" pub -L "$url/a%2" -m x
    fails 1 "two hexadecimal digits" pub -L "mqtt://a:%zz@127.0.0.1/a" -m x
    fails 1 "the URL has no host" pub -L "mqtt:///a" -m x
    fails 1 "is not a number from 1 to 65535" pub -L "mqtt://127.0.0.1:0/a" -m x
    fails 1 "does not begin with mqtt://" pub -L "127.0.0.1/a" -m x
    fails 1 "a topic (-t) is needed" pub -L "$url/a" -L "$url" -m x # the later one says all
    fails 1 "127.0.0.88:80" pub -L "$url/a" -L "ws://127.0.0.88/a" -m x
    fails 1 "a local socket has no TLS" pub --unix socket --tls-alpn mqtt -t a -m x
    fails 1 "a local socket has no TLS" pub --unix socket -L "ws://127.0.0.1/a" -m x
    fails 1 "'[' has no ']'" pub -L "mqtt://[::1/a" -m x
    # 8883 means TLS, and any option about TLS does: no byte of the password goes out in clear.
    fails 8 "not speak TLS" pub -h 127.0.0.1 -p "$MQTT_PORT" -u alice -P hunter2 --tls-alpn mqtt -t a -m x
    fails 8 "not speak TLS" pub -L "mqtts://alice:hunter2@127.0.0.1:$MQTT_PORT/a" -m x
    fails 1 "mqtts://127.0.0.88:8883" "$PROGRAMS/mgos_mqtt_pub" -d -h 127.0.0.88 -p 8883 -t a -m x
    ;;
  properties) # -D: what is not sent is refused before anything is connected to
    refused=(-h 127.0.0.1 -p 1)
    pub=(pub "${refused[@]}" -t a -m x) sub=(sub "${refused[@]}" -t a)
    rr=("$PROGRAMS/mgos_mqtt_rr" "${refused[@]}" -t a -e b -m x) doctor=("$PROGRAMS/mgos_mqtt_doctor" "${refused[@]}")
    fails 1 "'-Dconnect' is no option" "${pub[@]}" -Dconnect receive-maximum 5
    fails 1 "'-dDfoo' is no option" "${pub[@]}" -dDfoo connect receive-maximum 5
    fails 1 "'--property' is no option" "${pub[@]}" --property=connect receive-maximum 5
    mkdir config
    echo "-Dconnect receive-maximum 5" >config/mgos_mqtt_pub
    XDG_CONFIG_HOME=$PWD/config fails 1 "line 1: '-Dconnect' is no option" "${pub[@]}"
    fails 1 "UNSUBSCRIBE is sent without properties" "${sub[@]}" -D unsubscribe user-property a b
    for wrong in "pub subscribe" "sub publish" "doctor subscribe" "doctor publish" "doctor disconnect" "doctor will"; do
      declare -n command=${wrong% *}
      fails 1 "-D ${wrong#* }: this program sends no such packet" "${command[@]}" -D "${wrong#* }" user-property a b
    done
    fails 1 "publish cannot carry will-delay-interval" "${pub[@]}" -D publish will-delay-interval 1
    fails 1 "disconnect cannot carry content-type" "${sub[@]}" -D disconnect content-type x
    fails 1 "a will cannot carry topic-alias" "${sub[@]}" --will-topic w -D will topic-alias 1
    fails 1 "-D needs MQTT 5.0" "${pub[@]}" -D publish content-type x -V 311
    fails 1 "'0' is not a number from 1 to 268435455" "${sub[@]}" -D subscribe subscription-identifier 0
    fails 1 "'0' is not a number from 1 to 65535" "${rr[@]}" -D connect receive-maximum 0
    fails 1 "-D response-topic: 'a/#' is no topic name" "${pub[@]}" -D publish response-topic 'a/#'
    # What is sent, as a proxy sees it.
    command -v socat >/dev/null || exit 77
    socat -r sent UNIX-LISTEN:proxy,fork TCP:127.0.0.1:"$MQTT_PORT" &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    while [ ! -S proxy ]; do kill -0 $server || fail "the proxy does not start"; done
    at=(--unix proxy)
    many=()
    for i in $(seq 100); do many+=(-D subscribe user-property name "value $i."); done
    sub -E -t a "${many[@]}" -D subscribe subscription-identifier 7
    for i in 1 64 65 100; do grep -qaF "value $i." sent || fail "property $i of SUBSCRIBE is not sent"; done
    mosquitto_pub -h 127.0.0.1 -p "$MQTT_PORT" -t kept -q 1 -r -m x
    same "the subscription's identifier" "7 x" "$(sub -t kept -V 5 -D subscribe subscription-identifier 7 -C 1 -F '%S %p')"
    same "the answer" x "$("$PROGRAMS/mgos_mqtt_rr" "${at[@]}" -t ask -e kept -n -D subscribe user-property name "of a request")"
    grep -qaF "of a request" sent || fail "the property of mgos_mqtt_rr's SUBSCRIBE is not sent"
    pub -t topic/with/alias -q 1 -m x --repeat 3 -D publish topic-alias 7
    same "times the topic is sent" 1 "$(grep -oaF topic/with/alias sent | wc -l)"
    same "times its alias is sent" 3 "$(od -An -v -tx1 sent | tr -d ' \n' | grep -o 230007 | wc -l)"
    ;;
  unsubscribe) # a filter twice is one subscription, and the server's answer counts
    sub -E -t a -t a -t b || fail "-E does not end: $?"
    sub -E -c -i taken -q 1 -t a -t b -U b -U b || fail "-E with -U does not end: $?"
    for topic in b a; do pub -t $topic -q 1 -m $topic; done
    same "what is left" a "$(sub -c -i taken -q 1 -t a -C 1)"
    fake refuse
    fails 135 "the server refused to end the subscription to a" sub --unix fake -V 5 -t a -U a -E
    ;;
  late) # after the time of -W the program does not wait until the library gives up: the server reads no more
    head -c 30000000 /dev/zero >sent
    fake stall
    fails 27 "the end comes before the server has received everything" \
      timeout 60 "$PROGRAMS/mgos_mqtt_pub" --unix fake -V 5 -k 600 -t a -f sent -W 1
    # The system has taken all of it, and the server none.
    kill $server && rm fake
    fake stall
    head -c 60000 /dev/zero >sent
    fails 27 "the end comes before the server has received everything" \
      timeout 60 "$PROGRAMS/mgos_mqtt_pub" --unix fake -V 5 -k 600 -t a -f sent -W 1
    ;;
  websocket) # -L ws:// and --ws-path
    next=$((MQTT_PORT + 1))
    their_sub -E -c -i watch -q 1 -t 'ws/#'
    pub -L "ws://127.0.0.1:$next/ws/a%20b" -q 1 -m 1
    pub -L "WS://us%40er:p%2F@127.0.0.1:$next/ws/b" --ws-path '/mqtt?token=t' -q 1 -m 2
    at=(-h 127.0.0.1 -p "$next")
    pub --ws-path /mqtt -t ws/c -q 1 -r -m 3
    same "what is received" 3 "$(sub -L "ws://127.0.0.1:$next/ws/c" -q 1 -C 1)"
    seq 1 500 | pub --ws-path /mqtt -t ws/lines -q 1 -l
    at=(-h 127.0.0.1 -p "$MQTT_PORT")
    same "messages" "ws/a b 1|ws/b 2|ws/c 3|$(seq -f 'ws/lines %g|' 1 500 | tr -d '\n')" \
      "$(their_sub -c -i watch -q 1 -t 'ws/#' -C 503 -F '%t %p|' | tr -d '\n')"
    fails 1 "it may not speak WebSocket on this port" pub -L "ws://127.0.0.1:$MQTT_PORT/ws/a" -m x
    fails 1 "-L" pub -L "wsx://127.0.0.1:$next/ws/a" -m x
    ;;
  proxy) # --proxy: HTTP CONNECT with credentials, for MQTT and below WebSocket
    command -v socat >/dev/null || exit 77
    cat >connect.sh <<'PROXY'
#!/usr/bin/env bash
# A proxy for one connection, standard input and output.
read -r method target _
known=no
while IFS= read -r line && [ "${line%$'\r'}" != "" ]; do
  case $line in "Proxy-Authorization: Basic YWxpY2U6czNjL3JldA=="*) known=yes ;; esac
done
if [ "$known" = no ]; then
  printf 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
  exit
fi
echo "$method $target" >>targets
printf 'HTTP/1.1 200 Connection established\r\n\r\n'
exec socat - "TCP:$target"
PROXY
    mkfifo told
    socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork EXEC:"bash connect.sh" 2>told &
    proxy=$!
    # shellcheck disable=SC2064
    trap "kill $proxy 2>/dev/null || true" EXIT
    exec 3<told
    while read -r -t 20 line <&3; do
      case $line in *"listening on"*) break ;; esac
    done
    cat <&3 >/dev/null &
    exec 3<&-
    port=${line##*:}
    next=$((MQTT_PORT + 1))
    url=http://alice:s3c%2Fret@127.0.0.1:$port
    pub --proxy "$url" -t proxy/a -q 1 -r -m 1
    pub --proxy "$url" -L "ws://127.0.0.1:$next/proxy/b" -q 1 -r -m 2
    same "what is received" "1 2" "$(sub --proxy "$url" -t 'proxy/+' -q 1 -C 2 | sort | tr '\n' ' ' | sed 's/ $//')"
    same "what the proxy was asked for" \
      "CONNECT 127.0.0.1:$MQTT_PORT|CONNECT 127.0.0.1:$next|CONNECT 127.0.0.1:$MQTT_PORT" "$(paste -sd '|' targets)"
    fails 1 "407" pub --proxy "http://alice:hunter2@127.0.0.1:$port" -t a -m x
    ! grep -qE 'hunter2|s3c' err || fail "the password is shown: $(cat err)"
    fails 1 "a proxy begins with http://" pub --proxy "ftp://127.0.0.1:$port" -t a -m x
    fails 1 "the proxy cannot be reached" pub --proxy http://127.0.0.1:1 -t a -m x
    ;;
  descriptors) # standard descriptors that are closed, and a pipe that nobody reads
    sub -E -c -i watch -q 1 -t '#'
    pub -t a -q 1 -m closed <&- >&- 2>&-
    same "with closed descriptors" closed "$(sub -c -i watch -q 1 -t '#' -C 1 <&- 2>&-)"
    status=0
    pub -t a -l <&- 2>said || status=$?
    same "-l without standard input" "1 mgos_mqtt_pub: cannot read: Bad file descriptor" "$status $(cat said)"
    pub -t a -q 1 -m "not printed"
    status=0
    sub -c -i watch -q 1 -t '#' -C 1 >&- 2>said || status=$?
    same "without standard output" "1 mgos_mqtt_sub: cannot write the output: Bad file descriptor" "$status $(cat said)"
    # It was not printed, so it was not acknowledged; and the full disk does not swallow it either.
    fails 1 "No space left" bash -c "\"$PROGRAMS/mgos_mqtt_sub\" -h 127.0.0.1 -p $MQTT_PORT -c -i watch -q 1 -t '#' -C 1 >/dev/full"
    same "after a full disk" "not printed" "$(sub -c -i watch -q 1 -t '#' -C 1)"
    # The end of the pipe is told to the server: no will.
    their_sub -E -c -i will -q 1 -t will
    for i in 1 2 3; do pub -t "r/$i" -r -q 1 -m "$i"; done
    status=0
    { sub -t 'r/#' --will-topic will --will-payload unwanted --will-qos 1 || echo $? >code; } | true
    same "the exit code after SIGPIPE" 141 "$(cat code)"
    pub -t will -q 1 -m next
    same "what comes after the end of the pipe" next "$(their_sub -c -i will -q 1 -t will -C 1)"
    ;;
  options) # what cannot be compared, or is ours alone
    printf 'not to be seen\n' >secret
    their_sub -E -c -i watch -q 1 -t '#'
    pub -t a -q 1 -m 1 -u alice --pw-file secret -vN 2>/dev/null && fail "-v is no option of pub"
    pub -t a -q1 --message=2 -p"$MQTT_PORT"
    pub -t a -q 1 -rn -i me -D publish user-property a b -D publish content-type one -D publish content-type two
    pub -t kept/1 -q 1 -r -m 3
    pub -t kept/2 -q 1 -r -m 4
    same "messages" "a 2|a |kept/1 3|kept/2 4|" "$(their_sub -c -i watch -q 1 -t '#' -C 4 -F '%t %p|' | tr -d '\n')"
    same "retained only" "kept/1 3 kept/2 4" "$(sub -t 'kept/#' --retained-only -C 2 -v | tr '\n' ' ' | sed 's/ $//')"
    # A message that ends it is not printed, so it is not acknowledged.
    sub -E -c -i later -q 1 -t later
    pub -t later -q 1 -m "not printed"
    same "--retained-only" "" "$(sub -c -i later -q 1 -t later --retained-only)"
    same "the next time" "not printed" "$(sub -c -i later -q 1 -t later -C 1)"
    sub -t 'kept/#' -T kept/2 --remove-retained -C 1 >/dev/null 2>&1 & # -T leaves nothing to be printed but kept/1
    wait $!
    same "what is left" "kept/2 4" "$(sub -t 'kept/#' -C 1 -v)"
    same "%J keeps numbers" '{"n":12345678901234567890,"x":1.50}' \
      "$(pub -t json -r -m '{"n": 12345678901234567890, "x": 1.50}' -q 1; sub -t json -C 1 -F %J | sed 's/.*"payload"://; s/}$//')"
    pub -t json -r -q 1 -m '{"n": 1,}'
    fails 0 "not valid JSON" sub -t json -C 1 -F %J
    [ ! -s out ] || fail "%J prints what is not JSON: $(cat out)"
    printf 'a\377\001"\\' | pub -t bytes -r -q 1 -s
    same "JSON of any bytes" '"payload":"a\357\277\275\u0001\"\\"}' "$(sub -t bytes -C 1 -F %j | grep -o '"payload":.*' | sed 's/\xef\xbf\xbd/\\357\\277\\275/')"
    same "hex with a width" "  61ff01225c|61ff01225c  |0061FF01225C|" "$(sub -t bytes -C 1 -F '%12x|%-12x|%012X|')"
    # Its own configuration file comes first, and an error in it is found.
    mkdir config
    export XDG_CONFIG_HOME=$PWD/config
    echo "-t json" >config/mosquitto_sub
    printf '%s\n' "-C 1" "-t kept/2" "-F %p is there" >config/mgos_mqtt_sub
    same "configuration file" "4 is there" "$(sub)"
    printf '%s\n' "" "# one" "--bogus 1" >config/mgos_mqtt_sub
    fails 1 "config/mgos_mqtt_sub, line 3: '--bogus' is no option" sub -t a
    # One that is there and cannot be opened is not passed over.
    rm config/mgos_mqtt_sub
    (cd config && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("mgos_mqtt_sub")')
    fails 1 "cannot read '$PWD/config/mgos_mqtt_sub': " sub -t a
    ;;
  *) fail "no such part" ;;
esac
