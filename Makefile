# What a newcomer types. Each target does all its set-up; a second run does none again.
#
#   make demo     real packages, a first session of each without and with the cache, a table
#   make test     everything that is tested: Rust, then Julia in fresh processes
#   make faults   the fault tests with many more points, and fuzzing; takes most of an hour
#   make sanitize  the tests of the crates without Julia, sessions and a build under AddressSanitizer
#   make random   random packages and sessions with and without the cache, for an hour (MINUTES, SEED)
#   make suites   the test suites of copies of standard libraries: off, on and verify
#   make mutations  takes out one protection after the other and shows that a test notices
#   make bench    everything that is measured, against the JIT and a sysimage; BENCH=--quick for less
#   make docs     docs/ as pages, in site/
#   make set-up   a Julia (deps/julia.sh) and the Rust libraries for it (deps/build.jl)
#   make clean    remove what was built; the private Julia stays
#
# JULIA=/path/to/julia chooses the Julia.

SHELL := /bin/bash
julia = "$$(deps/julia.sh)" --startup-file=no --history-file=no --color=no

.PHONY: demo test random suites mutations faults sanitize bench docs set-up clean

demo: set-up
	@$(julia) bench/demo.jl

test: set-up
	@$(julia) deps/build.jl check
	@rust/native/image/fuzz/run.sh
	@$(julia) test/runtests.jl

faults: set-up
	@rust/native/image/fuzz/run.sh --seconds 300
	@NATIVECACHE_FAULTS=full $(julia) test/runtests.jl faults

sanitize: set-up
	@$(julia) deps/build.jl sanitize
	@NATIVECACHE_FAULTS=sanitizer $(julia) test/runtests.jl faults

random: set-up
	@$(julia) test/random/run.jl $(or $(SEED),1) $(or $(MINUTES),60)

suites: set-up
	@$(julia) test/suites/run.jl $(SUITES)

mutations: set-up
	@$(julia) test/mutations/run.jl

bench: set-up
	@$(julia) bench/run.jl $(BENCH)

docs: set-up
	@test -x docs/.venv/bin/mkdocs || { python3 -m venv docs/.venv && \
	    docs/.venv/bin/pip install --quiet --disable-pip-version-check -r docs/requirements.txt; } || \
	    { echo "make docs needs python3 with venv (Debian: apt-get install python3-venv) and PyPI" >&2; exit 1; }
	@JULIA_LOAD_PATH="$$PWD:@stdlib" $(julia) docs/generate.jl
	@NO_MKDOCS_2_WARNING=1 docs/.venv/bin/mkdocs build --quiet

set-up:
	@deps/julia.sh --tools
	@$(julia) deps/build.jl

clean:
	rm -rf target deps/lib site docs/.venv
