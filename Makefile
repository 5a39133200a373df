# SPDX-License-Identifier: Apache-2.0
# The front door. meson and ninja do the work; see docs/HACKING.md for the ways round the back.
#
#   make            install what is missing and build build/amber
#   make check      the quick ones: format, layers, sizes, shellcheck, unit tests (a minute)
#   make test       everything (under 20 minutes); make test SUITES="live robust" runs some of it
#   make demo       a loaded redis is checkpointed and brought back three times
#   make bench      what a checkpoint costs its container, amber and CRIU (docs/BENCHMARKS.md)
#   make fuzz-smoke five seconds of each fuzzer
#   make clean      remove the build folders

SUITES ?= all

.PHONY: all deps asan fuzz check test demo bench fuzz-smoke clean

all: deps build/build.ninja
	ninja -C build

deps:
	@scripts/install-deps

build/build.ninja: | deps
	meson setup build

build-asan/build.ninja: | deps
	meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false

build-fuzz/build.ninja: | deps
	CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false

asan: build-asan/build.ninja
	ninja -C build-asan

fuzz: build-fuzz/build.ninja
	ninja -C build-fuzz

check: all
	scripts/run-tests checks unit

test: all asan fuzz
	scripts/run-tests $(SUITES)

fuzz-smoke: fuzz
	scripts/run-tests fuzz

demo: all
	scripts/demo

bench: all
	tests/bench/bench --into build/bench.json >/dev/null
	@echo build/bench.json

clean:
	rm -rf build build-asan build-fuzz
