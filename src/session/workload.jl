# @workload: what a package runs while it is precompiled, to say what its users need.

"""
    NativeCache.@workload begin ... end

In a package's module: run the block while the package is precompiled, and only then, and note what it
compiles, called through dispatch or not, in the `precompile` layer of the package's profile.
`NativeCache.build` makes a library of it, and sessions do so by themselves (setting `auto`). Several
blocks add up. In every other process the block is not even looked at.

Variables of the block are its own. An error in it is shown and does not stop the precompilation.

In a package that has loaded PrecompileTools, which exists for Julia 1.6 and later, the block is a
`PrecompileTools.@compile_workload`: what it compiles is in the package's own image, and nothing is noted.

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
    # Here nothing of the block is inferred yet, and at its beginning all of it may be.
    VERSION >= v"1.10" && tools === nothing && ccall(:jl_generating_output, Cint, ()) != 0 && begin_workload()
    run = tools === nothing ? :(let
        $block
    end) : Expr(:macrocall, GlobalRef(tools, Symbol("@compile_workload")), __source__, block)
    start, stop = tools === nothing ? (:($begin_workload()), :($end_workload($__module__))) : (nothing, nothing)
    # At top level and not in a function: each call is then made as a user's is.
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

"PrecompileTools, where the package has it and has loaded it."
function precompile_tools(mod::Module)
    id = Base.identify_package(mod, "PrecompileTools")
    return id === nothing ? nothing : get(Base.loaded_modules, id, nothing)
end

failed_workload(mod::Module, err) =
    @warn string("NativeCache: the workload of ", mod, " stopped: ", sprint(showerror, err)) _module=nothing _file=nothing

function end_workload(mod::Module)
    # Switched off by the user; in a build's own processes it is on.
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
