#!/usr/bin/env bash
# Runs a command beside certificates that were made just for it, and ends with the command's status:
#
#   scripts/with_certificates.sh command [argument...]
#
# The word @CERTS@ in arguments becomes a directory, which is removed afterwards, with certificates and keys:
#
#   ca.pem                         the authority
#   server.pem, server.key         for localhost and 127.0.0.1; rsa.pem and rsa.key the same with an RSA key
#   client.pem, client.key         of a client
#   other-name, expired, future    as server, but for broker.example, over since 2021, and valid from 2095
#   self-signed                    as server, signed by nobody else
#   revoked, ca.crl                as server, but on the authority's list of revoked certificates
#   server.pin                     the SHA-256 of the server's public key, in hexadecimal digits
#   psk                            the pre-shared key of the identity device-1, as mosquitto reads it
#   tls12.cnf                      for OPENSSL_CONF: nothing above TLS 1.2
#   other-ca.pem                   another authority; other-client.pem and .key are by it
set -euo pipefail
: "${DAYS:=2}" # how long they are valid
command -v openssl >/dev/null || { echo "with_certificates: openssl is not installed" >&2; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/certificates.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 143' TERM HUP INT

HERE="subjectAltName=DNS:localhost,IP:127.0.0.1"

key() { # key FILE [ALGORITHM OPTION]
  openssl genpkey -algorithm "${2-EC}" -pkeyopt "${3-ec_paramgen_curve:P-256}" -out "$dir/$1.key" 2>>"$dir/log"
}
authority() { # authority FILE NAME
  key "$1"
  openssl req -x509 -new -key "$dir/$1.key" -subj "/CN=$2" -days "$DAYS" -out "$dir/$1.pem" 2>>"$dir/log"
  # For certificates of other days, which only `openssl ca` makes in every version.
  : >"$dir/$1.index"
  echo 01 >"$dir/$1.crlnumber"
  printf '%s\n' "[ca]" "default_ca = this" "[this]" "database = $dir/$1.index" "new_certs_dir = $dir" \
    "rand_serial = yes" "unique_subject = no" "default_md = sha256" "default_days = $DAYS" "policy = any" \
    "crlnumber = $dir/$1.crlnumber" "crl_extensions = list" "[list]" "authorityKeyIdentifier = keyid" "[any]" \
    "commonName = supplied" >"$dir/$1.conf"
}
issue() { # issue AUTHORITY FILE NAME EXTENSIONS [OPTION...], with $dir/FILE.key
  local authority=$1 file=$2 name=$3 extensions=$4
  shift 4
  openssl req -new -key "$dir/$file.key" -subj "/CN=$name" -out "$dir/$file.csr" 2>>"$dir/log"
  openssl ca -batch -notext -config "$dir/$authority.conf" -cert "$dir/$authority.pem" -keyfile "$dir/$authority.key" \
    -extfile <(printf '%s\n' "$extensions") -in "$dir/$file.csr" -out "$dir/$file.pem" "$@" 2>>"$dir/log"
}
{
  key rsa RSA rsa_keygen_bits:2048 & # takes longer than all the others
  for name in server revoked client other-name expired future self-signed other-client; do key "$name"; done
  authority ca "Example CA" &&
    authority other-ca "Another CA" &&
    issue ca server localhost "$HERE" &&
    issue ca revoked localhost "$HERE" &&
    ca=(openssl ca -config "$dir/ca.conf" -cert "$dir/ca.pem" -keyfile "$dir/ca.key") &&
    "${ca[@]}" -revoke "$dir/revoked.pem" 2>>"$dir/log" &&
    "${ca[@]}" -gencrl -crldays "$DAYS" -out "$dir/ca.crl" 2>>"$dir/log" &&
    openssl pkey -in "$dir/server.key" -pubout -outform DER | openssl dgst -sha256 | sed 's/.*= *//' >"$dir/server.pin" &&
    issue ca client device-1 "extendedKeyUsage=clientAuth" &&
    issue ca other-name broker.example "subjectAltName=DNS:broker.example" &&
    issue ca expired localhost "$HERE" -startdate 20200101000000Z -enddate 20210203040506Z &&
    issue ca future localhost "$HERE" -startdate 20950101000000Z -enddate 20960101000000Z &&
    issue other-ca other-client device-1 "extendedKeyUsage=clientAuth" &&
    openssl req -x509 -new -key "$dir/self-signed.key" -subj /CN=localhost -days "$DAYS" -addext "$HERE" \
      -out "$dir/self-signed.pem" 2>>"$dir/log" &&
    wait && issue ca rsa localhost "$HERE" &&
    printf '%s\n' "openssl_conf = all" "[all]" "ssl_conf = ssl" "[ssl]" "system_default = limits" "[limits]" \
      "MaxProtocol = TLSv1.2" >"$dir/tls12.cnf"
} || { cat "$dir/log" >&2; exit 1; }

echo "device-1:00112233445566778899aabbccddeeff" >"$dir/psk"

args=()
for word in "$@"; do args+=("${word//@CERTS@/$dir}"); done
status=0
"${args[@]}" || status=$?
exit $status
