//! Does code compute with an address that code generation knows?
//!
//! `cglobal` of a constant symbol becomes the address itself, as an integer constant (ccall.cpp, `emit_cglobal`), and so
//! does a `Ptr` that stands in the code. What is computed of it, LLVM's builder folds: `UInt(cglobal(:x)) >> 1` is one
//! number in the module, which lies in no mapping and which nothing tells from data. So the inferred code has to say
//! where such an address goes: it may be loaded from, stored, passed on and returned, where it stays as it is and is
//! found; anything else is computing.

use nativecache_julia::handles::{
    Array, CodeInfo, DataType, Expr, GlobalRef, Object, PhiCNode, PhiNode, PiNode, QuoteNode, Symbol,
    UpsilonNode,
};

use crate::objects::foreign::is_cglobal;
use crate::objects::inferred;

/// What becomes of a statement that uses an address.
enum Effect {
    /// Its value is not the address, nor does it hold it.
    Harmless,
    /// Its value is the address again, or holds it.
    PassesOn,
    /// Its value may be folded, with the address in it.
    Computes(String),
}

/// Operands, `None` for one that is not assigned.
type Operands<'j> = [Option<Object<'j>>];

/// What optimised code computes with an address that code generation would fold, if anything: the name of the operation.
pub fn computes_with_address(code: CodeInfo<'_>) -> Option<String> {
    let statements: Vec<Option<Object<'_>>> = code.statements().into_iter().flat_map(Array::places).collect();
    let mut addresses = Addresses(vec![false; statements.len()]);
    loop {
        let mut changed = false;
        for (at, statement) in statements.iter().enumerate() {
            match statement.map_or(Effect::Harmless, |statement| addresses.effect(statement)) {
                Effect::Harmless => {}
                Effect::Computes(what) => return Some(what),
                Effect::PassesOn => changed |= !std::mem::replace(&mut addresses.0[at], true),
            }
        }
        if !changed {
            return None;
        }
    }
}

/// Which statements have a value that is an address, or holds one, as far as is known.
struct Addresses(Vec<bool>);

impl Addresses {
    fn effect(&self, statement: Object<'_>) -> Effect {
        let holds = |operand: Option<Object<'_>>| operand.is_some_and(|operand| self.has(operand));
        let any =
            |operands: Option<Array<'_>>| operands.into_iter().flat_map(Array::items).any(|v| self.has(v));
        let passes = if let Some(expr) = statement.as_kind::<Expr<'_>>() {
            return self.expression(expr);
        } else if let Some(pi) = statement.as_kind::<PiNode<'_>>() {
            holds(pi.value())
        } else if let Some(upsilon) = statement.as_kind::<UpsilonNode<'_>>() {
            holds(upsilon.value())
        } else if let Some(phi) = statement.as_kind::<PhiNode<'_>>() {
            any(phi.values())
        } else if let Some(phi) = statement.as_kind::<PhiCNode<'_>>() {
            any(phi.values())
        } else {
            self.has(statement)
        };
        if passes {
            Effect::PassesOn
        } else {
            Effect::Harmless
        }
    }

    fn expression(&self, expr: Expr<'_>) -> Effect {
        let head = expr.head().as_str();
        let operands: Vec<Option<Object<'_>>> =
            expr.arguments().into_iter().flat_map(Array::places).collect();
        if head == "call" && operands.first().copied().flatten().is_some_and(is_cglobal) {
            return Effect::PassesOn;
        }
        // What `ccall` names may itself be an expression, a tuple; elsewhere optimised code has none inside of others.
        let plain = if head == "foreigncall" { operands.get(1..).unwrap_or(&[]) } else { &operands };
        if plain.iter().flatten().any(|operand| self.is_inside(*operand, 0)) {
            return Effect::Computes(format!("an expression inside of `{head}`"));
        }
        let is_used = |at: &usize| operands[*at].is_some_and(|operand| self.has(operand));
        let uses: Vec<usize> = (0..operands.len()).filter(is_used).collect();
        if uses.is_empty() {
            return Effect::Harmless;
        }
        match head {
            "return" | "invoke" | "gc_preserve_begin" | "gc_preserve_end" | "meta" | "cfunction" => {
                Effect::Harmless
            }
            "new" | "splatnew" => Effect::PassesOn,
            // For some of libjulia's functions there is no call: they give back what they are given (ccall.cpp).
            "foreigncall" if matches!(operands[..], [target, ty, ..] if is_of_runtime(target) && is_bits(ty)) => {
                Effect::PassesOn
            }
            "foreigncall" => Effect::Harmless,
            "call" => called(&operands, &uses),
            _ => Effect::Computes(format!("`{head}`")),
        }
    }

    /// Is this operand an address, or does it hold one?
    fn has(&self, operand: Object<'_>) -> bool {
        if let Some(statement) = operand.statement() {
            return self.0.get(statement).copied().unwrap_or(true);
        }
        constant_of(operand).is_some_and(inferred::is_address)
    }

    /// Is there an address, or a call that gives one, inside of this expression?
    fn is_inside(&self, operand: Object<'_>, depth: u32) -> bool {
        let Some(expr) = operand.as_kind::<Expr<'_>>() else { return depth > 0 && self.has(operand) };
        let arguments = expr.arguments();
        let function = arguments.and_then(|arguments| arguments.get(0));
        let gives = expr.head().as_str() == "call" && function.is_some_and(is_cglobal);
        let mut within = arguments.into_iter().flat_map(Array::items);
        gives || depth > 64 || within.any(|argument| self.is_inside(argument, depth + 1))
    }
}

/// A call, of which the operands with the numbers `uses` hold an address. The first operand is the function.
fn called(operands: &Operands<'_>, uses: &[usize]) -> Effect {
    let within = |places: &[usize]| uses.iter().all(|at| places.contains(at));
    // Dispatched at run time: the arguments are objects.
    let Some(name) = operands.first().copied().flatten().and_then(builtin_name) else {
        return Effect::Harmless;
    };
    match name.as_str() {
        // The pointer, not an index or an alignment, which are computed with.
        "pointerref" if within(&[1]) => Effect::Harmless,
        "pointerset" if within(&[1, 2]) => Effect::PassesOn,
        "bitcast" if within(&[2]) && stays_integer(operands[1]) => Effect::PassesOn,
        "tuple" | "svec" | "typeassert" | "getfield" | "setfield!" | "arrayset" | "ifelse"
        | "select_value" => Effect::PassesOn,
        "isa" | "typeof" | "nfields" | "isdefined" | "throw" | "_apply" | "_apply_iterate" | "invoke" => {
            Effect::Harmless
        }
        _ => Effect::Computes(format!("`{name}`")),
    }
}

/// The name of a builtin or an intrinsic, under whatever name it is called.
fn builtin_name(function: Object<'_>) -> Option<String> {
    let function = constant_of(function)?;
    if let Some(name) = function.intrinsic_name() {
        return Some(name.to_owned());
    }
    let ty = Some(function.type_of()).filter(|ty| ty.is_of_builtin())?;
    // Without a name it counts as one that computes.
    Some(ty.name().method_table().map_or_else(String::new, |table| table.name().as_str().to_owned()))
}

/// The value of a constant global or a quoted value, and anything else as it is.
fn constant_of(operand: Object<'_>) -> Option<Object<'_>> {
    if let Some(quoted) = operand.as_kind::<QuoteNode<'_>>() {
        return quoted.value();
    }
    match operand.as_kind::<GlobalRef<'_>>() {
        Some(global) => global.module()?.binding(global.name()?)?.constant(),
        None => Some(operand),
    }
}

/// Does a bitcast to this type leave an integer constant one? The bits of a float would be overlooked.
fn stays_integer(ty: Option<Object<'_>>) -> bool {
    let ty = ty.and_then(constant_of).and_then(Object::as_kind::<DataType<'_>>);
    ty.is_some_and(|ty| ty.is_pointer() || ty.is_integer_word())
}

/// Does a foreigncall name a function of libjulia, as a symbol?
fn is_of_runtime(target: Option<Object<'_>>) -> bool {
    let name = target.and_then(constant_of).and_then(Object::as_kind::<Symbol<'_>>);
    name.is_some_and(|name| name.as_str().starts_with("jl_"))
}

/// Is this a type whose values are no objects?
fn is_bits(ty: Option<Object<'_>>) -> bool {
    let is_bits = |ty: Object<'_>| ty.as_kind().is_some_and(|ty: DataType<'_>| ty.is_bits());
    ty.and_then(constant_of).is_none_or(|ty| !ty.is_type() || is_bits(ty))
}
