#!/usr/bin/env bash
# The headers of the component: headers.sh <part>
#
#   alone    each compiles alone, twice: in C without the configuration of an application, in C++ with it
#   orders   in any order: each comes first once, and all others behind it: forwards in C, backwards in C++
#   table    each row of docs/mongoose-os-api.md compiles, and each header and each name that was counted has a row
#
# CC, CXX (may be empty), SOURCE, and CONFIG, the directory of a mgos_app_config.h, come from the environment.
set -uo pipefail
: "${CC:?}" "${SOURCE:?}" "${CONFIG:?}"
cd "$SOURCE/mongoose_os/include" || exit 1
headers=$(find . -name '*.h' ! -name mgos_app_description.h -printf '%P\n' | sort)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
languages=()

compile() { # compile WHAT OPTION... <source
  local what=$1 language text
  shift
  text=$(cat)
  for language in "${languages[@]}"; do
    case $language in c++*) [ -n "${CXX-}" ] || continue ;; esac
    # shellcheck disable=SC2086 # two words
    if ! printf '%s\n' "$text" | "$CC" -x $language -Wall -Wextra -Wpedantic -Werror -fsyntax-only "$@" -I. -I"$SOURCE/include" - >"$work/said" 2>&1; then
      echo "$what, $language:" && head -n 5 "$work/said"
      wrong=$((wrong + 1))
    fi
  done
}

# A source that includes the given headers and uses something of everything that mgos.h brings.
including() { printf '#include <%s>\n' "$@"; }

case ${1:?} in
  alone)
    for header in $headers; do
      languages=("c -std=c99")
      { including "$header" "$header"; echo "typedef int not_empty;"; } | compile "$header"
      languages=("c++ -std=c++11")
      { including "$header" "$header"; echo "typedef int not_empty;"; } | compile "$header with a configuration" -I"$CONFIG"
    done
    ;;
  orders)
    backwards=$(tac <<<"$headers")
    for header in $headers; do
      languages=("c -std=c11")
      # shellcheck disable=SC2086 # a list
      { including "$header" $headers; echo "typedef int not_empty;"; } | compile "$header, forwards" -I"$CONFIG"
      languages=("c++ -std=c++20")
      # shellcheck disable=SC2086
      { including "$header" $backwards mgos_json.h; echo "typedef int not_empty;"; } | compile "$header, backwards" -I"$CONFIG"
    done
    ;;
  table)
    table=$SOURCE/docs/mongoose-os-api.md
    while IFS= read -r name; do
      case $name in '#'*) continue ;; esac
      grep -qF "| \`$name\` |" "$table" || { echo "no row for $name"; wrong=$((wrong + 1)); }
    done <"$SOURCE/mongoose_os/tests/wanted.txt"
    for header in $headers; do
      [ "$(grep -cE "^\| \`$header\` \|" "$table")" = 1 ] || { echo "not one row for the header $header"; wrong=$((wrong + 1)); }
    done
    for header in $(awk -F'|' '/^\| `/ && NF == 5 { gsub(/[ `]/, "", $2); print $2 }' "$table"); do
      [ -e "$header" ] || { echo "no header $header"; wrong=$((wrong + 1)); }
    done
    for header in $headers; do
      awk -v HEADER="$header" -f "$SOURCE/mongoose_os/tests/names.awk" "$table" >"$work/names.c"
      if ! "$CC" -std=gnu11 -Wall -Wno-cast-function-type -Werror -fsyntax-only -I"$CONFIG" -I. -I"$SOURCE/include" "$work/names.c" 2>"$work/said"; then
        echo "the names of $header:" && head -n 5 "$work/said"
        wrong=$((wrong + 1))
      fi
    done
    ;;
  *) exit 2 ;;
esac
[ $wrong = 0 ] || exit 1
