# @workload: code that a package runs while it is precompiled, to show what its users need.

"""
    NativeCache.@workload begin ... end

Use this in a package's module. The block runs while the package is precompiled, and only then. NativeCache
records what it compiles, called through dispatch or not, in the `precompile` layer of the package's profile.
`NativeCache.build` builds a library from that, and sessions do so by themselves (setting `auto`). If there
are several blocks, all of them count. No other process evaluates the block.

The block has its own scope. An error in it is shown and does not stop the precompilation.

If the package has loaded PrecompileTools, which exists for Julia 1.6 and later, the block becomes a
`PrecompileTools.@compile_workload`: what it compiles is in the package's own image, and nothing is recorded.

# Example

    module MyPackage
    using NativeCache
    greet(name) = string("Hello ", name)
    NativeCache.@workload begin
        greet("world")
    end
    end
"""
macro workload(block)
    tools = precompile_tools(__module__)
    # Nothing of the block is inferred yet here; when it begins to run, all of it may be.
    VERSION >= v"1.10" && tools === nothing && ccall(:jl_generating_output, Cint, ()) != 0 && begin_workload()
    run = tools === nothing ? :(let
        $block
    end) : Expr(:macrocall, GlobalRef(tools, Symbol("@compile_workload")), __source__, block)
    start, stop = tools === nothing ? (:($begin_workload()), :($end_workload($__module__))) : (nothing, nothing)
    # At top level, not in a function, so that each call is made in the way a user makes it.
    return esc(quote
        if ccall(:jl_generating_output, Cint, ()) != 0
            $start
            try
                $run
            catch err
                $failed_workload($__module__, err)
            finally
                $stop
            end
        end
    end)
end

"PrecompileTools, if the package depends on it and has loaded it."
function precompile_tools(mod::Module)
    id = Base.identify_package(mod, "PrecompileTools")
    return id === nothing ? nothing : get(Base.loaded_modules, id, nothing)
end

failed_workload(mod::Module, err) =
    @warn string("NativeCache: the workload of ", mod, " stopped: ", sprint(showerror, err)) _module=nothing _file=nothing

function end_workload(mod::Module)
    # The user has switched it off. In processes of a build it is on.
    get(ENV, "JULIA_NATIVECACHE", "on") == "off" && !haskey(ENV, "NATIVECACHE_BUILDS") && return nothing
    id = Base.root_module_key(Base.moduleroot(mod))
    folder = mktempdir(; prefix = "nativecache-workload-")
    try
        trace_workload(folder, id)
        for entry in readdir(folder), layer in folder_layers(joinpath(folder, entry))
            layer.packages == [id] && put_layer([id], "precompile", read(layer.path, String); mode = REPLACE)
        end
    catch err
        @debug "NativeCache: the workload's profile could not be written" exception = err
    finally
        rm(folder; recursive = true, force = true)
    end
    return nothing
end
