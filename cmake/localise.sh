#!/bin/sh
# Makes a static Rust library that has only its public names global:
#
#   localise.sh [--strip-debug] PREFIX INPUT.a OUTPUT.a
#
# Public is what is defined, visible and starts with PREFIX followed by one letter or digit, so that
# PREFIX_ with a second underscore stays private; and mongoose_poll. Everything is linked into one relocatable object,
# what no public name reaches is left out, and the rest becomes local. Without this, two static
# libraries that contain Rust's standard library cannot be linked into one program (rust#44322),
# and every name of every dependency could clash with one of the application.
#
# LD, OBJCOPY, AR and READELF name the tools; a cross build sets them. Names are read with readelf:
# nm would load whatever plugins are installed for it, and LLVM's dies on bitcode newer than itself.
set -eu

fail() {
  echo "localise.sh: $*" >&2
  exit 1
}

strip=
if [ "${1-}" = --strip-debug ]; then
  strip=--strip-debug
  shift
fi
[ $# -eq 3 ] || fail "usage: localise.sh [--strip-debug] PREFIX INPUT.a OUTPUT.a"
prefix=$1 input=$2 output=$3
: "${LD:=ld}" "${OBJCOPY:=objcopy}" "${AR:=ar}" "${READELF:=readelf}"
for tool in "$LD" "$OBJCOPY" "$AR" "$READELF"; do
  command -v "$tool" >/dev/null || fail "'$tool' is missing; it usually comes with binutils"
done
[ -r "$input" ] || fail "cannot read $input"

dir=$(mktemp -d) || fail "cannot make a temporary directory"
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# The global, visible, defined names of a library or object: one a line, sorted.
globals() {
  "$READELF" --syms --wide "$1" >"$dir/syms" 2>"$dir/errors" || fail "$READELF $1: $(cat "$dir/errors")"
  awk '$5 ~ /^(GLOBAL|WEAK|UNIQUE)$/ && $6 ~ /^(DEFAULT|PROTECTED)$/ && $7 != "UND" && NF >= 8 { print $8 }' "$dir/syms" | sort -u
}

globals "$input" | grep -E "^(${prefix}[A-Za-z0-9]|mongoose_poll$)" >"$dir/public" || fail "$input defines no name that starts with $prefix"
first=$(head -n 1 "$dir/public")
# -e and -u make the public names roots; the garbage collection wants at least one. Groups (COMDAT)
# are dissolved: the linker would take ours for the group of the same name in another Rust library,
# drop that one, and then not find the name in it that is local here.
sed 's/^/-u /' "$dir/public" >"$dir/roots"
"$LD" -r --gc-sections --force-group-allocation -e "$first" "@$dir/roots" -o "$dir/all.o" "$input" ||
  fail "$LD cannot link $input into one object; GNU ld can (set LD), and -DMGOS_MQTT_LOCALISE=OFF leaves this step out"
"$OBJCOPY" $strip --keep-global-symbols="$dir/public" --remove-section=.llvmbc --remove-section=.llvmcmd \
  "$dir/all.o" "$dir/$(basename "$output" .a).o" || fail "$OBJCOPY failed"

globals "$dir/$(basename "$output" .a).o" >"$dir/left"
cmp -s "$dir/public" "$dir/left" ||
  fail "the names of the result are not those of $input: $(diff "$dir/public" "$dir/left" | grep '^[<>]' | tr '\n' ' ')"

rm -f "$output"
(cd "$dir" && "$AR" rcsD out.a "$(basename "$output" .a).o") || fail "$AR failed"
mv "$dir/out.a" "$output"
