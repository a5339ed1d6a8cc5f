#!/usr/bin/env bash
# Makes certificates.h, with PEM files as strings of C, out of a directory of certificates:
#
#   embed.sh <directory of the certificates> <directory for certificates.h>
#
# What the server needs is copied beside it. Each device has a header of its own: the key in it is its secret.
set -euo pipefail
from=${1:?} to=${2:?}
umask 077

string() { # string NAME FILE
  printf 'static const char %s[] =\n' "$1"
  sed -e 's/.*/    "&\\n"/' -e '$s/$/;/' "$2"
}

mkdir -p "$to"
cp "$from/ca.pem" "$from/server.pem" "$from/server.key" "$to/"
{
  echo "/* Made by embed.sh: not to be checked in. */"
  string ca_pem "$from/ca.pem"
  string device_pem "$from/client.pem"
  string device_key_pem "$from/client.key"
} >"$to/certificates.h.new"
mv "$to/certificates.h.new" "$to/certificates.h"
