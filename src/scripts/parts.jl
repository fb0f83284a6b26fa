# What of a script can be compiled ahead of time: its definitions, and those of its statements that Julia would compile as a
# whole, go into packages of their own, the script's parts; everything else is run in `Main`, in its place.
#
# A part holds definitions that follow one another, with nothing between them that runs code, and is loaded where the first
# of them stands. So a definition takes effect where it did. Statements join the part before them as functions without
# arguments, which their place in the script calls. Nothing here evaluates anything: the plan of a script follows from its text.

"""
One top-level expression of a script.

- `kind`: `:definition`, `:block` (a statement that a part has as a function), or `:plain`
- `part`: number of the part that has it; `names`: what it binds in `Main`, or the name of its function
- `why`: of a plain one that would have been worth it, why it stays in `Main`
"""
mutable struct ScriptItem
    first::Int
    last::Int
    kind::Symbol
    part::Int
    names::Vector{Symbol}
    assigned::Vector{Symbol}        # of a block: variables of `Main` that it assigns to outside of any scope of its own
    why::String
end

"A package that holds definitions and blocks of a script, and the text of its module."
struct ScriptPart
    name::String
    uuid::UUID
    source::String
end

"What a file that a script includes has from the script at that place."
struct ScriptContext
    names::Dict{Symbol,ScriptPart}
    constants::Set{Symbol}
    variables::Set{Symbol}
    usings::Vector{String}
end

ScriptContext() = ScriptContext(Dict{Symbol,ScriptPart}(), Set{Symbol}(), Set{Symbol}(), String[])

struct ScriptPlan
    path::String
    items::Vector{ScriptItem}
    parts::Vector{ScriptPart}
    names::Dict{Symbol,Int}         # what the parts define for `Main`, and which of them
    constants::Set{Symbol}          # what other definitions do
    variables::Set{Symbol}
    usings::Vector{Pair{Int,String}}        # number of the item => the statement
    includes::Vector{Pair{Int,String}}      # number of the item => path of a file that it includes
    around::ScriptContext           # what it was made for
end

"The plan of a script of which nothing was ever built: all of it stays as it is."
ScriptPlan(path::String, around::ScriptContext) = ScriptPlan(path, ScriptItem[], ScriptPart[], Dict{Symbol,Int}(), Set{Symbol}(), Set{Symbol}(),
    Pair{Int,String}[], Pair{Int,String}[], around)

"The context of what item `number` of a script includes."
function context_at(plan::ScriptPlan, number::Int)
    around = plan.around
    names = copy(around.names)
    for (at, item) in enumerate(plan.items)
        at < number && item.kind === :definition && foreach(name -> names[name] = plan.parts[item.part], item.names)
    end
    usings = [around.usings; String[text for (at, text) in plan.usings if at < number]]
    return ScriptContext(names, union(around.constants, plan.constants), union(around.variables, plan.variables), usings)
end

# Macros of Base and the standard libraries that make the same code whenever and wherever they are expanded. Any other may read
# a clock, a file or a variable, so what uses it stays where it is.
const SAME_EXPANSION = Set(Symbol.(["@inline", "@noinline", "@inbounds", "@simd", "@views", "@view", "@.", "@__dot__", "@assert",
    "@show", "@time", "@elapsed", "@timed", "@allocated", "@printf", "@sprintf", "@testset", "@test", "@test_throws", "@test_broken",
    "@test_skip", "@test_nowarn", "@test_warn", "@test_logs", "@test_deprecated", "@inferred", "@info", "@warn", "@error", "@debug", "@kwdef", "@doc", "@fastmath", "@goto", "@label", "@isdefined",
    "@boundscheck", "@propagate_inbounds", "@nospecialize", "@specialize", "@threads", "@spawn", "@async", "@sync", "@r_str", "@b_str",
    "@raw_str", "@big_str", "@v_str", "@s_str", "@int128_str", "@uint128_str", "@cmd", "@__LINE__", "@__FILE__", "@__DIR__", "@evalpoly"]))

# What asks for the module that something is defined in.
const ASKS_FOR_MODULE = Set(Symbol.(["@__MODULE__", "parentmodule", "fullname", "moduleroot", "nameof", "names", "varinfo", "which", "@which",
    "methods", "pathof", "functionloc", "subtypes", "supertypes", "methodswith",
    # What is sent or written names the module of its types and functions.
    "serialize", "deserialize", "Serialization", "JLD", "JLD2", "BSON", "Distributed", "addprocs", "pmap", "remotecall", "remotecall_fetch",
    "RemoteChannel", "@everywhere", "@distributed", "@spawnat"]))

# Macros whose arguments are evaluated where the macro stands, in no scope of their own.
const SAME_SCOPE = Set(Symbol.(["@show", "@time", "@elapsed", "@inbounds", "@fastmath", "@views", "@doc", "@inline", "@noinline"]))

# Stands among the variables of a statement that assigns in the arguments of a macro, where only its expansion says what that means.
const UNSURE = Symbol("#unsure")

# What evaluates code in `Main`, or compiles to something else in each session.
const EVALUATES = Set(Symbol.(["eval", "@eval", "include", "include_string", "evalfile", "invokelatest", "@generated", "Main", "@macroexpand",
    "macroexpand", "ccall", "@ccall", "@cfunction", "cfunction", "llvmcall", "__module__", "@static"]))

const LOOPS = (:for, :while, :(->), :generator, :comprehension, :typed_comprehension, :do)
const SCOPES = (:for, :while, :let, :try, :function, :(->), :generator, :comprehension, :typed_comprehension, :do, :struct, :macro, :module)

# Functions of Base whose value depends on nothing but their arguments, for the constants of a script.
const PURE = Set(Symbol.(["+", "-", "*", "/", "^", "÷", "%", "//", ":", "sqrt", "exp", "log", "sin", "cos", "tan", "abs", "min", "max", "div", "rem",
    "mod", "Int", "Float64", "Float32", "Int32", "Int64", "UInt8", "UInt64", "String", "Symbol", "Tuple", "big", "BigInt", "zeros", "ones", "Dict", "Set", "Vector", "Ref",
    "string", "length", "Complex", "complex", "Rational", "!", "<", ">", "<=", ">=", "==", "float", "one", "zero", "trues", "falses", "collect", "fill", "=>"]))

is_block(ex, heads...) = ex isa Expr && ex.head in heads

"All names in an expression but those of fields and keywords."
function names_in!(found::Set{Symbol}, @nospecialize(ex))
    if ex isa Symbol
        push!(found, ex)
    elseif ex isa Expr
        if ex.head === :. && length(ex.args) == 2 && ex.args[2] isa QuoteNode
            names_in!(found, ex.args[1])
            # `Base.eval`, `Threads.@spawn`
            inner = ex.args[2].value
            inner isa Symbol && (inner in EVALUATES || inner in ASKS_FOR_MODULE || startswith(String(inner), "@")) && push!(found, inner)
        elseif ex.head === :kw
            names_in!(found, ex.args[2])
        else
            foreach(arg -> names_in!(found, arg), ex.args)
        end
    elseif ex isa GlobalRef
        push!(found, ex.name)
    end
    return found
end

names_in(@nospecialize(ex)) = names_in!(Set{Symbol}(), ex)

"The names that this assigns to: `x`, `(x, y)`, `x::T`."
function targets!(found::Vector{Symbol}, @nospecialize(left))
    if left isa Symbol
        push!(found, left)
    elseif is_block(left, :tuple, :(::), :(...))
        foreach(part -> targets!(found, part), left.head === :tuple ? left.args : left.args[1:1])
    end
    return found
end

const ASSIGNMENTS = (:(=), :(+=), :(-=), :(*=), :(/=), :(^=), :(÷=), :(%=), :(|=), :(&=), :(//=), :(\=), :(<<=), :(>>=), :(⊻=))

"Variables that are assigned to outside of any scope, those inside of one, and those that a scope declares `global`."
function assigned!(outside::Vector{Symbol}, inside::Vector{Symbol}, declared::Vector{Symbol}, @nospecialize(ex), nested::Bool)
    ex isa Expr || return nothing
    ex.head in (:quote, :inert, :meta) && return nothing
    if ex.head in ASSIGNMENTS && !isempty(ex.args)
        left = ex.args[1]
        if !is_block(left, :call, :where) || is_block(left, :(::)) && !is_block(left.args[1], :call)
            targets!(nested ? inside : outside, left)
        end
    elseif ex.head === :global
        foreach(arg -> targets!(declared, is_block(arg, ASSIGNMENTS...) ? arg.args[1] : arg), ex.args)
    end
    if ex.head === :macrocall && !nested && !(macro_name(ex) in SAME_SCOPE) && macro_name(ex) !== Symbol("@testset")
        found = Symbol[]
        foreach(arg -> assigned!(found, inside, declared, arg, false), ex.args)
        isempty(found) || (append!(outside, found); push!(outside, UNSURE))
        return nothing
    end
    # A test set is a `let`.
    scope = ex.head in SCOPES || ex.head === :macrocall && macro_name(ex) === Symbol("@testset") || is_block(ex, :(=)) && call_of(ex.args[1]) !== nothing
    foreach(arg -> assigned!(outside, inside, declared, arg, nested || scope), ex.args)
    return nothing
end

function macro_name(ex::Expr)
    name = ex.args[1]
    name isa GlobalRef && return name.name
    is_block(name, :.) && name.args[2] isa QuoteNode && return name.args[2].value
    return name
end

has_inside(test, @nospecialize(ex)) = test(ex) || ex isa Expr && any(arg -> has_inside(test, arg), ex.args)

"The call in a function's head: `f(x)` of `f(x)::T where T`."
function call_of(@nospecialize(head))
    while is_block(head, :where, :(::))
        head = head.args[1]
    end
    return is_block(head, :call) ? head : nothing
end

"`(name, head, body)` of a function's definition, `nothing` of anything else. `name` is an expression, such as `Base.show`."
function function_parts(@nospecialize(ex))
    is_block(ex, :function, :(=)) && length(ex.args) == 2 || return nothing
    call = call_of(ex.args[1])
    call === nothing && return nothing
    name = call.args[1]
    is_block(name, :curly) && (name = name.args[1])
    is_block(name, :(::)) && (name = nothing)      # of a callable object
    return (name = name, head = ex.args[1], body = ex.args[2])
end

"Names in the types of a function's head, which are evaluated when it is defined; defaults are when it is called."
function types_in_head(@nospecialize(head))
    found, bound = Set{Symbol}(), Set{Symbol}()
    while is_block(head, :where, :(::))
        if head.head === :where
            for parameter in head.args[2:end]
                while is_block(parameter, :<:, :>:, :comparison)
                    foreach(arg -> arg isa Expr && names_in!(found, arg), parameter.args[2:end])
                    parameter.head === :comparison || names_in!(found, parameter.args[2])
                    parameter = parameter.args[1]
                end
                parameter isa Symbol && push!(bound, parameter)
            end
        end
        head = head.args[1]
    end
    is_block(head, :call) || return found
    function add(@nospecialize(arg))
        if is_block(arg, :kw, :(=), :(...), :macrocall)
            add(arg.head === :macrocall ? arg.args[end] : arg.args[1])
        elseif is_block(arg, :parameters)
            foreach(add, arg.args)
        elseif is_block(arg, :(::))
            names_in!(found, arg.args[end])
        end
    end
    is_block(head.args[1], :(::), :curly) && names_in!(found, head.args[1].args[end])
    foreach(add, head.args[2:end])
    return setdiff!(found, bound)
end

"Is it a docstring with what it is of? The parser writes it so."
is_documented(@nospecialize(ex)) = is_block(ex, :macrocall) && ex.args[1] == GlobalRef(Core, Symbol("@doc"))

"What a definition wears: docstrings and macros such as `@inline`."
function undressed(@nospecialize(ex))
    while is_block(ex, :macrocall) && macro_name(ex) in (Symbol("@doc"), Symbol("@inline"), Symbol("@noinline"), Symbol("@propagate_inbounds"),
            Symbol("@kwdef"), Symbol("@fastmath"), Symbol("@inbounds"), Symbol("@views"))
        ex = ex.args[end]
    end
    return ex
end

function type_name(@nospecialize(ex))
    head = ex.head === :struct ? ex.args[2] : ex.args[1]
    while is_block(head, :<:, :curly)
        head = head.args[1]
    end
    return head isa Symbol ? head : nothing
end

is_literal(@nospecialize(ex)) = ex isa Union{Number,AbstractString,Char,QuoteNode,Nothing,Bool}

"Is its value the same in every session, whatever ran before? `constants`: names of such."
function is_pure(@nospecialize(ex), constants)
    is_literal(ex) && return true
    ex isa Symbol && return ex in constants || ex in PURE || ex in (:pi, :π, :ℯ, :nothing, :missing, :Inf, :NaN, :true, :false, :Any, :Real, :Number, :Integer, :AbstractFloat, :undef, :Bool, :Char)
    ex isa Expr || return false
    ex.head === :string && return all(arg -> is_pure(arg, constants), ex.args)
    ex.head === :macrocall && return macro_name(ex) in (Symbol("@r_str"), Symbol("@raw_str"), Symbol("@big_str"), Symbol("@int128_str"), Symbol("@v_str"))
    ex.head === :call && return (ex.args[1] in PURE || is_block(ex.args[1], :curly) && is_pure(ex.args[1], constants)) && all(arg -> is_pure(arg, constants), @view ex.args[2:end])
    return ex.head in (:tuple, :vect, :hcat, :vcat, :row, :curly, :ref, :&&, :||, :if, :comparison) && all(arg -> is_pure(arg, constants), ex.args)
end

"What a whole script says of the names at its top level."
struct ScriptNames
    variables::Set{Symbol}          # assigned to, not constant
    constants::Set{Symbol}          # of definitions that stay in `Main`: code that is compiled before knows nothing of them
    imported::Set{Symbol}           # by `import X: name`
    counts::Dict{Symbol,Int}        # how many definitions of another kind than methods a name has
end

"The statements of a top-level expression: `a; b` on one line, or what `begin` holds, is several."
statements_of(@nospecialize(ex)) = is_block(ex, :toplevel, :block) ? Any[arg for arg in ex.args if !(arg isa LineNumberNode)] : Any[ex]

function defined_name(@nospecialize(ex))
    ex = undressed(ex)
    is_block(ex, :const) && return is_block(ex.args[1], :(=)) && ex.args[1].args[1] isa Symbol ? ex.args[1].args[1] : nothing
    is_block(ex, :struct, :abstract, :primitive) && return type_name(ex)
    is_block(ex, :macro) && return Symbol('@', call_of(ex.args[1]) === nothing ? "" : call_of(ex.args[1]).args[1])
    is_block(ex, :module) && return ex.args[2]
    parts = function_parts(ex)
    parts === nothing && return is_block(ex, :function) && ex.args[1] isa Symbol ? ex.args[1] : nothing
    return parts.name isa Symbol ? parts.name : nothing
end

"Expressions of a script: `(first line, last line, expression)`. Ends before what the parser does not understand."
function script_expressions(@nospecialize(tree))
    found = Tuple{Int,Int,Any}[]
    line = 1
    is_block(tree, :toplevel) || return found
    for arg in tree.args
        if arg isa LineNumberNode
            line = arg.line
        elseif is_block(arg, :error, :incomplete)
            break
        else
            isempty(found) || (found[end] = (found[end][1], max(found[end][1], line - 1), found[end][3]))
            push!(found, (line, typemax(Int), arg))
        end
    end
    return found
end

parse_script(text::String, path::String) = VERSION < v"1.6" ?
    Base.parse_input_line(text; filename = path) : Base.invokelatest(Meta.parseall, text; filename = path)

"""
The plan of a script: what of it goes into which part. `path` is absolute.
"""
function plan_script(path::String, text::String, @nospecialize(tree) = parse_script(text, path), around::ScriptContext = ScriptContext())
    expressions = script_expressions(tree)
    names = script_names(expressions)
    union!(names.constants, around.constants)
    union!(names.variables, around.variables)
    # Methods of functions of the file around it are added as to those of a package.
    union!(names.imported, keys(around.names))
    includes = Pair{Int,String}[]
    for (number, (_, _, ex)) in enumerate(expressions)
        is_definition(ex) || :include in names.variables || included_files!(includes, number, ex, path)
    end
    items = ScriptItem[ScriptItem(first, last, :plain, 0, Symbol[], Symbol[], "") for (first, last, _) in expressions]
    everything = Set{Symbol}()
    foreach(e -> names_in!(everything, e[3]), expressions)
    asks = intersect(everything, ASKS_FOR_MODULE)
    if !isempty(asks)
        why = "the script asks for $(first(sort!(collect(String.(asks))))), which would tell the module of its parts from Main"
        foreach(item -> item.why = why, items)
        constants = Set{Symbol}(filter(name -> name !== nothing, Any[defined_name(ex) for (_, _, whole) in expressions for ex in statements_of(whole)]))
        return ScriptPlan(path, items, ScriptPart[], Dict{Symbol,Int}(), constants, names.variables, usings_of(expressions), includes, around)
    end
    return divide(path, text, expressions, items, names, includes, around)
end

"The files that a top-level expression includes by name: `include(\"file.jl\")`."
function included_files!(found::Vector{Pair{Int,String}}, number::Int, @nospecialize(ex), path::String)
    ex isa Expr && !(ex.head in (:quote, :function, :(->), :macro, :module)) || return nothing
    if is_include(ex)
        ex.args[2] isa String && push!(found, number => normpath(joinpath(dirname(path), ex.args[2])))
    else
        foreach(arg -> included_files!(found, number, arg, path), ex.args)
    end
    return nothing
end

is_include(@nospecialize(ex)) = is_block(ex, :call) && length(ex.args) == 2 && ex.args[1] === :include

usings_of(expressions) = Pair{Int,String}[number => string(ex) for (number, (_, _, whole)) in enumerate(expressions)
                                          for ex in statements_of(whole) if is_block(ex, :using, :import)]

function script_names(expressions)
    names = ScriptNames(Set{Symbol}(), Set{Symbol}(), Set{Symbol}(), Dict{Symbol,Int}())
    for (_, _, whole) in expressions, ex in statements_of(whole)
        if is_block(ex, :import)
            foreach(arg -> is_block(arg, :(:)) && foreach(a -> push!(names.imported, a.args[end]), arg.args[2:end]), ex.args)
        end
        outside, inside, declared = Symbol[], Symbol[], Symbol[]
        is_block(ex, :const) || assigned!(outside, inside, declared, ex, false)
        union!(names.variables, outside, declared)
        name = defined_name(ex)
        name === nothing && continue
        function_parts(undressed(ex)) === nothing && (names.counts[name] = get(names.counts, name, 0) + 1)
    end
    return names
end

"Why code that uses these names cannot be compiled before the script runs, or an empty text; `own` is the name that it defines."
function why_not_ahead(used, names::ScriptNames, own = nothing)
    macros = filter(name -> startswith(String(name), "@") && !(name in SAME_EXPANSION), used)
    isempty(macros) || return "it uses $(first(macros)), which need not expand to the same code in each session"
    evaluates = intersect(used, EVALUATES)
    isempty(evaluates) || return "it uses $(first(evaluates))"
    # Compiled ahead, where the variable is not there yet, it would mean Base's.
    hiding = filter(name -> isdefined(Base, name), intersect(used, names.variables))
    isempty(hiding) || return "it uses $(first(hiding)), a variable that hides a name of Base"
    known = setdiff(intersect(used, names.constants), (own,))
    return isempty(known) ? "" : "it uses $(first(known)), whose value is only known when the script runs"
end

"Why a definition cannot be in a part, or an empty text; and the name that it binds in `Main`, if any."
function why_not(@nospecialize(ex), names::ScriptNames, own, pure, heads)
    bare = undressed(ex)
    used = names_in(ex)
    name = defined_name(ex)
    why = why_not_ahead(used, names, name)
    isempty(why) || return why, nothing
    parts = function_parts(bare)
    if parts !== nothing
        if name === nothing
            is_block(parts.name, :.) || return "its name is computed", nothing
        else
            name in names.variables && return "$name is a variable as well", nothing
            get(names.counts, name, 0) > 1 && return "$name is defined more than once", nothing
            # In Julia, too, this is a new function of Main or an error; which, the session decides.
            !(name in names.imported) && !(name in own) && isdefined(Base, name) && return "$name is a name of Base", nothing
            # A constructor of a type that stays in Main has its name among `constants`.
        end
        isempty(intersect(types_in_head(parts.head), names.variables)) || return "its signature uses a variable", nothing
        parts.head in heads && return "a method with the same head stands above it", nothing
        return "", name === nothing || name in names.imported ? nothing : name
    end
    if is_block(bare, :function) || is_block(bare, :struct, :abstract)
        name === nothing && return "its name is computed", nothing
        get(names.counts, name, 0) == 1 || return "$name is defined more than once", nothing
        (name in names.variables || isdefined(Base, name)) && return "$name is another thing as well", nothing
        isempty(intersect(used, names.variables)) || return "it uses a variable", nothing
        return "", name
    end
    if is_block(bare, :const)
        name === nothing && return "it defines several constants", nothing
        get(names.counts, name, 0) == 1 || return "$name is defined more than once", nothing
        (name in names.variables || isdefined(Base, name)) && return "$name is another thing as well", nothing
        is_pure(bare.args[1].args[2], pure) || return "what its value depends on is not known before the script runs", nothing
        return "", name
    end
    return "it is not a definition", nothing
end

is_definition(@nospecialize(ex)) = (bare = undressed(ex); defined_name(ex) !== nothing || function_parts(bare) !== nothing)

"Does running it change and see nothing but a variable?"
is_inert(@nospecialize(ex)) = is_literal(ex) || is_block(ex, :(=)) && ex.args[1] isa Symbol && is_literal(ex.args[2])

"Why a statement stays as it is, though Julia compiles it as a whole; and the variables that it assigns to."
function why_no_block(@nospecialize(ex), names::ScriptNames, own)
    why = why_not_ahead(names_in(ex), names)
    isempty(why) || return why, Symbol[]
    has_inside(e -> is_block(e, :const, :struct, :abstract, :primitive, :macro, :module, :using, :import, :export, :toplevel, :return), ex) &&
        return "it holds what only top-level code may", Symbol[]
    outside, inside, declared = Symbol[], Symbol[], Symbol[]
    assigned!(outside, inside, declared, ex, false)
    UNSURE in outside && return "it assigns to a variable in the arguments of a macro", Symbol[]
    both = intersect(inside, names.variables)
    isempty(setdiff(both, declared)) || return "it assigns to $(first(setdiff(both, declared))) in a scope of its own, and Julia warns of that", Symbol[]
    isempty(intersect(outside, own)) || return "it assigns to a constant", Symbol[]
    any(name -> isdefined(Base, name), outside) && return "it assigns to a name of Base", Symbol[]
    any(arg -> function_parts(arg) !== nothing || is_block(arg, :function), statements_of(ex)) && return "it defines a function", Symbol[]
    return "", unique!(outside)
end

function divide(path, text, expressions, items, names, includes, around)
    outer = keys(around.names)
    # Names whose definitions stay make those that use them stay: until nothing changes any more.
    kinds = Symbol[]
    while true
        kinds, stays = classify!(items, expressions, names, outer)
        issubset(stays, names.constants) && break
        union!(names.constants, stays)
    end
    base = script_name(path)
    lines = split(text, '\n')
    own = Dict{Symbol,Int}()
    numbers = Vector{Int}[]         # items by part
    open, ran = false, false        # is there a part that a definition may join; has anything run since it began
    for (number, item) in enumerate(items)
        ex = expressions[number][3]
        if kinds[number] === :definition
            if !open || ran
                push!(numbers, Int[])
                open, ran = true, false
            end
        elseif kinds[number] === :block
            open || push!(numbers, Int[])
            open, ran = true, true
        else
            is_inert(ex) || (ran = true)
            is_block(ex, :using, :import) && (open = false)
            continue
        end
        push!(numbers[end], number)
        item.kind, item.part = kinds[number], length(numbers)
        item.kind === :block && (item.names = [Symbol("toplevel_", item.first)])
        item.kind === :definition && foreach(name -> get!(own, name, item.part), item.names)
    end
    usings = usings_of(expressions)
    parts = ScriptPart[part_of(path, base, lines, expressions, items, numbers, number, names, own, usings, around) for number in eachindex(numbers)]
    return ScriptPlan(path, items, parts, own, names.constants, names.variables, usings, includes, around)
end

"What each expression is, as far as is known; and the names of definitions that stay in `Main`."
function classify!(items, expressions, names, outer)
    kinds = fill(:plain, length(items))
    stays, own, pure, heads = Set{Symbol}(), Set{Symbol}(outer), Set{Symbol}(), Set{Any}()
    for (number, item) in enumerate(items)
        ex = expressions[number][3]
        item.names, item.assigned, item.why = Symbol[], Symbol[], ""
        if is_definition(ex)
            why, name = why_not(ex, names, own, pure, heads)
            if isempty(why)
                kinds[number] = :definition
                bare = undressed(ex)
                function_parts(bare) === nothing || push!(heads, bare.args[1])
                is_block(bare, :const) && push!(pure, name)
                if name !== nothing
                    push!(own, name)
                    item.names = [name]
                end
            else
                item.why = why
                found = defined_name(ex)
                # A method that stays of a function that is in a part: it is added in its place, as at the prompt.
                found === nothing || found in own || push!(stays, found)
            end
        elseif has_inside(e -> is_block(e, LOOPS...) || is_block(e, :macrocall) && macro_name(e) === Symbol("@testset"), ex)
            why, assigned = why_no_block(ex, names, own)
            if isempty(why)
                kinds[number] = :block
                item.assigned = assigned
            else
                item.why = why
            end
        else
            for inner in statements_of(ex)
                found = defined_name(inner)
                found === nothing || push!(stays, found)
            end
        end
    end
    return kinds, stays
end

# ---- the sources of parts ----

# Profiles and rust/julia/src/lasting_names.rs know a script by it.
const SCRIPT_PREFIX = "Script_"

"Of the name of a file what a module may be called."
script_name(path::String) = string(SCRIPT_PREFIX, replace(first(splitext(basename(path))), r"[^A-Za-z0-9]" => "_"), '_', last(hex(hash(path)), 8))

script_uuid(path::String, number::Int) = UUID(UInt128(hash(path, UInt(number))) << 64 | hash(path, UInt(number) + 1 << 32))

"""
The source of a part: a module that defines its items with the help of define.jl. It follows from the script's text, so that
the same text names the same part, and another text another.
"""
function part_of(path, base, lines, expressions, items, numbers, number, names, own, usings, around)
    name = string(base, '_', number)
    io = IOBuffer()
    println(io, "# NativeCache: definitions of ", path)
    println(io, "module ", name)
    # What Main has asked for by then.
    asked = [around.usings; String[text for (at, text) in usings if at < numbers[number][1]]]
    # A module of the script itself is in Main only.
    foreach(text -> occursin(r"^(using|import) +\.", text) || println(io, text), asked)
    used = Set{Symbol}()
    foreach(at -> names_in!(used, expressions[at][3]), numbers[number])
    for outer in sort!(unique(part.name for part in values(around.names)))
        wanted = sort!(Symbol[n for (n, part) in around.names if part.name == outer && n in used])
        isempty(wanted) || println(io, "import ", outer, ": ", join(wanted, ", "))
    end
    for earlier in 1:number-1
        wanted = sort!(Symbol[n for (n, part) in own if part == earlier && n in used])
        isempty(wanted) || println(io, "import ", base, '_', earlier, ": ", join(wanted, ", "))
    end
    here = Base.root_module_key(@__MODULE__)
    println(io, "Base.invokelatest(Base.require(Base.PkgId(Base.UUID(\"", here.uuid, "\"), \"", here.name, "\")).define_part, ", name, ", ", repr(path), ",")
    println(io, "    ", repr(sort!(Symbol[n for (n, part) in own if part == number])), ",")
    println(io, "    ", repr(sort!(collect(names.variables))), ", [")
    for at in numbers[number]
        item = items[at]
        slice = join(lines[item.first:min(item.last, length(lines))], '\n')
        println(io, "    (", item.first, ", ", repr(item.kind), ", ", repr(item.names), ", ", repr(item.assigned), ", ", repr(slice), "),")
    end
    println(io, "])")
    println(io, "end")
    return ScriptPart(name, script_uuid(path, number), String(take!(io)))
end
