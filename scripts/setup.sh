#!/usr/bin/env bash
# Installs what building and testing need and what is not there yet:  scripts/setup.sh [group...]
#
#   build     CMake, a C compiler, make, pkg-config (the default)
#   demo      what `make demo` runs with: mosquitto
#   test      what `make test` runs with: cmocka, OpenSSL's headers (for the feature psk, and a TLS server of other
#             making), libuv, libevent and GLib (for examples), valgrind, libabigail, mosquitto, a C++ compiler
#   brokers   the other servers of `make test-brokers`: ejabberd, RabbitMQ, proxies
#   fuzz      what `make fuzz` compiles its target in C with
#   bench     what `make bench` measures with and against: valgrind, strace, OpenSSL, libmosquitto, Paho C
#
# Debian and Ubuntu: by apt, as root or with `sudo -n`, without a question. Elsewhere it only says
# what is missing. No service is left running or enabled by it.
set -euo pipefail
cd "$(dirname "$0")/.."

# group | Debian package | what shows that it is there: a program, a file, pc:<pkg-config module>, py:<Python module>, or
# sanitizer:<what clang can link>
needs() {
  cat <<'EOF'
build   cmake             cmake
build   gcc               cc
build   make              make
build   pkg-config        pkg-config
build   binutils          readelf
demo    mosquitto         mosquitto
test    g++               c++
test    libcmocka-dev     pc:cmocka
test    libssl-dev        pc:libssl
test    valgrind          valgrind
test    abigail-tools     abidw
test    mosquitto         mosquitto
test    mosquitto-clients mosquitto_pub
test    socat             socat
test    python3           python3
test    libuv1-dev        pc:libuv
test    libevent-dev      pc:libevent_core
test    libglib2.0-dev    pc:glib-2.0
brokers ejabberd          ejabberdctl
brokers rabbitmq-server   rabbitmq-server
brokers tinyproxy         tinyproxy
brokers squid             squid
brokers microsocks        microsocks
brokers dante-server      danted
brokers python3-venv      py:ensurepip
fuzz    clang             clang
fuzz    libclang-rt-dev   sanitizer:fuzzer
bench   python3           python3
bench   valgrind          valgrind
bench   strace            strace
bench   openssl           openssl
bench   libssl-dev        pc:openssl
bench   libmosquitto-dev  pc:libmosquitto
bench   libpaho-mqtt-dev  /usr/include/MQTTAsync.h
EOF
}
# The services these packages bring along.
SERVICES="mosquitto ejabberd rabbitmq-server epmd"

PATH=$PATH:/usr/sbin:/sbin # where Debian puts servers, and a user's PATH does not look

fail() {
  echo "setup: $*" >&2
  exit 1
}

# Whether clang has the library of a sanitizer: where that lies differs from version to version.
links_with() {
  local program status=0
  program=$(mktemp)
  echo 'int LLVMFuzzerTestOneInput(const char *at, unsigned long n) { return n > 1000 && at[0]; }' |
    clang -x c - "-fsanitize=$1" -o "$program" 2>/dev/null || status=1
  rm -f "$program"
  return $status
}

present() {
  case $1 in
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    py:*) python3 -c "import ${1#py:}" 2>/dev/null ;;
    sanitizer:*) links_with "${1#*:}" ;;
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

check_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    fail "cargo and rustc (Rust $wanted or newer) are missing. They usually come from rustup, the installer of" \
      "the Rust project (or from a package of that name); open a new shell afterwards, so that ~/.cargo/bin is in PATH."
  fi
  found=$(rustc --version | cut -d' ' -f2) || fail "rustc is there but does not run; with rustup: 'rustup default stable'."
  [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
    fail "Rust $found is too old: $wanted or newer is needed ('rustup update', if it came from rustup)."
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# While packages are installed, a policy of ours keeps their services from being started, unless
# the machine already has a policy; that one is left alone.
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="# temporary, by libmgos_mqtt scripts/setup.sh"
policy_remove() {
  if grep -qsxF "$POLICY_MARK" "$POLICY"; then as_root rm -f "$POLICY"; fi
}
policy_add() {
  policy_remove # of a run that was killed
  if [ ! -e "$POLICY" ]; then
    trap policy_remove EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
  fi
}

# Unit files and init scripts of our services that exist now.
services_present() {
  local name file
  for name in $SERVICES; do
    for file in {/usr/lib,/lib}/systemd/system/"$name".{service,socket} /etc/init.d/"$name"; do
      if [ -e "$file" ]; then basename "$file"; fi
    done
  done | sort -u
}

# An installed service is also enabled for the next boot. Those that were not there before the
# installation are stopped and disabled again; one that somebody already used stays as it was.
services_disable_new() {
  local name
  for name in $(comm -13 <(echo "$1") <(services_present)); do
    case $name in
      *.service | *.socket)
        command -v systemctl >/dev/null || continue
        if [ -d /run/systemd/system ]; then as_root systemctl stop "$name" || true; fi
        as_root systemctl --quiet disable "$name" || echo "setup: could not disable $name" >&2
        ;;
      *)
        if command -v update-rc.d >/dev/null; then as_root update-rc.d "$name" disable || true; fi
        ;;
    esac
  done
}

apt_install() {
  local before apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y
    -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold)
  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    fail "missing: $*. Install them as root: apt-get install --no-install-recommends $*"
  fi
  before=$(services_present)
  policy_add
  # The package lists may be absent or too old: only then they are fetched, and again if that fails.
  if ! as_root "${apt[@]}" install --no-install-recommends "$@" </dev/null; then
    local try
    for try in 1 2 3; do
      if as_root "${apt[@]}" update </dev/null; then break; fi
      [ "$try" = 3 ] || sleep $((try * 5))
    done
    as_root "${apt[@]}" install --no-install-recommends "$@" </dev/null || fail "apt could not install: $*"
  fi
  services_disable_new "$before"
  policy_remove
}

[ $# -gt 0 ] || set -- build
groups=$(needs | cut -d' ' -f1 | uniq | paste -sd' ')
for group in "$@"; do
  [[ " $groups " == *" $group "* ]] || fail "no group '$group'; there are: ${groups// /, }"
done

check_rust
missing=()
while read -r group package probe; do
  case " $* " in *" $group "*) ;; *) continue ;; esac
  present "$probe" || missing+=("$package")
done < <(needs)
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  fail "this is not Debian or Ubuntu; please install these yourself (Debian's names): ${missing[*]}"
fi
echo "setup: installing ${missing[*]}"
apt_install "${missing[@]}"
