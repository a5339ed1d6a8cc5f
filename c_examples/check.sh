#!/usr/bin/env bash
# Does an example print what its first comment says?  check.sh <example.c> <program> [argument...]
#
# The lines after "Expected output:" are compared one by one, after "Expected output, in any order:" as a
# set. <word> in them stands for any word without blanks. The program has to end with status 0.
set -uo pipefail
source=${1:?} program=${2:?}
shift 2
output=$("$program" "$@")
status=$?
printf '%s\n' "$output" | awk -v source="$source" -v status="$status" '
  BEGIN {
    while ((getline line < source) > 0 && line !~ /\*\//) {
      if (line ~ /^ \* Expected output/) { inside = 1; any = line ~ /in any order:$/; continue }
      if (!inside) continue
      if (line !~ /^ \*   /) { print "in " source ": not a line of output: " line; bad = 1; exit }
      expected[++n] = substr(line, 6)
      pattern = expected[n]
      gsub(/[][\\.^$*+?(){}|]/, "\\\\&", pattern)
      gsub(/<[a-z_]+>/, "[^ ]+", pattern)
      patterns[n] = "^" pattern "$"
    }
    if (n == 0) { print source " does not say what its output is"; bad = 1; exit }
  }
  { actual[++m] = $0 }
  END {
    if (bad) exit 1
    for (i = 1; i <= m; i++) {
      found = 0
      for (j = any ? 1 : i; j <= (any ? n : i) && !found; j++) {
        if (j <= n && !used[j] && actual[i] ~ patterns[j]) { used[j] = found = 1 }
      }
      print (found ? "  " : "+ ") actual[i]
      if (!found) wrong++
    }
    for (j = 1; j <= n; j++) if (!used[j]) { print "- " expected[j]; wrong++ }
    if (status != 0) { print "the program ended with status " status; wrong++ }
    exit wrong > 0
  }'
