# Thin: every target calls tools/setup.py (installs what is missing, < 1 s when nothing is) and a CMake preset.
# JOBS=n builds and tests with n jobs; PRESET=dev|asan|tsan|clang... builds another preset (CMakePresets.json).
SHELL := /bin/bash
.DEFAULT_GOAL := build
PRESET ?= release
JOBS ?= 2
BUILD := build/$(PRESET)

.PHONY: build demo test gates harden bench bench-build deps help clean runtime aarch64

deps: ## install what is missing: Debian packages, LibTorch and LightGBM (into .deps)
	@python3 tools/setup.py

$(BUILD)/CMakeCache.txt: | deps
	@cmake --preset $(PRESET)

build: deps $(BUILD)/CMakeCache.txt ## build everything of PRESET (default: release)
	@cmake --build $(BUILD) -j $(JOBS)

demo: deps $(BUILD)/CMakeCache.txt ## the main job on generated text and pictures: data, fit, eval, report in runs/demo
	@cmake --build $(BUILD) -j $(JOBS) --target fathom fathom-train
	@$(BUILD)/fathom demo

test: build ## build and pass every test that this machine can run
	@ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure --no-tests=error

gates: deps ## clang's warnings, sanitizers, fuzzing, clang-tidy: today's share (GATES=--all: everything)
	@python3 tools/setup.py --gates
	@python3 tools/gates.py $(GATES)

harden: build ## the long sweeps of hostile files: 10,000 flips and every cut of a bundle's and of a checkpoint's files
	@FATHOM_BINARY_DIR=$(BUILD) FATHOM_HARDEN=all python3 tests/cli/harden_test.py

bench-build: deps ## the programs of bench/: peer_row, limits, gemm_bench
	@cmake --preset $(PRESET) -DFATHOM_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target fathom_benches

bench: bench-build ## Fathom beside other engines, into bench/results (ROWS="W1 int8 1": some rows; PEERS=0: ours alone; FRESH=1: from the start)
	@[ "$(PEERS)" = 0 ] || python3 tools/setup.py --bench
	@python3 bench/compare.py --build $(BUILD)/bench --rows "$(ROWS)" $(if $(PEERS),--peers $(PEERS)) $(if $(FRESH),--fresh) \
	  $(if $(BENCH_MODELS),--models $(BENCH_MODELS))

runtime: ## `fathom` alone, without LibTorch and LightGBM, in build/runtime
	@python3 tools/setup.py --runtime
	@cmake --preset runtime
	@cmake --build build/runtime -j $(JOBS) --target fathom

aarch64: ## everything for 64-bit ARM, cross-built in build/aarch64; its tests run under qemu-user
	@python3 tools/setup.py --aarch64
	@cmake --preset aarch64
	@cmake --build build/aarch64 -j $(JOBS)
	@ctest --preset aarch64 -j $(JOBS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

clean: ## remove build folders (keeps .deps and runs)
	rm -rf build
