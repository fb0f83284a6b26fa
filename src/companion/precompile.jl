# Code that a session runs at its start, when a package is loaded, and at its end should be native code in NativeCache's own
# image. So it runs once here, on an empty session, while the image is made.

if ccall(:jl_generating_output, Cint, ()) == 1
    let id = PkgId(UUID(1), "Nothing"), folder = mktempdir()
        SESSION_KEY[] = ""
        pushfirst!(DEPOT_PATH, folder)      # all files are written there
        try
            mkpath(joinpath(folder, STORE, session_key(), package_folder(id)))
            index = joinpath(folder, STORE, session_key(), package_folder(id), string(hex128(UInt128(1)), ".companion"))
            write(index, "name\tN\nuuid\t$(UUID(2))\nbase\t$(hex128(UInt128(1)))-$(hex(UInt64(1)))\npackage\t$(UUID(1))\tNothing\t$(hex128(UInt128(1)))\nstatement\tcompiled\tTuple{}\t\n")
            companion = companions_of(id, UInt128(1))[1]
            account(companion)
            found = Found(companion, :waiting, :Nothing, "", 0.0, 0, 0, nothing, Any[])
            push!(SESSION.found, found)
            any_store()
            is_outermost()
            look_for(id)
            load_what_can_be()
            try
                restore!(found)
            catch
            end
            insert!(found, Any[])
            log, ours = begin_log()
            append!(found.log, @view log[1:end])
            ours && end_log()
            reject!(found, :Nothing, "")
            send_layout()
            session_setting("trace")
            asked_for(PkgId[id])
            loads(id)
            extensions(PkgId[id])
            packages, text = trace_text()
            parse_found("looked\t1\nentry\tTuple{}\t0\n", PkgId[id])
            placed(["Tuple{}" => [id]], [Member(id, Set{PkgId}())])
            ids = [id]
            add_to_layer(ids, "trace", profile_text(ids, "trace", "sessions", ["Tuple{Int64}"]))
        catch
            # Only time is lost, for example because libnativecache is not built yet.
        finally
            popfirst!(DEPOT_PATH)
            rm(folder; recursive = true, force = true)
            empty!(SESSION.found)
            empty!(SESSION.looked)
            empty!(SESSION.asked)
            SESSION_KEY[] = ""
        end
    end
    precompile(__init__, ())
    precompile(start, ())
    precompile(loaded, (PkgId,))
    precompile(ended, ())
    precompile(trace_session, ())
    precompile(load_companion!, (Found,))
end

# All other code is compiled in the sessions that call it: in the image it would double the time of each loading. Tests
# start hundreds of processes that call it, so they put it into the image.
if ccall(:jl_generating_output, Cint, ()) == 1 && haskey(ENV, "NATIVECACHE_TEST_IMAGE")
    let given = Vector{String}, options = Dict{String,Vector{String}}, out = IOStream, plain = MIME"text/plain"
        for statements in (String, Vector{String}), names in ((:statements, :quiet), (:quiet, :statements))
            precompile(Core.kwcall, (NamedTuple{names,names[1] === :quiet ? Tuple{Bool,statements} : Tuple{statements,Bool}}, typeof(build), String))
        end
        precompile(Core.kwcall, (NamedTuple{(:quiet,),Tuple{Bool}}, typeof(build), String))
        for (f, types) in [(build_set, (Vector{PkgId}, Vector{String}, Nothing, Vector{Source}, Options)),
                           (build_set, (Vector{PkgId}, Nothing, Nothing, Vector{Source}, Options)), (show, (out, plain, BuildResult)),
                           (status, (String,)), (status, ()), (show, (out, plain, Status)), (show, (out, plain, StatusList)),
                           (status_of, (Found,)), (inspect_library, (String,)), (libraries, ()), (explain, (String,)),
                           (explain, (Type{<:Tuple},)), (show, (out, plain, Explanation)), (show, (out, plain, Story)),
                           (verify, (String,)), (profile, (String,)), (stale, ()), (settings, ()), (gc!, ()), (clear!, ()), (clear!, (String,)),
                           (main, (given,)), (run_command, (given, out)), (command_build, (given, options, out)),
                           (command_status, (given, options, out)), (command_explain, (given, options, out)),
                           (train_all, (String, Vector{Any})), (read_value, (Any, typeof(loaded_root), Vector{Pair{Symbol,TypeVar}}))]
            precompile(f, types)
        end
        foreach(command -> precompile(parse_options, (String, given, typeof(command[4]), typeof((command[5]..., "json", "quiet")))), COMMANDS)
    end
end
