#!/usr/bin/env bash
# Compares README.md's table of sizes with the libraries that benches/build.sh built:  benches/sizes.sh <directory>
set -euo pipefail
cd "$(dirname "$0")/.."
built=$PWD/${1:?}
good=true
compare() { # compare NAME FEATURES
  CONFIG=Release FEATURES=$2 SOURCE=$PWD LIB=$built/$1/lib WORK=$built/$1/readme CC=${CC:-cc} CFLAGS='' \
    tests/readme.sh size || [ $? -eq 77 ] || good=false # 77: the table is about another machine or compiler
}
# Without the store, which no C library has.
default=$(sed -n 's/^default = \[\(.*\)\]/\1/p' Cargo.toml | tr -d ' "' | tr , '\n' | grep -vx store | paste -sd,)
compare tls "$default"
compare plain "$(tr , '\n' <<<"$default" | grep -vxE 'tls|pq' | paste -sd,)"
compare psk "$default,psk"
$good
