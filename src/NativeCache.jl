"""
NativeCache keeps the native code that Julia compiles, so that the next session
starts warm: one shared library per version of a package, made ahead of time by
[`NativeCache.build`](@ref), found and linked when the package is loaded.

    julia> NativeCache.build("MyPackage"; statements = "trace.jl")   # once

    julia> using NativeCache, MyPackage                              # from then on

[`NativeCache.status`](@ref) says what is installed, [`NativeCache.explain`](@ref)
why a method is not. `JULIA_NATIVECACHE=off` switches all of it off.
"""
module NativeCache

using Base: PkgId, UUID
using Libdl

"The folder of these sources: processes that this one starts run files in it, and deps/lib lies beside it."
const SOURCES = @__DIR__

# `Base.include(NativeCache, ...)`, not `include(...)`: on Julia 1.5 calling the latter compiles code that would become
# part of the package image, and of the time that loading it takes (14 ms of 15).
Base.include(NativeCache, "mutation.jl")                       # protections that a test takes out
Base.include(NativeCache, "store/lines.jl")                    # how texts become fields of lines
Base.include(NativeCache, "settings/config.jl")                # settings: keyword, environment, preference files, default
Base.include(NativeCache, "store/store.jl")                    # where the libraries lie
if VERSION < v"1.6"
    Base.include(NativeCache, "session/load.jl")               # what runs in every session
elseif VERSION < v"1.10"
    error("NativeCache: Julia $VERSION is not supported: package images, on which it builds, begin with 1.9; use 1.10 or later, or 1.5.3")
else
    Base.include(NativeCache, "companion/companions.jl")       # companions in the store
    # what this Julia keeps to itself
    VERSION < v"1.12" && Base.include(NativeCache, "companion/julia_before_1_12.jl")
    Base.include(NativeCache, VERSION < v"1.11" ? "companion/julia_1_10.jl" : VERSION < v"1.12" ? "companion/julia_1_11.jl" : "companion/julia_1_12.jl")
    SHORTENS && Base.include(NativeCache, "companion/edges.jl")     # what code of images depends on
    Base.include(NativeCache, "companion/session.jl")          # what runs in every session
end
Base.include(NativeCache, "library.jl")                        # every question to libnativecache
Base.include(NativeCache, "store/statements.jl")               # which methods: statements and signatures
Base.include(NativeCache, "store/profiles.jl")                 # profiles in the store: layers, reading, dropping
Base.include(NativeCache, "session/trace.jl")                  # what this session has compiled
Base.include(NativeCache, "show/progress.jl")                  # what a build shows while it runs
Base.include(NativeCache, "build/sources.jl")                  # test suites, scripts and precompilation, run to see what they need
Base.include(NativeCache, "build/build.jl")                    # one library: the worker process and its result
Base.include(NativeCache, "build/plan.jl")                     # build: which packages, layers and sources
Base.include(NativeCache, "session/stale.jl")                  # what is stale, retiring it, building it again
Base.include(NativeCache, "show/reasons.jl")                   # why something is not used
Base.include(NativeCache, "show/status.jl")                    # what this session has
Base.include(NativeCache, "session/workload.jl")               # @workload: what a package runs while it is precompiled
Base.include(NativeCache, "show/explain.jl")                   # why something is not used, by package and by method
Base.include(NativeCache, "show/verify.jl")                    # compile a library's methods anew and compare
Base.include(NativeCache, "store/clean.jl")                    # gc!, clear!
Base.include(NativeCache, "show/json.jl")                      # all of that for programs
Base.include(NativeCache, "show/report.jl")                    # where a session's latency goes
Base.include(NativeCache, "show/page.jl")                      # that as a page
Base.include(NativeCache, "show/cli.jl")                       # bin/nativecache
if VERSION < v"1.6"
    Base.include(NativeCache, "native/status.jl")              # the libraries of this session
    Base.include(NativeCache, "native/stale.jl")               # builds of packages, and libraries of those that are gone
    Base.include(NativeCache, "native/workload.jl")            # what a workload compiles
    Base.include(NativeCache, "native/explain.jl")             # what libnativecache knows of a method
    Base.include(NativeCache, "native/verify.jl")              # what a library is compared with
    Base.include(NativeCache, "native/clean.jl")               # which libraries are of no use
    Base.include(NativeCache, "session/distributed.jl")        # workers have what the master has
else
    Base.include(NativeCache, "companion/layout.jl")           # where the fields of Julia's objects lie
    Base.include(NativeCache, "companion/statement.jl")        # statements read back
    Base.include(NativeCache, "companion/trainer.jl")          # compiles statements while a companion is precompiled
    SHORTENS && Base.include(NativeCache, "companion/shortening.jl")    # makes images cheaper to load
    Base.include(NativeCache, "companion/trace.jl")            # what this session has compiled
    Base.include(NativeCache, "companion/build.jl")            # one companion: the worker process and its result
    Base.include(NativeCache, "companion/auto.jl")             # what a session builds by itself
    Base.include(NativeCache, "companion/status.jl")           # the companions of this session
    Base.include(NativeCache, "companion/stale.jl")            # which companions are up to date
    Base.include(NativeCache, "companion/workload.jl")         # what a workload compiles
    Base.include(NativeCache, "companion/explain.jl")          # what is known of a method
    Base.include(NativeCache, "companion/verify.jl")           # what a companion is compared with
    Base.include(NativeCache, "companion/clean.jl")            # which companions are of no use
    Base.include(NativeCache, "companion/precompile.jl")       # what a session runs is native code of this package's image
end

end
