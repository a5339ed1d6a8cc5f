# The front door. Everything behind it can be called directly: cargo, cmake --preset, scripts/.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo check test test-builds test-tsan test-brokers test-fleet soak sim fuzz bench bench-check bench-record headers coverage-doc field-doc conformance-doc programs-doc mutants abi-update sbom clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## build the library and show it at work with a mosquitto of its own
	@scripts/setup.sh build demo
	@cmake --preset release -DMGOS_MQTT_BUILD_TESTS=OFF -DMGOS_MQTT_MONGOOSE_OS=OFF -B build/demo
	@cmake --build build/demo
	@scripts/demo.sh build/demo

check: ## the quick loop: format, lints, the fast tests; under two minutes once everything was built
	@scripts/check.sh

test: ## everything that needs no other server; ends with "N passed, N failed"
	@scripts/setup.sh build test
	@scripts/test.sh

test-builds: ## every set of features, and what is installed: linked, found, reproduced
	@scripts/setup.sh build test
	@scripts/test.sh features package

test-tsan: ## the threads of the C tests under ThreadSanitizer, where there is a nightly Rust with the sources of std
	@scripts/setup.sh build test
	@scripts/test.sh tsan

test-brokers: ## the same test with mosquitto, ejabberd and RabbitMQ, and the tests of loss
	@scripts/setup.sh build test brokers
	@scripts/test-brokers.sh

test-fleet: ## 500 connections of a mosquitto that restarts: no rush, and all come back; about a minute
	@scripts/setup.sh build test
	@cargo test --locked --test fleet -- --ignored --nocapture

soak: ## an hour (SOAK_SECONDS=n) of mixed load through faults; memory, fds, threads, CPU as CSV and SVG
	@scripts/setup.sh build test
	@scripts/soak.sh

BENCH = BENCH_BUILD=build/bench MGOS_MQTT_LIBRARY_PLAIN=build/bench/plain/installed/lib/libmgos_mqtt.so benches/run.py

bench: ## compare with other libraries and with the limit, about 30 minutes; writes docs/benchmarks.md; BENCH_ARGS=--continue after an interruption
	@scripts/setup.sh build bench
	@benches/build.sh build/bench peers
	@$(BENCH) compare $(BENCH_ARGS)

bench-check: ## is anything slower or larger than recorded, or than README.md says? Ours only, about 8 minutes; BENCH_ARGS=--allowed=PERCENT (3)
	@scripts/setup.sh build bench
	@benches/build.sh build/bench psk
	@good=true; benches/sizes.sh build/bench || good=false; $(BENCH) check $(BENCH_ARGS) && $$good

bench-record: ## record what bench-check compares with, after a meant change
	@scripts/setup.sh build bench
	@benches/build.sh build/bench
	@$(BENCH) record

sim: ## a million faults in virtual time; SEED=n shows one run, SEED=bugs the deliberate bugs it finds, SEED=every all orders of a few messages
	@scripts/setup.sh build
	@scripts/sim.sh $(SEED)

fuzz: ## coverage-guided fuzzing, each target for FUZZ_SECONDS (60); ends with "N passed, N failed"
	@scripts/setup.sh build test fuzz
	@scripts/fuzz.sh || [ $$? -eq 77 ]

headers: ## write include/*.h anew from src/capi/
	@MGOS_MQTT_UPDATE_HEADERS=1 cargo test --locked --quiet --test headers checked_in

coverage-doc: ## write docs/coverage.md anew from the marks at the tests
	@MGOS_MQTT_UPDATE_COVERAGE=1 cargo test --locked --quiet --test coverage every_promise

programs-doc: ## write the table of options in docs/programs.md anew
	@cmake --preset dev >/dev/null && cmake --build --preset dev --target mgos_mqtt_document >/dev/null
	@sed -i '/^<!-- options -->$$/q' docs/programs.md && build/dev/c_programs/mgos_mqtt_document table >>docs/programs.md

field-doc: ## write docs/field.md anew from the marks at the tests
	@MGOS_MQTT_UPDATE_FIELD=1 cargo test --locked --quiet --test coverage every_case

conformance-doc: ## write docs/conformance.md anew from tests/conformance/ and the marks at the tests
	@MGOS_MQTT_UPDATE_CONFORMANCE=1 cargo test --locked --quiet --test coverage every_statement

abi-update: headers ## record exported names and types under abi/, after a meant change
	@scripts/setup.sh build test
	@cmake --preset release
	@cmake --build --preset release --target mgos_mqtt_cargo
	@scripts/abi.sh update build/release/lib

mutants: ## change the source in places and see whether a test notices; LAYERS="driver capi" for these, SHARD=k/n for other places
	@scripts/setup.sh build test
	@SHARD=$(SHARD) scripts/mutants.sh $(LAYERS)

sbom: ## write build/sbom.cdx.json: every crate in the library, its licence and checksum (CycloneDX)
	@mkdir -p build
	@MGOS_MQTT_SBOM=$(CURDIR)/build/sbom.cdx.json cargo test --locked --quiet --test sbom -- --nocapture

clean: ## remove everything that was built
	rm -rf build target
