# Why not? For a package each method that is not installed, and each library that is not used;
# for one method its whole story.

"Every method that is not installed and every library that is not used, with reasons: returned by [`NativeCache.explain`](@ref)."
struct Explanation
    status::Status
    unused::Vector{LibraryFacts}        # libraries of the package that this session does not use
end

"""
    NativeCache.explain(package) -> Explanation
    NativeCache.explain(f, types) -> Story
    NativeCache.explain(signature) -> Story
    NativeCache.@explain f(arguments...)

Why something is not used, and what can be done about it.

For a package: every requested method that is not installed in this session, and every library
in the store that this session does not use, with the component that differs, its value at
build and its value here.

For a method, given as in `code_typed` or as a signature `Tuple{typeof(f), Int}`: its whole
[`Story`](@ref NativeCache.Story).

Throws an `ArgumentError` if the package is not found or the signature is none.

# Example

    julia> NativeCache.explain("MyPackage")
    MyPackage: 238 of 240 methods installed
      2 skipped, NamesMain: it names things of Main, which no other session has
        (move the type or function into a package)
          Tuple{typeof(Main.f), Int64}
"""
function explain(package)
    status = NativeCache.status(package)
    used = used_libraries()
    folders = package_folder.(package_ids(package))
    unused = is_on() ? [inspect_library(item.path) for item in stored() if item.package in folders && !(item.path in used)] :
        LibraryFacts[]
    return Explanation(status, sort!(unused; by = facts -> file_time(facts.path), rev = true))
end

"One code instance of a method: `kind` is `library`, `sysimage`, `image` (of a package), `session`, `constant` or `inferred`."
struct CodeStory
    kind::Symbol
    library::String
    first_world::Int
    last_world::Int         # 0: valid still
    ended_by::String
end

"What one library has to do with a method. `statement` is empty if nobody asked for it by name."
struct LibraryStory
    library::String
    bucket::String
    reason::Union{Nothing,Symbol}
    statement::String
    detail::String
end

"""
The story of one method: returned by [`NativeCache.explain`](@ref) with a function and types.

- `signature`: what was asked about; `definition`: the method that it calls, with file and line
- `asked`: the layers whose profiles ask for it, with the seconds that it took to compile
- `libraries`: what became of it in each library; `code`: the code that this session has, newest
  first, and which definition invalidated it
- `runs`: what a call runs now: `:library`, `:sysimage`, `:image` (of a package; Julia 1.10 and
  later), `:session` (compiled in this session), `:constant` or `:nothing` (it will be compiled at the next call)
- `reason`, `detail`: why that is not cached code; `nothing` if it is
"""
struct Story
    signature::String
    definition::String
    asked::Vector{Pair{String,Float64}}
    libraries::Vector{LibraryStory}
    code::Vector{CodeStory}
    runs::Symbol
    reason::Union{Nothing,Symbol}
    detail::String
end

function explain(f, types)
    list = types isa Type ? Base.unwrap_unionall(types).parameters : types
    types isa Type && !(types <: Tuple) && bad_types(types)
    types isa Type || types isa Tuple || bad_types(types)
    return explain(Base.rewrap_unionall(Tuple{Core.Typeof(f),list...}, types))
end

@noinline bad_types(types) = throw(ArgumentError(string(
    "types: expected a tuple of types or a tuple type, such as (Int, String) or Tuple{Int, String}, got ", repr(types))))

function explain(signature::Type{<:Tuple})
    text = statement_text(signature)
    world = Base.get_world_counter()
    instance = instance_of(signature, world)
    instance isa Core.MethodInstance ||
        return Story(text, "", [], [], [], :nothing, :NoSuchMethod, instance)
    method = instance.def::Method
    definition = string(method.module, ".", method.name, " at ", method.file, ":", method.line)
    if statement_text(instance) != text
        definition = string(definition, ", compiled as ", statement_text(instance))
    end
    ids = packages_of(instance)
    statements = Set(squeezed.((text, statement_text(instance))))
    asked = Pair{String,Float64}[]
    for id in ids, (layer, seconds) in profile_layers(id), (statement, took) in seconds
        statement in statements && push!(asked, string(id.name, ", ", layer) => took)
    end
    message = session_message()
    code, libraries = isempty(message[2]) || message[1] !== nothing ? known_of(instance) : (CodeStory[], LibraryStory[])
    append!(libraries, elsewhere(ids, statements, Set(story.library for story in libraries)))
    runs = running(code)
    reason, detail = runs === :library ? (nothing, "") :
        !isempty(message[2]) ? message :
        verdict(runs, code, libraries, asked, text, ids)
    return Story(text, definition, asked, libraries, code, runs, reason, detail)
end

"""
    NativeCache.@explain f(arguments...)

The story of the method that this call runs; the arguments are evaluated, the call is not. See
[`NativeCache.explain`](@ref).

# Example

    julia> NativeCache.@explain Dates.format(now(), "yyyy")
"""
macro explain(call)
    # Only who asks has it loaded: from Julia 1.11 on it is in no system image.
    tools = Base.require(NativeCache, :InteractiveUtils)
    generate = Base.invokelatest(getproperty, tools, :gen_call_with_extracted_types_and_kwargs)
    return Base.invokelatest(generate, __module__, :(NativeCache.explain), (call,))
end

"The packages that the types of a method instance and its method belong to, that one first."
function packages_of(instance::Core.MethodInstance)
    ids = PkgId[]
    function add(mod::Module)
        root = Base.moduleroot(mod)
        root in (Main, Core, Base) || (id = Base.root_module_key(root); id in ids || push!(ids, id))
    end
    function walk(@nospecialize(type))
        type = Base.unwrap_unionall(type)
        type isa DataType || return nothing
        add(type.name.module)
        foreach(walk, type.parameters)
    end
    add(instance.def.module)
    walk(instance.specTypes)
    return ids
end

"The libraries of these packages that hold no code for a method but a word about it, or are not linked."
function elsewhere(ids, statements, known)
    stories = LibraryStory[]
    is_on() || return stories
    folders = package_folder.(ids)
    paths = [item.path for item in stored() if item.package in folders]
    for path in union(found_paths(), paths)
        path in known && continue
        for (bucket, item) in peek(path)
            squeezed(item.statement) in statements || continue
            reason, detail, bucket = item.reason, item.detail, bucket
            if bucket == "compiled"
                problems = inspect_library(path).problems
                bucket = "rejected"
                reason, detail = isempty(problems) ? (:BuiltLater, "") : problems[1]
            end
            push!(stories, LibraryStory(path, bucket, reason, item.statement, detail))
        end
    end
    return stories
end

"What a call runs now."
function running(code)
    for one in code
        one.last_world == 0 && one.kind !== :inferred && return one.kind
    end
    return :nothing
end

function verdict(runs, code, libraries, asked, text, ids)
    runs === :sysimage && return (:InSysimage, "")
    runs === :image && return (:AlreadyNative, code[findfirst(one -> one.kind === :image && one.last_world == 0, code)].library)
    for one in libraries        # the linked ones come first
        one.reason === nothing || return (one.reason, one.detail)
    end
    runs === :constant && return (:ConstantResult, "")
    names_main(text) && return (:NamesMain, "")
    held = any(one -> one.bucket == "installed", libraries)
    held && runs !== :nothing && return (:AlreadyCompiled, "")
    held && isempty(asked) && return (:NotRequested, "the library has what inference found about it, for its callers")
    stored_for = [item for item in stored() if item.package in package_folder.(ids)]
    isempty(asked) || return (isempty(stored_for) ? :NotFound : :AskedLater, join(first.(asked), "; "))
    return (:NotRequested, isempty(stored_for) ? "there is no library" : "")
end

# ---- how they show ----

Base.show(io::IO, explanation::Explanation) = print(io, "Explanation(", explanation.status.package, ")")

function Base.show(io::IO, ::MIME"text/plain", explanation::Explanation)
    show_status(io, explanation.status; statements = true)
    for facts in explanation.unused
        print(io, "\n  not used: ", facts.path)
        isempty(facts.problems) && print(io, "\n    ", told(:BuiltLater)[2])
        for (name, detail) in facts.problems
            text, advice = reason(name)
            print(io, "\n    ")
            printstyled(io, name; bold = true)
            print(io, ": ", text, isempty(detail) ? "" : "\n      $detail", "\n      (", advice, ")")
        end
    end
end

Base.show(io::IO, story::Story) = print(io, "Story(", story.signature, ": ", something(story.reason, "cached"), ")")

function Base.show(io::IO, ::MIME"text/plain", story::Story)
    line(title, text...) = print(io, "\n  ", rpad(title, 11), text...)
    printstyled(io, story.signature; bold = true)
    isempty(story.definition) || line("method", story.definition)
    for (layer, seconds) in story.asked
        line("asked for", "by the profile of ", layer, isnan(seconds) ? "" : ", $(time_text(seconds)) to compile")
    end
    for one in story.libraries
        line("library", one.library)
        line("", one.bucket, isempty(one.statement) ? ", as part of what was asked for" : "",
            one.reason === nothing ? "" : ", $(one.reason): $(reason(one.reason)[1])",
            isempty(one.detail) ? "" : "\n" * ' '^15 * one.detail)
    end
    for one in story.code
        line("code", code_kind(one.kind), one.last_world == 0 ? ", valid" : ", invalidated",
            isempty(one.ended_by) ? "" : " by $(one.ended_by)", one.last_world == 0 ? "" : " (world $(one.last_world + 1))")
    end
    line("a call runs", "")
    printstyled(io, ' ', story.runs === :nothing ? "nothing yet: Julia compiles it then" : code_kind(story.runs);
        color = story.runs in (:library, :sysimage, :image, :constant) ? :green : :yellow)
    story.reason === nothing && return nothing
    text, advice = reason(story.reason)
    line("why", "")
    printstyled(io, story.reason; bold = true)
    print(io, ": ", text, isempty(story.detail) || occursin(story.detail, text) ? "" : "\n" * ' '^13 * story.detail)
    isempty(advice) || line("", "(", advice, ")")
end

code_kind(kind::Symbol) = kind === :library ? "from a library of NativeCache" :
    kind === :sysimage ? "from Julia's sysimage" : kind === :image ? "from a package's image" : kind === :session ? "compiled in this session" :
    kind === :constant ? "a constant, no code" : "inferred only, no code"
