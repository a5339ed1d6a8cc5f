#!/usr/bin/env bash
# Is what README.md and docs/guide.md show true? tests/readme.sh <part>; ctest sets what it is told through the environment.
set -euo pipefail
: "${CONFIG?}" "${SOURCE:?}" "${LIB:?}" "${WORK:?}" "${CC:?}" "${CFLAGS?}"
mkdir -p "$WORK"

fail() {
  echo "readme: $*" >&2
  exit 1
}
# The block that begins with ```$1 and has a line with $2, of README.md or the guide.
block() {
  awk -v fence="\`\`\`$1" -v mark="$2" '
    /^```/ && !open { open = 1; wanted = $0 == fence; text = ""; found = 0; next }
    /^```/ { open = 0; if (wanted && found) { printf "%s", text; exit } next }
    { text = text $0 "\n"; if (index($0, mark)) found = 1 }' "$SOURCE/README.md" "$SOURCE/docs/guide.md"
}

# Without a server, a program says what is wrong: the first line on its standard error has this text.
explains() { # explains PROGRAM TEXT
  local line="" program
  mkfifo "$1.said"
  MQTT_SERVER=127.0.0.1:1 "$1" >/dev/null 2>"$1.said" &
  program=$!
  read -r -t 20 line <"$1.said" || true
  kill "$program" 2>/dev/null || true
  wait "$program" 2>/dev/null || true
  rm "$1.said"
  case $line in *"$2"*) ;; *) fail "without a server $1 says '$line', not '$2'" ;; esac
}

case ${1:?} in
  program) # the first program of README.md, which stays short: built as it stands, with its server's address replaced by a free one
    [ "$(wc -l <"$SOURCE/README.md")" -le 150 ] || fail "README.md has more than 150 lines: the rest belongs to docs/"
    block c "int main" >"$WORK/hello.c"
    [ "$(wc -l <"$WORK/hello.c")" -le 16 ] || fail "the first program has more than 16 lines"
    grep -q '127.0.0.1:1883' "$WORK/hello.c" || fail "the first program has no address to replace"
    sed -i 's/"127.0.0.1:1883"/getenv("MQTT_SERVER")/; 1i #include <stdlib.h>' "$WORK/hello.c"
    # shellcheck disable=SC2086 # flags
    "$CC" $CFLAGS -std=c99 -Wall -Wextra -Wpedantic -Werror -Wno-unused-parameter -I"$SOURCE/include" "$WORK/hello.c" \
      "$LIB/libmgos_mqtt.a" -lutil -lrt -lpthread -lm -ldl -lc -o "$WORK/hello"
    output=$("$SOURCE/scripts/with_mosquitto.sh" timeout 20 "$WORK/hello")
    wanted=$(block "" "greeting/world" | sed -n '/greeting\/world/p')
    [ -n "$wanted" ] || fail "the program's output is not shown"
    [ "$output" = "$wanted" ] || fail "expected '$wanted', found '$output'"
    explains "$WORK/hello" "port: 127.0.0.1:1"
    ;;
  arrived) # the program that asks whether its message arrived
    block c "mgos_mqtt_conn_publish_wait" >"$WORK/arrived.c"
    grep -q '127.0.0.1:1883' "$WORK/arrived.c" || fail "the second program has no address to replace"
    sed -i 's/"127.0.0.1:1883"/getenv("MQTT_SERVER")/; 1i #include <stdlib.h>' "$WORK/arrived.c"
    # shellcheck disable=SC2086 # flags
    "$CC" $CFLAGS -std=c99 -Wall -Wextra -Wpedantic -Werror -I"$SOURCE/include" "$WORK/arrived.c" \
      "$LIB/libmgos_mqtt.a" -lutil -lrt -lpthread -lm -ldl -lc -o "$WORK/arrived"
    output=$("$SOURCE/scripts/with_mosquitto.sh" timeout 20 "$WORK/arrived")
    [ "$output" = acked ] || fail "expected 'acked', found '$output'"
    explains "$WORK/arrived" "port: 127.0.0.1:1"
    ;;
  output) # what `make demo` is shown to print: its headings, and its last line
    block "" "== Publish and subscribe" >"$WORK/demo"
    [ -s "$WORK/demo" ] || fail "the output of make demo is not shown"
    grep -E '^== |^demo: ' "$WORK/demo" >"$WORK/shown"
    sed -n 's/^heading "\(.*\)"$/== \1/p; s/^echo "\(demo: .*\)"$/\1/p' "$SOURCE/scripts/demo.sh" >"$WORK/printed"
    diff -u "$WORK/shown" "$WORK/printed" || fail "docs/guide.md does not show what scripts/demo.sh prints"
    ;;
  # field: F-84
  size) # the column of the size table that this build is about, on the machine that the table is about, within 2 %
    : "${FEATURES:?}"
    # What is built differs from Cargo's default features (but the store, which no C library has) by: -without +with
    difference() {
      local default
      default=$(sed -n 's/^default = \[\(.*\)\]/\1/p' "$SOURCE/Cargo.toml")
      comm -3 --output-delimiter=+ <(tr -d ' "' <<<"$default" | tr , '\n' | grep -vx store | sort) <(tr , '\n' <<<"$FEATURES" | sort) |
        sed 's/^[^+]/-&/' | tr -d '\n'
    }
    # shellcheck disable=SC2016 # backticks of Markdown
    case "$CONFIG:$(difference)" in
      Release:) column='`release`' ;;
      MinSizeRel:) column='`min-size`' ;;
      Release:-pq-tls) column='`MGOS_MQTT_TLS=OFF`' ;;
      Release:+psk) column='`MGOS_MQTT_PSK=ON`' ;;
      *) column= ;;
    esac
    case "$column:$(uname -sm):$(rustc --version)" in
      '`'*':Linux x86_64:rustc 1.95.'*) ;;
      *) echo "readme: no numbers for this build"; exit 77 ;;
    esac
    differ=0
    near() { # near ROW BYTES
      local kib=$((($2 + 512) / 1024)) said
      said=$(awk -F' *[|] *' -v row="$1" -v column="$column" '
        index($2, "Size in KiB") { for (i = 3; i < NF; i++) if ($i == column) at = i; next }
        at && index($2, row) { print $at + 0; exit }' "$SOURCE/README.md")
      echo "$column, $1: $kib KiB, README.md says ${said:=0}"
      if [ $((said * 100)) -lt $((kib * 98)) ] || [ $((said * 100)) -gt $((kib * 102)) ]; then differ=$((differ + 1)); fi
    }
    block c "int main" >"$WORK/size.c"
    # The program by the line that is shown, beside what it would find installed.
    line=$(block sh "pkg-config --static" | sed -n 's/^cc firmware\.c \(.*--static.*\) -o firmware .*/\1/p')
    [ -n "$line" ] || fail "the line that links the static library is not shown"
    : "${PC_FILE:=$LIB/../mgos_mqtt.pc}"
    rm -rf "$WORK/tree"
    mkdir -p "$WORK/tree"
    cp "$LIB/libmgos_mqtt.a" "$WORK/tree"
    sed "s|^libdir=.*|libdir=$WORK/tree|; s|^includedir=.*|includedir=$SOURCE/include|" "$PC_FILE" >"$WORK/tree/mgos_mqtt.pc"
    (
      export PKG_CONFIG_PATH=$WORK/tree
      eval "\"\$CC\" -std=c99 \"\$WORK/size.c\" $line -o \"\$WORK/size\""
    )
    strip -o "$WORK/size.so" "$LIB/libmgos_mqtt.so"
    near "shared library, stripped" "$(stat -c %s "$WORK/size.so")"
    near "static library, as installed" "$(stat -c %s "$LIB/libmgos_mqtt.a")"
    near "the program above" "$(stat -c %s "$WORK/size")"
    [ $differ -eq 0 ] || fail "$differ sizes differ by more than 2 %"
    ;;
  *) fail "no part '$1'" ;;
esac
