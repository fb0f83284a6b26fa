# What the build process runs: julia [flags of the session] worker.jl <work folder>
#
# Loads the packages as a session does, turns statements into method instances and hands
# them to libnativecache_worker. As little Julia code as possible runs here, and plain code
# at that: what this process compiles for itself cannot be compiled into the library too.
#
# Files in the work folder, all of them written by build.jl but the last three; fields of lines as lines.jl has them:
#   worker       what this script needs: lines "key\tvalue..."
#   request      what nativecache_build needs, likewise; the module sets are added here
#   statements   one signature a line; everything else refers to them by line number
#   current      the same with this build's names for closures and keyword bodies
#   lasting      what they were found to be, lines "number\tstatement\tpackage..."
#   reasons      why a statement is not compiled, lines "number\tcode\tdetail"; added to here
#   journal      what is about to be done, a line before each step that may kill the process
#   facts        for build.jl: "key\t<hash>" and "package\t<number>\t<build id>"
#   failure      why there is no library, if there is none
const START_WORLD = ccall(:jl_get_world_counter, UInt, ())     # nothing is defined yet

module NativeCacheWorker

Base.include(NativeCacheWorker, "../mutation.jl")      # protections that a test takes out
Base.include(NativeCacheWorker, "../store/lines.jl")         # how texts become fields of lines
Base.include(NativeCacheWorker, "../store/signature.jl")     # from the text of a signature to its type

# Codes of `Reason` in rust/store.
const NO_SUCH_METHOD = "200"
const COMPILED_AT_START = "218"

function append(file::String, text::String)
    io = open(string(WORK, "/", file), "a")
    write(io, text)
    close(io)
    return nothing
end

"What stands behind `key` in lines \"key\\tvalue...\": the fields of each."
function values_of(name::String, key::String)
    found = Vector{String}[]
    for line in readlines(string(WORK, "/", name))
        fields = fields_of(line)
        fields[1] == key && push!(found, fields[2:end])
    end
    return found
end

function fail(text::String)
    append("failure", text)
    ccall(:_exit, Cvoid, (Cint,), 1)
end

hex(x::UInt64) = Base.hex(x, 16, false)

describe(@nospecialize(err)) = sprint(showerror, err)::String

"`item in list`, for which Julia would compile a method here."
function contains(list::Vector{Any}, @nospecialize(item))
    for one in list
        one === item && return true
    end
    return false
end

"Give every root module its name in `Main`: statements name types by it. A later one wins."
function name_modules(modules::Vector{Any}, named::Vector{Any})
    for mod in modules
        name = nameof(mod::Module)
        (mod === Main || mod === Core || mod === Base || contains(named, name)) && continue
        push!(named, name)
        try
            ccall(:jl_set_const, Cvoid, (Any, Any, Any), Main, name, mod)
        catch
            # Main has the name already: statements that use it are reported as not found
        end
    end
    return nothing
end

"""
The method instance that Julia compiles for a call with this signature, or what is wrong with
it. A signature that Julia has compiled, as `--trace-compile` writes it, is found as it is.
"""
function method_instance(@nospecialize(signature), world::UInt)
    entry = ccall(:jl_gf_invoke_lookup, Any, (Any, UInt), signature, world)
    entry === nothing && return "no method matches"
    method = (entry isa Method ? entry : (entry::Core.TypeMapEntry).func)::Method
    exact = (Base.unwrap_unionall(signature)::DataType).isdispatchtuple
    if !exact && ccall(:jl_isa_compileable_sig, Cint, (Any, Any), signature, method) != 0
        meet = ccall(:jl_type_intersection_with_env, Any, (Any, Any), signature, method.sig)::Core.SimpleVector
        return ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any), method, meet[1], meet[2])
    end
    # The compiler may not specialise on some arguments: take what it does take.
    min = zeros(UInt, 1)
    max = zeros(UInt, 1)
    found = ccall(:jl_get_spec_lambda, Any, (Any, UInt, Ptr{UInt}, Ptr{UInt}), signature, world, min, max)
    return found === nothing ? "its arguments are too abstract: no call is compiled for them" : found
end

"""
Has this process compiled it? Then so has every session by the time that it can link a
library: Julia's own start, NativeCache's and the `__init__` of packages are the same there.
"""
function is_compiled(instance::Core.MethodInstance)
    isdefined(instance, :cache) || return false
    code = instance.cache
    place = zeros(UInt, 4)
    while true
        address = code.specptr == C_NULL ? code.invoke : code.specptr
        # What lies in a shared library is the sysimage's or the runtime's; the rest is the JIT's.
        address != C_NULL && ccall(:dladdr, Cint, (Ptr{Cvoid}, Ptr{UInt}), address, place) == 0 && return true
        isdefined(code, :next) || return false
        code = code.next
    end
end

function lookup(text::String, world::UInt)
    signature = signature_of(text)
    Base.unwrap_unionall(signature) isa DataType && signature <: Tuple ||
        return "it is not a tuple type"
    return method_instance(signature, world)
end

const WORK = ARGS[1]
const HANDLE = Ptr{Cvoid}[]
const MODULES = Any[]       # of the session to come: all root modules
const WANTED = Any[]        # the packages that the library is for
const IN_SYSIMAGE = Any[]
const METHODS = Any[]       # the method instance for each statement, or nothing

function symbol(name::String)
    address = zeros(UInt, 1)
    ccall(:jl_dlsym, Cint, (Ptr{Cvoid}, Cstring, Ptr{UInt}, Cint), HANDLE[1], name, address, 1)
    return Ptr{Cvoid}(address[1])
end

function last_error()
    text = ccall(symbol("nativecache_last_error"), Ptr{UInt8}, ())
    return text == C_NULL ? "libnativecache_worker did not say what" : unsafe_string(text)
end

fill_modules(list::Vector{Any}) = for mod in Base.loaded_modules_array()
    push!(list, mod)
end

"First of all: the library, before anything is loaded or compiled."
function prepare()
    library = values_of("worker", "library")[1][1]
    parent = parse(UInt32, values_of("worker", "parent")[1][1])
    memory = parse(UInt64, values_of("worker", "memory")[1][1])
    push!(HANDLE, ccall(:jl_load_dynamic_library, Ptr{Cvoid}, (Cstring, UInt32, Cint), library, 1, 1))
    ccall(symbol("nativecache_worker_start"), Cint, (UInt32, UInt64), parent, memory) == 0 || fail(last_error())
    return nothing
end

"Load the packages, as a session does."
function load()
    append("journal", "load\n")
    fill_modules(IN_SYSIMAGE)
    facts = ""
    wanted = values_of("worker", "wanted")
    for fields in values_of("worker", "load")
        name = fields[2]
        uuid = Base.UUID(fields[1])
        id = uuid.value == 0 ? Base.PkgId(name) : Base.PkgId(uuid, name)
        try
            mod = Base.require(id)
            isempty(facts) && (ccall(symbol("nativecache_worker_watch"), Cint, ()) == 0 || fail(last_error()))
            fields in wanted && push!(WANTED, mod)
            facts = string(facts, "package\t", fields[1], "\t", escape_field(name), "\t", hex(Base.module_build_id(mod)), "\n")
        catch err
            fail(string("package ", name, " could not be loaded: ", describe(err)))
        end
    end
    ccall(symbol("nativecache_worker_loaded"), Cint, ()) == 0 || fail(last_error())
    fill_modules(MODULES)
    key = ccall(symbol("nativecache_key_hash"), UInt64, ())
    append("facts", string("key\t", hex(key), "\n", facts))
    return nothing
end

"Turn the statements into method instances."
function resolve()
    added = Any[]
    text = ""
    for mod in MODULES
        contains(IN_SYSIMAGE, mod) && continue
        push!(added, mod)
        text = string(text, isempty(text) ? "" : ", ", nameof(mod::Module))
    end
    set = ccall(symbol("nativecache_module_set"), UInt64, (Any,), MODULES)
    append("request", string("module_set\t", hex(set), "\t", escape_field(text), "\nstart_world\t", Main.START_WORLD, "\n"))

    # Packages that were asked for or came with them go before those of the sysimage: a
    # package may bear the name of a standard library.
    named = Any[]
    name_modules(added, named)
    name_modules(IN_SYSIMAGE, named)

    # Closures and keyword bodies have lasting names in profiles.
    reasons = string(WORK, "/reasons")
    ccall(symbol("nativecache_to_current"), Cint, (Any, Cstring, Cstring, Cstring), MODULES,
        string(WORK, "/statements"), string(WORK, "/current"), reasons) == 0 || fail(last_error())
    decided = Any[]     # these have their reason already
    isfile(reasons) && for line in readlines(reasons)
        push!(decided, parse(Int, line[1:(findfirst(isequal('\t'), line)::Int - 1)]))
    end
    world = ccall(:jl_get_world_counter, UInt, ())
    number = 0
    for text in readlines(string(WORK, "/current"))
        number += 1
        push!(METHODS, contains(decided, number) ? nothing : resolve_one(number, unescape_field(text), world))
    end
    return nothing
end

function resolve_one(number::Int, text::String, world::UInt)
    append("journal", string("statement ", number, "\n"))
    local found
    try
        found = lookup(text, world)
    catch err
        found = describe(err)
    end
    if found isa Core.MethodInstance
        is_compiled(found) || return found
        append("reasons", string(number, "\t", COMPILED_AT_START, "\t\n"))
    else
        append("reasons", string(number, "\t", NO_SUCH_METHOD, "\t", escape_field(found::String), "\n"))
    end
    return nothing
end

"Infer, emit, link, write."
function build()
    ccall(symbol("nativecache_to_lasting"), Cint, (Any, Any, Any, Cstring), MODULES, WANTED, METHODS, string(WORK, "/lasting")) == 0 ||
        fail(last_error())
    isempty(values_of("worker", "only")) || ccall(:_exit, Cvoid, (Cint,), 0)
    request = string(WORK, "/request")
    ccall(symbol("nativecache_build"), Cint, (Any, Cstring), METHODS, request) == 0 || fail(last_error())
    ccall(:_exit, Cvoid, (Cint,), 0)      # no exit hooks of the packages: nothing here is theirs
end

end

# Each in the world that the one before it has left.
NativeCacheWorker.prepare()
NativeCacheWorker.load()
NativeCacheWorker.resolve()
NativeCacheWorker.build()
