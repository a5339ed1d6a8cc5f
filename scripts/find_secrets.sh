#!/usr/bin/env bash
# Whether a secret of the tests stands in what they said:
#
#   scripts/find_secrets.sh folder...
#
# Searches all files below the folders for the passwords, tokens and keys of tests/secrets.txt, and for private keys, as
# text and as lists of bytes. First it sees to it that it would find each of them. Names the places, without the secret.
set -euo pipefail
cd "$(dirname "$0")/.."
list=tests/secrets.txt

# Private keys are other ones in each run, but they all begin alike: PEM; PKCS#8, PKCS#1 and SEC1 in Base64; and the
# bytes of PKCS#8 as Rust and C print them.
keys=(
  '-----BEGIN [A-Z ]*PRIVATE KEY-----.{0,3}[A-Za-z0-9+/]{16}'
  'MIGHAgEAMBMGByqGSM49' 'MIIE[a-z][A-Za-z0-9]IBAD' 'MIIE[a-z][A-Za-z0-9]IBAAKCAQEA' 'MHcCAQEEI'
  '48, 129, 135, 2, 1, 0' '30818702010030'
)
# What each of them must find.
samples=(
  '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG'
  'MIGHAgEAMBMGByqGSM49' 'MIIEvQIBADANBgkq' 'MIIEpAIBAAKCAQEA' 'MHcCAQEEIJ0'
  '[48, 129, 135, 2, 1, 0, 48]' '308187020100301306'
)

own=$(mktemp -d "${TMPDIR:-/tmp}/secrets.XXXXXX")
trap 'rm -rf "$own"' EXIT
grep -v '^#' "$list" >"$own/words"
[ -s "$own/words" ] || { echo "find_secrets: $list is empty" >&2; exit 1; }
patterns=()
for key in "${keys[@]}"; do patterns+=(-e "$key"); done

# Names of files and numbers of lines, but not the lines.
search() {
  { grep -rnaF -f "$own/words" -- "$@" || true; grep -rnaE "${patterns[@]}" -- "$@" || true; } | cut -d: -f1,2 | sort -u
}

mkdir "$own/sample"
while IFS= read -r word; do
  printf 'a line with %s in it\n' "$word" >"$own/sample/one"
  [ -n "$(search "$own/sample")" ] || { echo "find_secrets: it would not find a word of $list" >&2; exit 1; }
  # A word that no test uses any more searches for nothing.
  grep -rqF --exclude=secrets.txt -- "$word" tests scripts || { echo "find_secrets: no test has a word of $list" >&2; exit 1; }
done <"$own/words"
for i in "${!keys[@]}"; do
  printf '%s\n' "${samples[$i]}" >"$own/sample/one"
  patterns=(-e "${keys[$i]}")
  [ -n "$(search "$own/sample")" ] || { echo "find_secrets: it would not find ${keys[$i]}" >&2; exit 1; }
done
patterns=()
for key in "${keys[@]}"; do patterns+=(-e "$key"); done
printf 'a line without any\n' >"$own/sample/one"
[ -z "$(search "$own/sample")" ] || { echo "find_secrets: it finds what is none" >&2; exit 1; }

found=$(search "$@")
if [ -n "$found" ]; then
  echo "find_secrets: a secret of the tests stands in"
  echo "$found"
  exit 1
fi
echo "no secret of the tests in $(find "$@" -type f | wc -l) files with $(find "$@" -type f -exec cat {} + | wc -l) lines"
