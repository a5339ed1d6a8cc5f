#!/usr/bin/env bash
# The simulation of whole clients in virtual time, see docs/reliability.md:
#
#   scripts/sim.sh             a million faults, at least a thousand in each cell of the table that it prints
#   scripts/sim.sh SEED        one run, with everything that happens in it
#   scripts/sim.sh bugs        whether each deliberate bug of src/bugs.rs is found
#   scripts/sim.sh every       every interleaving of a few messages, with more losses than `make test` has time for
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}/sim
sim() { # sim FOLDER ARGUMENT...
  local folder=$1
  shift
  cargo run --quiet --release --locked --manifest-path tests/sim/Cargo.toml --target-dir "$target/$folder" -- "$@"
}
case ${1-} in
  "") sim plain --faults 1000000 --least 1000 ;;
  bugs) RUSTFLAGS='--cfg mgos_mqtt_bug' sim bugs --bugs 4000 ;;
  every) sim plain --every 1 ;;
  *) sim plain --seed "$1" ;;
esac
