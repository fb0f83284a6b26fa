# What libnativecache knows of a method on Julia 1.5.

"The method instance that Julia compiles for a call with this signature, or what is wrong with it; as src/processes/worker.jl finds it."
function instance_of(@nospecialize(signature), world)
    entry = ccall(:jl_gf_invoke_lookup, Any, (Any, UInt), signature, world)
    entry === nothing && return "no method matches"
    method = (entry isa Method ? entry : entry.func)::Method
    exact = (Base.unwrap_unionall(signature)::DataType).isdispatchtuple
    if !exact && ccall(:jl_isa_compileable_sig, Cint, (Any, Any), signature, method) != 0
        meet = ccall(:jl_type_intersection_with_env, Any, (Any, Any), signature, method.sig)::Core.SimpleVector
        return ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any), method, meet[1], meet[2])
    end
    min, max = zeros(UInt, 1), zeros(UInt, 1)
    found = ccall(:jl_get_spec_lambda, Any, (Any, UInt, Ptr{UInt}, Ptr{UInt}), signature, world, min, max)
    return found === nothing ? "its arguments are too abstract: no call is compiled for them" : found
end

"What libnativecache knows of a method instance: its code, and the linked libraries that have it."
function known_of(instance::Core.MethodInstance)
    code, libraries = CodeStory[], LibraryStory[]
    text = instance_lines(instance)
    for line in split(text, '\n'; keepempty = false)
        field = fields_of(line)
        if field[1] == "code"
            push!(code, CodeStory(Symbol(field[2]), field[3], parse(Int, field[4]), parse(Int, field[5]), field[6]))
        elseif field[1] == "library"
            why = parse(Int, field[4])
            push!(libraries, LibraryStory(field[2], field[3], why == 0 ? nothing : reason_name(why), field[5], field[6]))
        end
    end
    return code, libraries
end
