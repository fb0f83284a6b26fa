"""
NativeCache keeps the native code that Julia compiles, so that the next session
starts warm. [`NativeCache.build`](@ref) builds one library for each version of a
package; later sessions link it when they load the package.

    julia> NativeCache.build("MyPackage"; statements = "trace.jl")   # once

    julia> using NativeCache, MyPackage                              # from then on

[`NativeCache.status`](@ref) shows what is installed, and [`NativeCache.explain`](@ref)
why a method is not. `JULIA_NATIVECACHE=off` switches everything off.
"""
module NativeCache

using Base: PkgId, UUID
using Libdl

"The folder of these sources: processes that this one starts run files in it, and deps/lib lies beside it."
const SOURCES = @__DIR__

# `Base.include(NativeCache, ...)`, not `include(...)`: on Julia 1.5 calling the latter compiles code that would become
# part of the package image, and of the time that loading it takes (14 ms of 15).
Base.include(NativeCache, "mutation.jl")                       # protections that a test can remove
Base.include(NativeCache, "store/lines.jl")                    # escapes in fields of lines
Base.include(NativeCache, "settings/config.jl")                # settings: keyword, environment, preference files, default
Base.include(NativeCache, "store/store.jl")                    # the places of libraries
if VERSION < v"1.6"
    Base.include(NativeCache, "session/load.jl")               # what runs in every session
elseif VERSION < v"1.10"
    error("NativeCache: Julia $VERSION is not supported: package images, on which it builds, begin with 1.9; use 1.10 or later, or 1.5.3")
else
    Base.include(NativeCache, "companion/companions.jl")       # companions in the store
    # internals of this version of Julia
    VERSION < v"1.12" && Base.include(NativeCache, "companion/julia_before_1_12.jl")
    Base.include(NativeCache, VERSION < v"1.11" ? "companion/julia_1_10.jl" : VERSION < v"1.12" ? "companion/julia_1_11.jl" : "companion/julia_1_12.jl")
    SHORTENS && Base.include(NativeCache, "companion/edges.jl")     # what code of images depends on
    Base.include(NativeCache, "companion/session.jl")          # what runs in every session
end
Base.include(NativeCache, "library.jl")                        # the calls into libnativecache
Base.include(NativeCache, "store/statements.jl")               # the methods to compile: statements and signatures
Base.include(NativeCache, "store/profiles.jl")                 # profiles in the store: layers, reading, deleting
Base.include(NativeCache, "session/trace.jl")                  # what this session has compiled
Base.include(NativeCache, "show/progress.jl")                  # what a build shows while it runs
Base.include(NativeCache, "build/sources.jl")                  # test suites, scripts and precompilation, run to record what they compile
Base.include(NativeCache, "build/build.jl")                    # one library: the worker process and its result
Base.include(NativeCache, "build/plan.jl")                     # `build`: which packages, layers and sources
if VERSION < v"1.6"
    Base.include(NativeCache, "scripts/parts.jl")              # what of a script can be compiled ahead
    Base.include(NativeCache, "scripts/define.jl")             # run while a part is precompiled
    Base.include(NativeCache, "scripts/run.jl")                # running it with its parts
    Base.include(NativeCache, "scripts/build.jl")              # building its parts
end
Base.include(NativeCache, "scripts/commands.jl")               # `nativecache run` and `nativecache test`
Base.include(NativeCache, "session/stale.jl")                  # what is out of date, removing it, building it again
Base.include(NativeCache, "show/reasons.jl")                   # why something is not used
Base.include(NativeCache, "show/status.jl")                    # what this session has installed
Base.include(NativeCache, "session/workload.jl")               # `@workload`: code that a package runs while it is precompiled
Base.include(NativeCache, "show/explain.jl")                   # `explain`: why something is not used, by package and by method
Base.include(NativeCache, "show/verify.jl")                    # `verify`: compile a library's methods again and compare
Base.include(NativeCache, "store/clean.jl")                    # `gc!`, `clear!`
Base.include(NativeCache, "show/json.jl")                      # results as JSON, for programs
Base.include(NativeCache, "show/report.jl")                    # `report`: where the time of a session goes
Base.include(NativeCache, "show/page.jl")                      # the report as HTML
Base.include(NativeCache, "show/cli.jl")                       # bin/nativecache
if VERSION < v"1.6"
    Base.include(NativeCache, "scripts/status.jl")             # what is warm of a script
    Base.include(NativeCache, "native/status.jl")              # the libraries of this session
    Base.include(NativeCache, "native/stale.jl")               # builds of packages, and removing libraries of old builds
    Base.include(NativeCache, "native/workload.jl")            # workloads
    Base.include(NativeCache, "native/explain.jl")             # what libnativecache knows about a method
    Base.include(NativeCache, "native/verify.jl")              # comparing a library with a new build
    Base.include(NativeCache, "native/clean.jl")               # which libraries are no longer needed
    Base.include(NativeCache, "session/distributed.jl")        # workers of Distributed load NativeCache, too
else
    Base.include(NativeCache, "companion/layout.jl")           # the layout of Julia's objects
    Base.include(NativeCache, "companion/statement.jl")        # reads statements
    Base.include(NativeCache, "companion/trainer.jl")          # compiles statements while a companion is precompiled
    SHORTENS && Base.include(NativeCache, "companion/shortening.jl")    # makes images cheaper to load
    Base.include(NativeCache, "companion/trace.jl")            # what this session has compiled
    Base.include(NativeCache, "companion/build.jl")            # one companion: the worker process and its result
    Base.include(NativeCache, "companion/auto.jl")             # builds that a session starts by itself
    Base.include(NativeCache, "companion/status.jl")           # the companions of this session
    Base.include(NativeCache, "companion/stale.jl")            # builds of packages, and removing companions of old builds
    Base.include(NativeCache, "companion/workload.jl")         # workloads
    Base.include(NativeCache, "companion/explain.jl")          # what is known about a method
    Base.include(NativeCache, "companion/verify.jl")           # comparing a companion with a new build
    Base.include(NativeCache, "companion/clean.jl")            # which companions are no longer needed
    Base.include(NativeCache, "companion/precompile.jl")       # puts code that sessions run into this package's image
end

end
