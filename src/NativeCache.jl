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
import InteractiveUtils

# `Base.include(NativeCache, ...)`, not `include(...)`: calling the latter compiles code that
# would become part of the package image, and of the time that loading it takes (14 ms of 15).
Base.include(NativeCache, "lines.jl")       # how texts become fields of lines
Base.include(NativeCache, "config.jl")      # settings: keyword, environment, preference files, default
Base.include(NativeCache, "store.jl")       # where the libraries lie
Base.include(NativeCache, "load.jl")        # what runs in every session
Base.include(NativeCache, "profile.jl")     # which methods: statements and signatures
Base.include(NativeCache, "layers.jl")      # profiles in the store: layers, reading, dropping
Base.include(NativeCache, "trace.jl")       # what this session has compiled
Base.include(NativeCache, "progress.jl")    # what a build shows while it runs
Base.include(NativeCache, "sources.jl")     # test suites, scripts and precompilation, run to see what they need
Base.include(NativeCache, "build.jl")       # one library: the worker process and its result
Base.include(NativeCache, "plan.jl")        # build: which packages, layers and sources
Base.include(NativeCache, "workload.jl")    # @workload: what a package runs while it is precompiled
Base.include(NativeCache, "distributed.jl") # workers have what the master has
Base.include(NativeCache, "fresh.jl")       # what is stale, retiring it, building it again
Base.include(NativeCache, "reasons.jl")     # why something is not used
Base.include(NativeCache, "status.jl")      # what this session has
Base.include(NativeCache, "explain.jl")     # why something is not used, by package and by method
Base.include(NativeCache, "verify.jl")      # compile a library's methods anew and compare
Base.include(NativeCache, "clean.jl")       # gc!, clear!
Base.include(NativeCache, "json.jl")        # all of that for programs
Base.include(NativeCache, "report.jl")      # where a session's latency goes
Base.include(NativeCache, "page.jl")        # that as a page
Base.include(NativeCache, "cli.jl")         # bin/nativecache

end
