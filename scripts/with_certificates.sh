#!/usr/bin/env bash
# Runs a command beside certificates that were made just for it, and ends with the command's status:
#
#   scripts/with_certificates.sh command [argument...]
#
# The word @CERTS@ in arguments becomes a directory with ca.pem, server.pem and server.key (for localhost and
# 127.0.0.1), client.pem and client.key, other-ca.pem, which signed nothing, and psk, the pre-shared key of the
# identity device-1 as mosquitto reads it. It is removed afterwards.
set -euo pipefail
command -v openssl >/dev/null || { echo "with_certificates: openssl is not installed" >&2; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/certificates.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 143' TERM HUP INT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/$1.key" 2>>"$dir/log"; }
authority() { # authority FILE NAME
  key "$1"
  openssl req -x509 -new -key "$dir/$1.key" -subj "/CN=$2" -days 2 -out "$dir/$1.pem" 2>>"$dir/log"
}
issue() { # issue FILE NAME EXTENSIONS
  key "$1"
  openssl req -new -key "$dir/$1.key" -subj "/CN=$2" -out "$dir/$1.csr" 2>>"$dir/log"
  openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
    -extfile <(printf '%s\n' "$3") -out "$dir/$1.pem" 2>>"$dir/log"
}
{
  authority ca "Example CA" &&
    authority other-ca "Another CA" &&
    issue server localhost "subjectAltName=DNS:localhost,IP:127.0.0.1" &&
    issue client device-1 "extendedKeyUsage=clientAuth"
} || { cat "$dir/log" >&2; exit 1; }

echo "device-1:00112233445566778899aabbccddeeff" >"$dir/psk"

args=()
for word in "$@"; do args+=("${word//@CERTS@/$dir}"); done
status=0
"${args[@]}" || status=$?
exit $status
