#!/usr/bin/env bash
# What programs that are linked with the library rely on, against what is checked in under abi/:
#
#   abi.sh symbols shared|static DIR   the names the library in DIR exports, and abi/symbols.txt
#   abi.sh prototypes                  the functions of include/*.h, and abi/symbols.txt
#   abi.sh types                       the types in include/*.h, and abi/libmgos_mqtt.abi
#   abi.sh update DIR                  writes both files anew (make abi-update)
#
# The types are taken from the headers, compiled into an empty library: that is what a program was
# compiled against, in C's terms, and unlike the debug information of Rust it has nothing private in it.
# Ends with 77 when something cannot be checked on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CC:=cc}" "${READELF:=readelf}"
SYMBOLS=abi/symbols.txt
TYPES=abi/libmgos_mqtt.abi
UPDATE="if the change is meant: make abi-update, and a line under ABI in CHANGELOG.md"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "abi: $*" >&2
  exit 1
}

skip() {
  echo "abi: skipped: $*" >&2
  exit 77
}

# Defined names that other objects can see. (readelf and not nm: see cmake/localise.sh)
exported() {
  local file=$1 table=$2
  "$READELF" "$table" --wide "$file" >"$work/table" || fail "$READELF cannot read $file"
  awk '$5 ~ /^(GLOBAL|WEAK|UNIQUE)$/ && $6 ~ /^(DEFAULT|PROTECTED)$/ && $7 != "UND" && NF >= 8 { sub(/@.*/, "", $8); print $8 }' \
    "$work/table" | sort -u
}

exported_by() {
  case $1 in
    shared) exported "$2/libmgos_mqtt.so" --dyn-syms ;;
    static) exported "$2/libmgos_mqtt.a" --syms ;;
    *) fail "shared or static, not '$1'" ;;
  esac
}

# `declarations names`: the functions that include/*.h declares. `declarations definitions`: the same
# as empty definitions, and one variable for each type, so that those count that only appear behind
# a void pointer or as an int.
declarations() {
  for header in include/*.h; do printf '#include "%s"\n' "${header#include/}"; done >"$work/all.c"
  "$CC" -E -Iinclude "$work/all.c" >"$work/all.i" || fail "the headers do not compile"
  awk -v what="$1" '
    /^# [0-9]+ / { ours = $3 ~ /^"include\//; next }
    !ours { next }
    {
      for (i = 1; i <= length($0); i++) {
        c = substr($0, i, 1)
        if (c == "{") { depth++; braces = 1 }
        statement = statement c
        if (c == "}" && --depth == 0 && statement ~ /^[ \t]*(static|inline|extern inline)/) { statement = ""; braces = 0 }
        if (c == ";" && depth == 0) {
          if (!braces && statement !~ /^[ \t]*(typedef|static)/ && match(statement, /mgos_[A-Za-z0-9_]*[ \t]*\(/)) {
            name = substr(statement, RSTART, RLENGTH); sub(/[ \t]*\(/, "", name)
            if (what == "names") print name
            else { sub(/;$/, " { __builtin_trap(); }", statement); sub(/^[ \t]*extern /, "", statement); print statement }
          }
          if (braces && what != "names" && match(statement, /^[ \t]*(struct|union|enum)[ \t]+[A-Za-z0-9_]+/)) {
            type = substr(statement, RSTART, RLENGTH); name = type; sub(/.*[ \t]/, "", name)
            print type " *abi_type_" name ";"
          }
          statement = ""; braces = 0
        }
      }
      statement = statement " "
    }' "$work/all.i"
}

# The numbers behind macros, as an enumeration; those of the version change with each release.
constants() {
  echo "enum abi_constants { abi_first,"
  sed -n '/_VERSION/d; s/^#define \([A-Z][A-Z0-9_]*\)  *(*-*[0-9].*/  abi_\1 = \1,/p' include/*.h | sort -u
  echo "} abi_constants;"
}

# The ABI of the headers: abidw on a library that defines their functions, empty.
describe() {
  command -v abidiff >/dev/null || skip "abidw and abidiff are not installed (Debian: abigail-tools)"
  { cat "$work/all.c" && constants && cat "$work/definitions"; } >"$work/stub.c"
  # Compiled where it lies, so that the description holds no directory of this machine.
  (cd "$work" && "$CC" -std=gnu2x -g -O0 -w -I"$OLDPWD/include" -shared -fPIC -o stub.so stub.c) || fail "the headers do not compile"
  abidw --headers-dir include --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed \
    --out-file "$work/types.abi" "$work/stub.so"
}

same() { # same WHAT OURS
  diff -u --label "$SYMBOLS" "$SYMBOLS" --label "$1" "$2" || fail "$1: not the names in $SYMBOLS; $UPDATE"
  echo "abi: $1: $(wc -l <"$SYMBOLS") names, as in $SYMBOLS"
}

case ${1-} in
  symbols)
    exported_by "$2" "$3" >"$work/names"
    same "the $2 library" "$work/names"
    ;;
  prototypes)
    declarations names | sort >"$work/names"
    same "the headers" "$work/names"
    ;;
  types)
    arch=$(sed -n "s/.*<abi-corpus.* architecture='\([^']*\)'.*/\1/p" "$TYPES")
    declarations definitions >"$work/definitions"
    describe
    here=$(sed -n "s/.*<abi-corpus.* architecture='\([^']*\)'.*/\1/p" "$work/types.abi")
    [ "$arch" = "$here" ] || skip "$TYPES describes $arch, this is $here"
    abidiff --no-show-locs "$TYPES" "$work/types.abi" || fail "the types in the headers are not those of $TYPES; $UPDATE"
    echo "abi: types and functions as in $TYPES"
    ;;
  update)
    exported_by shared "$2" >"$SYMBOLS"
    declarations definitions >"$work/definitions"
    describe
    cp "$work/types.abi" "$TYPES"
    echo "abi: wrote $SYMBOLS ($(wc -l <"$SYMBOLS") names) and $TYPES"
    ;;
  *)
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
