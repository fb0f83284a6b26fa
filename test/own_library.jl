# Makes the library of NativeCache itself that the other tests' processes use (runtests.jl): a session builds a library
# and asks about it, is traced, and what was seen is built. Everything goes into the depot of this process.

using NativeCache
include("sandbox.jl")
using .Sandbox

const STATEMENTS = "precompile(Tuple{typeof(Small.twice),Int64})\nprecompile(Tuple{typeof(Small.thrice),Int64})\n"

let box = Box()
    add_package(box, "Small", "module Small\ntwice(x) = 2x\nend")
    write(joinpath(box.root, "statements"), STATEMENTS)
    here = ["JULIA_NATIVECACHE_TRACE" => "yes"]
    depot = first(DEPOT_PATH)
    for session in ("""
            $(Sandbox.REPORTER)
            result = NativeCache.build("Small"; statements = $(repr(joinpath(box.root, "statements"))), quiet = true)
            open(io -> sandbox_report(io, result, $(Symbol.(Sandbox.BUILD_BUCKETS))), "report", "w")
            show(stdout, MIME"text/plain"(), result)
            """,
            """
            using Small
            Small.twice(1)
            $(Sandbox.REPORTER)
            open(io -> sandbox_report(io, NativeCache.status("Small"), $(Symbol.(Sandbox.STATUS_BUCKETS))), "report", "w")
            show(stdout, MIME"text/plain"(), NativeCache.status())
            show(stdout, MIME"text/plain"(), NativeCache.status("Small"))
            show(stdout, MIME"text/plain"(), NativeCache.explain("Small"))
            show(stdout, MIME"text/plain"(), NativeCache.explain(Small.twice, (Int,)))
            """,
            """
            NativeCache.build("Small"; statements = ["precompile(Tuple{typeof(Small.twice),Int64})"])
            NativeCache.stale(); NativeCache.profile("Small"); NativeCache.libraries()
            show(stdout, MIME"text/plain"(), NativeCache.gc!(dry_run = true))
            NativeCache.main(["build", "Small", "--quiet"]); NativeCache.main(["status", "Small", "--json"])
            """)
        Sandbox.julia!(box, "using NativeCache\n$session"; env = here, depot = depot)
    end
    Sandbox.julia!(box, "using NativeCache; NativeCache.clear!(\"Small\")"; depot = depot)
    remove(box)
end

result = NativeCache.build(NativeCache; quiet = true)
result.library === nothing && error("no library of NativeCache: ", result.message)
