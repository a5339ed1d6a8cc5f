#!/usr/bin/env bash
# The quick loop while a change is made: format, lints, and the tests that need no server and no waiting.
set -euo pipefail
cd "$(dirname "$0")/.."
# Each of them takes a few seconds.
fast=(coverage driver errors_doc headers hostile json_header locks no_std rooms sbom session_closing session_memory
  which_call wire wire_memory)
cargo fmt --all --check
cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D rustdoc::broken_intra_doc_links" cargo doc --locked --no-deps --document-private-items
# The unit tests, and these.
cargo test --locked --lib "${fast[@]/#/--test=}"
