# usage: julia runtests.jl <probe library> <work folder> <level 0..3> <mode> [compare|order|isolate]
#
# mode: how to call what is not emitted: 0 jl_invoke, 1 directly, 2 invoke, 3 directly, and nothing that the
# sysimage has code for is emitted.
#
# Emits the methods of cases.jl, has them rewritten and compiled to a library, loads that in the same process, fills the
# slots with the addresses that stood there, and compares every call with what the just-in-time compiler's code returns.
using Libdl, Test

const PROBE, WORK, LEVEL, MODE = ARGS[1], ARGS[2], parse(Int32, ARGS[3]), parse(Int32, ARGS[4])
const WHAT = length(ARGS) >= 5 ? ARGS[5] : "compare"
const P = Ptr{Cvoid}
mkpath(WORK)
include("cases.jl")
if isdir(joinpath(WORK, "packages")) # a copy of Dates under another uuid
    pushfirst!(LOAD_PATH, joinpath(WORK, "packages"))
    const Dates = Base.require(Base.identify_package("Dates"))
    append!(CASES, Any[
        (Dates.Date, 2020, 2, 29), (Dates.DateTime, 2020, 2, 29, 12, 30), (Dates.Date, "2020-02-29"),
        (Dates.format, Dates.Date(2020, 2, 29), "yyyy-mm-dd"), (Dates.format, Dates.DateTime(2020, 2, 29, 1), "HH:MM e, d u yyyy"),
        (string, Dates.Date(2020, 2, 29)), (repr, Dates.DateTime(2020)), (+, Dates.Date(2020, 1, 31), Dates.Month(1)),
        (-, Dates.Date(2020, 3, 1), Dates.Date(2020, 2, 1)), (Dates.dayofweek, Dates.Date(2020, 2, 29)),
        (Dates.monthname, Dates.Date(2020, 2, 29)), (Dates.week, Dates.Date(2020, 2, 29)), (Dates.canonicalize, Dates.CompoundPeriod([Dates.Hour(50)])),
        (collect, Dates.Date(2020):Dates.Month(1):Dates.Date(2020, 6)), (Dates.DateFormat, "yyyy/mm/dd"),
        (parse, Dates.DateTime, "2020-02-29T10:11:12.345"), (Dates.tonext, Dates.Date(2020, 2, 29), 3),
        (round, Dates.DateTime(2020, 2, 29, 12, 30), Dates.Day), (Dates.julian2datetime, 2.4e6), (hash, Dates.Date(2020)),
        (isless, Dates.Date(2020), Dates.Date(2021)), (Dates.Time, 1, 2, 3), (string, Dates.Hour(3) + Dates.Minute(2)),
    ])
end

function method_instance(f, args)
    types = Any[a isa Type ? Type{a} : typeof(a) for a in args]
    sig = Tuple{f isa Type ? Type{f} : typeof(f), types...}
    found = ccall(:jl_gf_invoke_lookup, Any, (Any, UInt), sig, ccall(:jl_get_world_counter, UInt, ()))
    m = (found isa Method ? found : found.func)::Method
    ti, env = ccall(:jl_type_intersection_with_env, Any, (Any, Any), sig, m.sig)::Core.SimpleVector
    return Core.Compiler.specialize_method(m, ti, env)
end

# No collection from inference until the addresses are in the slots.
GC.enable(false)
const INSTANCES = Any[method_instance(c[1], c[2:end]) for c in CASES]

"All code instances of this process."
function code_instances()
    tables, modules, found = IdDict{Any,Nothing}(), IdDict{Module,Nothing}(), Core.CodeInstance[]
    function visit(m::Module)
        haskey(modules, m) && return
        modules[m] = nothing
        for name in names(m; all = true, imported = true)
            isdefined(m, name) && !Base.isdeprecated(m, name) || continue
            value = getfield(m, name)
            value isa Module && visit(value)
            type = Base.unwrap_unionall(value isa Type ? value : typeof(value))
            type isa DataType && isdefined(type.name, :mt) && (tables[type.name.mt] = nothing)
        end
    end
    foreach(visit, Base.loaded_modules_array())
    function visit(mi::Core.MethodInstance)
        code = isdefined(mi, :cache) ? mi.cache : nothing
        while code !== nothing
            push!(found, code)
            code = isdefined(code, :next) ? code.next : nothing
        end
    end
    tables[Type.body.name.mt] = nothing
    for table in keys(tables)
        Base.visit(table) do method
            specializations = method.specializations::Core.SimpleVector
            for i in eachindex(specializations)
                isassigned(specializations, i) || continue
                specializations[i] isa Core.MethodInstance && visit(specializations[i])
            end
        end
    end
    return found
end
offset(field) =
    UInt64(fieldoffset(Core.CodeInstance, findfirst(==(field), collect(fieldnames(Core.CodeInstance)))))
address(x) = ccall(:jl_value_ptr, P, (Any,), x)
# Inference comes first: it inlines what loses its inferred code below.
foreach(mi -> Core.Compiler.typeinf_ext(mi, ccall(:jl_get_world_counter, UInt, ())), INSTANCES)
if MODE == 3 # as the worker does: what has native code and no inferred code becomes a thunk
    wanted = IdDict{Any,Nothing}(mi => nothing for mi in INSTANCES)
    for code in code_instances()
        p = address(code)
        if !haskey(wanted, code.def) && unsafe_load(Ptr{P}(p + offset(:specptr))) != C_NULL
            unsafe_store!(Ptr{P}(p + offset(:inferred)), address(nothing))
        end
    end
end

create_time = @elapsed native =
    ccall(:jl_create_native, P, (Vector{Any}, Base.CodegenParams, Cint), unique(INSTANCES), Base.CodegenParams(), 0)
const MODULE = ccall(:jl_get_llvm_module, P, (P,), native)

"The code instance that `jl_create_native` emitted for `mi`, its wrapper's id and its body's."
function emitted(mi)
    code = isdefined(mi, :cache) ? mi.cache : nothing
    while code !== nothing
        f, s = Ref{Int32}(0), Ref{Int32}(0)
        ccall(:jl_get_function_id, Cvoid, (P, Any, Ptr{Int32}, Ptr{Int32}), native, code, f, s)
        (f[] == 0 && s[] == 0) || return (code, f[], s[])
        code = isdefined(code, :next) ? code.next : nothing
    end
    return nothing
end
const FOUND = Any[emitted(mi) for mi in INSTANCES]
llvm_function(id) = ccall(:jl_get_llvm_function, P, (P, UInt32), native, id - 1)
const EXPORTED = P[]
const INDEX = map(FOUND) do found
    found === nothing && return 0
    _, f, s = found
    id = f > 0 ? f : f == -1 ? s : Int32(0)
    id == 0 && return 0
    push!(EXPORTED, llvm_function(id))
    return length(EXPORTED)
end

const LAYOUT = UInt64[offset(:def), offset(:isspecsig), offset(:invoke), offset(:specptr), UInt64(cglobal(:jl_fptr_args))]
const OBJECT = joinpath(WORK, "o$LEVEL-m$MODE.o")
const LIB = dlopen(PROBE)
culprit = WHAT == "isolate" ? "julia_recursion" : "" # without its number
build_time = @elapsed status = ccall(dlsym(LIB, :probe_build), Cint,
    (P, Ptr{P}, Csize_t, Cint, Cint, Ptr{UInt64}, Cstring, Cstring, Cstring),
    MODULE, EXPORTED, length(EXPORTED), LEVEL, MODE, LAYOUT, OBJECT, culprit,
    unsafe_string(Base.JLOptions().cpu_target))
const TEXT = unsafe_string(ccall(dlsym(LIB, :probe_text), Cstring, ()))
write(OBJECT * ".report", TEXT)
status == 0 || error(TEXT)
const REPORT = split.(split(chomp(TEXT), '\n'), '\t')
rows(kind) = filter(r -> r[1] == kind, REPORT)
println("create_native ", round(create_time; digits = 3), " s; ", join((r[2] * " " * r[3] * " s" for r in rows("time")), "; "))
println(join((r[2] * " " * r[3] for r in rows("count")), "; "), "; functions ", rows("functions")[1][2:3], "; object ", filesize(OBJECT))
if WHAT == "isolate" # only one function has a body
    defined = [m[1] for m in eachmatch(r" T (\S+)", read(`nm $OBJECT`, String))]
    @test length(defined) == 1 && startswith(defined[1], "julia_recursion_")
end
WHAT == "compare" || exit(0)

count = Ref{Csize_t}(0)
slots = ccall(dlsym(LIB, :probe_slots), Ptr{UInt64}, (Ptr{Csize_t},), count)
const SLOTS = copy(unsafe_wrap(Array, slots, Int(count[])))
const SHARED = replace(OBJECT, ".o" => ".so")
run(`cc -shared -nostdlib -Wl,-Bsymbolic -Wl,--build-id=none -o $SHARED $OBJECT`)
const LOADED = dlopen(SHARED, RTLD_NOW)
# Where Julia has told its sysimage that the state of a thread lies.
const SYSIMAGE = dlopen(unsafe_string(Base.JLOptions().image_file), RTLD_NOW | RTLD_NOLOAD)
unsafe_store!(Ptr{Int}(dlsym(LOADED, :jl_tls_offset)), unsafe_load(Ptr{Int}(dlsym(SYSIMAGE, :jl_tls_offset))))
unsafe_copyto!(Ptr{UInt64}(dlsym(LOADED, :nativecache_slots)), pointer(SLOTS), length(SLOTS))
const TABLE = Ptr{Int32}(dlsym(LOADED, :nativecache_functions))
entry(i) = P(TABLE) + unsafe_load(TABLE, i)

function native_call(i, case)
    f = case[1]
    args = Any[case[2:end]...]
    GC.@preserve args ccall(entry(INDEX[i]), Any, (Any, Ptr{Any}, UInt32), f, pointer(args), length(args))
end
# `repr` prints every digit that distinguishes one float from another.
same(a, b) = typeof(a) === typeof(b) && (isequal(a, b) || repr(a) == repr(b))
outcome(f) = try
    f()
catch e
    ("threw", typeof(e), sprint(showerror, e))
end

@testset "code generator at -O$LEVEL, mode $MODE" begin
    @test isempty(rows("unknown"))
    @test unsafe_string(Ptr{UInt8}(dlsym(LOADED, :nativecache_build_id)), 16) == "0123456789abcdef"
    missing_imports = unique(r[2] for r in rows("import") if dlsym(dlopen("libjulia"), r[2]; throw_error = false) === nothing)
    @test isempty(missing_imports)
    GC.enable(true)
    called = 0
    for (i, case) in enumerate(CASES)
        INDEX[i] == 0 && continue
        # Emitting a call into a missing library spoils it for the just-in-time compiler of the same process.
        expected = case[1] === F.missing_library ? true : outcome(() -> Base.invokelatest(case[1], deepcopy(case[2:end])...))
        got = outcome(() -> native_call(i, deepcopy(case)))
        called += 1
        @test same(expected, got)
        same(expected, got) || println("different: ", case[1], " ", typeof.(case[2:end]), "\n  ", repr(expected), "\n  ", repr(got))
    end
    @test called > 100
    # An error in the library shows functions, files and lines of the Julia source.
    failing = findfirst(c -> c[1] === F.fails, CASES)
    frames = try
        native_call(failing, CASES[failing])
    catch
        stacktrace(catch_backtrace(), true)
    end
    line(f) = first(methods(f)).line
    for f in (F.deep, F.fails)
        found = filter(frame -> frame.func === nameof(f), frames)
        Base.JLOptions().debug_level > 0 || break
        @test length(found) == 1
        @test basename(String(found[1].file)) == "cases.jl" && found[1].line == line(f)
    end
    println(called, " of ", length(CASES), " cases called")
end
