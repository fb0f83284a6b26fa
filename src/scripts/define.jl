# Run while a script's part is precompiled: defines the items of the script in the part's module. Globals that the part does
# not define are `Main`'s, as they are where the script is run, and so is the module that macros are told of.

"The module and name of what a global of the script means."
struct Meaning
    part::Module
    own::Set{Symbol}                # defined by the part
    variables::Set{Symbol}          # of Main
end

function script_global(meaning::Meaning, name::Symbol)
    # What lowering has made up is the part's.
    (name in meaning.own || startswith(String(name), '#')) && return GlobalRef(meaning.part, name)
    (name in meaning.variables || name === :eval || name === :include) && return GlobalRef(Main, name)
    # Imported by the part, as by Main at this place, or a name of Base.
    isdefined(meaning.part, name) || return GlobalRef(Main, name)
    owner = Base.binding_module(meaning.part, name)
    return owner === meaning.part ? GlobalRef(Main, name) : GlobalRef(owner, name)
end

"Lowered code of a method or of top-level code, with globals that mean what they mean in the script."
function rewrite_code!(code::Core.CodeInfo, meaning::Meaning, inside::Bool)
    for at in eachindex(code.code)
        code.code[at] = rewrite_value(code.code[at], meaning, inside)
    end
    return code
end

function rewrite_value(@nospecialize(x), meaning::Meaning, inside::Bool)
    if x isa Symbol
        return inside ? script_global(meaning, x) : x
    elseif x isa GlobalRef
        return x.mod === meaning.part && inside ? script_global(meaning, x.name) : x
    elseif x isa Core.CodeInfo
        return rewrite_code!(x, meaning, inside)
    elseif x isa QuoteNode
        return x.value === meaning.part ? QuoteNode(Main) : x
    elseif x === meaning.part
        return inside ? Main : x
    elseif x isa Expr
        head = x.head
        if head === :method && length(x.args) == 3
            # The name and the signature belong to the code around it.
            x.args[3] = x.args[3] isa Core.CodeInfo ? rewrite_code!(x.args[3], meaning, true) : x.args[3]
            return x
        end
        head in (:meta, :inert, :method, :global, :const, :static_parameter, :copyast, :line, :boundscheck, :inbounds, :loopinfo, :simdloop) && return x
        for at in eachindex(x.args)
            x.args[at] = rewrite_value(x.args[at], meaning, inside)
        end
        return x
    elseif isdefined(Core, :ReturnNode) && x isa Core.ReturnNode
        return isdefined(x, :val) ? Core.ReturnNode(rewrite_value(x.val, meaning, inside)) : x
    elseif isdefined(Core, :GotoIfNot) && x isa Core.GotoIfNot
        return Core.GotoIfNot(rewrite_value(x.cond, meaning, inside), x.dest)
    end
    return x
end

"What a macro was told of the part's module, told of `Main`."
function for_main(@nospecialize(x), part::Module)
    x === part && return Main
    x isa Expr || return x
    for at in eachindex(x.args)
        x.args[at] = for_main(x.args[at], part)
    end
    return x
end

function define_part(part::Module, path::String, own::Vector{Symbol}, variables::Vector{Symbol}, items::Vector)
    meaning = Meaning(part, Set(own), Set(variables))
    for (line, kind, names, assigned, text) in items
        tree = parse_script(string(repeat('\n', line - 1), text), path)
        ex = undocumented(only_expression(tree))
        place = LineNumberNode(line, Symbol(path))
        place_generators!(ex, place)
        if kind === :block
            name = names[1]
            push!(meaning.own, name)
            declared = isempty(assigned) ? nothing : Expr(:global, assigned...)
            ex = Expr(:function, Expr(:call, name), Expr(:block, place, declared, place, ex))
        end
        expanded = for_main(macroexpand(part, ex), part)
        lowered = Meta.lower(part, expanded)
        lowered isa Expr && lowered.head === :error && error("$path:$line: ", lowered.args[1])
        lowered isa Expr && lowered.head === :thunk && rewrite_code!(lowered.args[1], meaning, false)
        Core.eval(part, lowered)
    end
    return nothing
end

"Put the line into the body of each generator, as the parser does for all other functions; returns the last line in `ex`."
function place_generators!(@nospecialize(ex), place::LineNumberNode)
    ex isa LineNumberNode && return ex
    ex isa Expr && ex.head !== :quote || return place
    if ex.head === :generator
        ex.args[1] isa Expr && ex.args[1].head === :block || (ex.args[1] = Expr(:block, place, ex.args[1]))
    end
    for arg in ex.args
        place = place_generators!(arg, place)
    end
    return place
end

"Docstrings are Main's."
function undocumented(@nospecialize(ex))
    while is_documented(ex)
        ex = ex.args[end]
    end
    return ex
end

function only_expression(@nospecialize(tree))
    found = statements_of(tree)
    return length(found) == 1 ? found[1] : Expr(:block, found...)
end
