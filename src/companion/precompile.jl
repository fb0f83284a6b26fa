# Code that a session runs at its start, when a package is loaded, and at its end should be native code in NativeCache's own
# image. So it runs once here, on an empty session, while the image is made.

if ccall(:jl_generating_output, Cint, ()) == 1 && SHORTENS
    Base.invokelatest(Shortening.begin_edges!)
end
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
            found = Found(companion, :waiting, :Nothing, "", 0.0, 0, 0, nothing, Any[], UInt(0))
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
            record = joinpath(folder, record_of("nothing"))
            mkpath(dirname(record))
            write(record, "project\tnothing\nidle\t1\tnothing\n")
            read_record("nothing")
            is_idle(companion)
            log, ours = begin_log()
            ours && end_log()
            reject!(found, :Nothing, "")
            if SHORTENS
                # A list of one place each, written without what only builds need.
                words = UInt[0, 0, 1, 0, 0, 1, 1, 0]
                words[1] = sum_of(Vector{UInt8}(reinterpret(UInt8, words)))
                write(index * ".ends", words)
                read_ends(index * ".ends")
            end
            learn(PkgId[id], folder, "trace", "sessions", "end")
        catch
            # Only time is lost, for example because libnativecache is not built yet.
        finally
            popfirst!(DEPOT_PATH)
            rm(folder; recursive = true, force = true)
            empty!(SESSION.found)
            empty!(SESSION.looked)
            empty!(SESSION.asked)
            SESSION.project = ""
            empty!(SESSION.idle)
            SESSION_KEY[] = ""
        end
    end
    precompile(__init__, ())
    precompile(start, ())
    precompile(loaded, (PkgId,))
    precompile(ended, ())
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
        # No function is made here: nothing may be defined while what an image rests on is gathered (shortening.jl).
        for command in COMMANDS
            precompile(parse_options, (String, given, typeof(command[4]), typeof((command[5]..., "json", "quiet"))))
        end
    end
end

# Last of all, each on its own, so that nothing of it is inferred before the line above it has run.
if ccall(:jl_generating_output, Cint, ()) == 1 && SHORTENS
    precompile(take_out_own!, ())
    Core.Compiler.track_newly_inferred.x = false
end
if ccall(:jl_generating_output, Cint, ()) == 1 && SHORTENS
    append!(OWN_ENDS.system, Base.invokelatest(Shortening.end_edges!, NativeCache).system)
    Base.invokelatest(Shortening.leave_no_trace!, NativeCache)
end
