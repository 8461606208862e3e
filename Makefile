# A thin front; each target says what it does, and doing it twice is harmless.
.DEFAULT_GOAL := help
.PHONY: help bootstrap bootstrap-dev build run stop test test-long lint asan bench clean

help:            ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap:       ## install what the build needs (says what and why)
	@tools/bootstrap.sh

bootstrap-dev:   ## the same and the tools of lint and tests
	@tools/bootstrap.sh --dev

build: bootstrap ## release build, binaries in build/release/bin
	@tools/build.sh release

run: build       ## build, start a server, load the example knowledge, ask it a question
	@tools/run.sh start

stop:            ## stop the server that `make run` started
	@tools/run.sh stop

test: bootstrap-dev ## build and run the tests; last line: N passed, N failed
	@tools/test.sh dev

test-long: bootstrap-dev ## long campaigns: kill -9 rounds, simulator seeds, fuzzers; reports under build/reports
	@tools/test.sh long

lint: bootstrap-dev ## format, clang-tidy, layers, banned functions, documented prototypes, function length
	@tools/lint.sh

asan: bootstrap-dev ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/test.sh asan

bench: build     ## measure; JSON with commit and machine under build/reports
	@tools/bench.sh

clean:           ## remove build folders (not the cache of dependencies)
	@echo "removing build/"; rm -rf build
