# What a newcomer types. Each target does all its set-up; a second run does none again.
#
#   make demo     real packages, a first session of each without and with the cache, a table
#   make test     everything that is tested: Rust, then Julia in fresh processes
#   make bench    hot loops and load time against the JIT, measured
#   make set-up   a Julia (deps/julia.sh) and the Rust libraries for it (deps/build.jl)
#   make clean    remove what was built; the private Julia stays
#
# JULIA=/path/to/julia chooses the Julia.

SHELL := /bin/bash
julia = "$$(deps/julia.sh)" --startup-file=no --history-file=no --color=no

.PHONY: demo test bench set-up clean

demo: set-up
	@$(julia) bench/demo.jl

test: set-up
	@$(julia) deps/build.jl check
	@$(julia) test/runtests.jl

bench: set-up
	@$(julia) bench/hotloops.jl

set-up:
	@deps/julia.sh --tools
	@$(julia) deps/build.jl

clean:
	rm -rf target deps/lib
