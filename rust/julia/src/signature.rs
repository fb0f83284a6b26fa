//! Signatures as text, in the words of Julia's own `--trace-compile`, written by code of our own: `jl_static_show` takes
//! the inline fields of a struct for pointers, and writes symbols, type variables and small integers so that they cannot
//! be read back.
//!
//! What is written, Julia's parser and src/store/signature.jl read back to the same type. What cannot be written so is an
//! error that says why. Nothing here calls Julia code, allocates in Julia's heap or follows anything but the layouts that
//! the runtime itself keeps.

use nativecache_mutation::mutation;
use thiserror::Error;

pub mod words;

use crate::handles::{
    Contents, DataType, Module, Object, Part, Primitive, SVec, Symbol, Text, TypeName, TypeVar, Union,
    UnionAll,
};
use crate::packages::is_generated;

/// Why a signature has no text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unprintable {
    /// The parser made the name up, and no definition says of what.
    #[error("{0} has no name that lasts")]
    NoLastingName(String),
    /// A type that was replaced, or that never had a name.
    #[error("{0} is not what its module has under that name")]
    NotBound(String),
    /// A name that no literal can hold where it stands.
    #[error("the name {0} cannot be written")]
    Name(String),
    /// An address.
    #[error("a parameter holds an address, which is another one in each session")]
    Address,
    /// A value of a kind that is no type parameter.
    #[error("a value of type {0} cannot be written")]
    Value(String),
    /// A type variable outside of its `where`, or behind another one of its name.
    #[error("the type variable {0} cannot be written")]
    Variable(String),
    /// It stands for types of a tuple and is none itself.
    #[error("`Vararg` outside of a tuple cannot be written")]
    Vararg,
    /// Deeper than anything that is worth a line in a profile.
    #[error("it is nested too deeply")]
    TooDeep,
}

/// Types nest, and this is recursive; each level takes well below a kilobyte of the stack.
const MAX_DEPTH: u32 = 200;

/// Gives names that last to what the parser has named.
pub trait Naming<'j> {
    /// Are the made-up names of this module as good as any?
    fn lasts_anyway(&self, module: Module<'j>) -> bool;
    /// The lasting name of `name`, one of `module`'s.
    fn lasting(&mut self, module: Module<'j>, name: &str) -> Option<String>;
}

/// A type as text. With `names`, what the parser made up gets names that last.
pub fn text<'j>(value: Object<'j>, names: Option<&mut dyn Naming<'j>>) -> Result<String, Unprintable> {
    let mut printer =
        Printer { out: String::new(), names, variables: vec![], heads: vec![], bound: vec![], depth: 0 };
    printer.object(value)?;
    // A type variable hides a module or type of its name.
    let hidden = printer.bound.iter().find(|name| printer.heads.contains(name));
    match mutation!("signatures: a variable hides nothing", hidden, None::<&String>) {
        Some(name) => Err(Unprintable::Variable(name.clone())),
        None => Ok(printer.out),
    }
}

struct Printer<'n, 'j> {
    out: String,
    names: Option<&'n mut dyn Naming<'j>>,
    /// Type variables whose `where` is being written, outermost first.
    variables: Vec<TypeVar<'j>>,
    /// The names that paths begin with.
    heads: Vec<String>,
    /// The names of type variables.
    bound: Vec<String>,
    depth: u32,
}

type Printed = Result<(), Unprintable>;

impl<'j> Printer<'_, 'j> {
    /// A type, or a value as a type parameter.
    fn object(&mut self, v: Object<'j>) -> Printed {
        self.enter()?;
        let printed = if let Some(ty) = v.as_kind::<DataType<'j>>() {
            self.datatype(ty)
        } else if let Some(all) = v.as_kind::<UnionAll<'j>>() {
            self.unionall(all)
        } else if v.is::<Union<'j>>() {
            self.out.push_str("Union{");
            let printed = self.union(v);
            self.out.push('}');
            printed
        } else if v.is_type() {
            self.out.push_str("Union{}");
            Ok(())
        } else if let Some(variable) = v.as_kind::<TypeVar<'j>>() {
            self.variable(variable)
        } else if let Some(symbol) = v.as_kind::<Symbol<'j>>() {
            self.out.push_str(&words::symbol(symbol.bytes()));
            Ok(())
        } else if let Some(module) = v.as_kind::<Module<'j>>() {
            let path = self.module(module)?;
            self.out.push_str(&path);
            Ok(())
        } else if let Some(text) = v.as_kind::<Text<'j>>() {
            self.out.push_str(&words::string(text.bytes()));
            Ok(())
        } else {
            self.value(v)
        };
        self.depth -= 1;
        printed
    }

    /// One level deeper.
    fn enter(&mut self) -> Printed {
        if self.depth > mutation!("signatures: types nest without end", MAX_DEPTH, u32::MAX) {
            return Err(Unprintable::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    fn list(&mut self, items: SVec<'j>) -> Printed {
        for (k, item) in items.places().enumerate() {
            if k > 0 {
                self.out.push_str(", ");
            }
            self.object(item.ok_or_else(|| Unprintable::Value("nothing at all".into()))?)?;
        }
        Ok(())
    }

    fn datatype(&mut self, ty: DataType<'j>) -> Printed {
        let name = ty.name();
        if let Some(function) = global_function(ty) {
            let path = self.member(name.module(), function)?;
            self.out.push_str("typeof(");
            self.out.push_str(&path);
            self.out.push(')');
            return Ok(());
        }
        let path = self.type_path(name)?;
        self.out.push_str(&path);
        let parameters = ty.parameters();
        if ty.object() == name.wrapper() || parameters.is_empty() && !ty.is_tuple() {
            return Ok(());
        }
        // The runtime makes `Type{Vararg{Int}}`, which nobody else can ask for.
        let is_vararg = |p: Object<'_>| p.is_type() && p.type_name().is_some_and(TypeName::is_vararg);
        if !ty.is_tuple() && parameters.items().any(is_vararg) {
            return Err(Unprintable::Vararg);
        }
        self.out.push('{');
        self.list(parameters)?;
        self.out.push('}');
        Ok(())
    }

    /// Whatever is under this name must be this type: a profile says no more of it than the name.
    fn type_path(&mut self, name: TypeName<'j>) -> Result<String, Unprintable> {
        let (module, symbol) = (name.module(), name.symbol());
        let bound = module.binding_in_table(symbol).and_then(|binding| binding.value());
        if bound != Some(name.wrapper()) {
            let path = self.member(module, symbol.bytes())?;
            return Err(Unprintable::NotBound(path));
        }
        let text = symbol.as_str();
        if !is_generated(text) {
            return self.member(module, symbol.bytes());
        }
        let Some(names) = self.names.as_deref_mut().filter(|names| !names.lasts_anyway(module)) else {
            return self.member(module, symbol.bytes());
        };
        let lasting = names.lasting(module, text);
        let path = self.module(module)?;
        match lasting {
            // A lasting name is put away by the path before it, which must be one of plain names.
            Some(lasting) if !path.starts_with("getfield(") => {
                Ok(format!("{path}.var\"{}\"", words::quote_lasting(&lasting)))
            }
            _ => Err(Unprintable::NoLastingName(words::member(&path, symbol.bytes()))),
        }
    }

    /// What a module has under a name. What Core exports goes without its module, as in `--trace-compile`.
    fn member(&mut self, module: Module<'j>, name: &[u8]) -> Result<String, Unprintable> {
        // `Main`, where signatures are read, has an `eval` of its own.
        let is_core = module.is_core() && name != b"eval";
        if let Some(text) = std::str::from_utf8(name).ok().filter(|_| is_core && words::is_plain(name)) {
            if module.exports(Symbol::named(text)) {
                self.heads.push(text.to_owned());
                return Ok(text.to_owned());
            }
        }
        Ok(words::member(&self.module(module)?, name))
    }

    fn module(&mut self, module: Module<'j>) -> Result<String, Unprintable> {
        let name = module.symbol().bytes();
        if module.is_root() {
            let text = words::name(name);
            let text = text.ok_or_else(|| Unprintable::Name(words::string(name)))?;
            self.heads.push(text.clone());
            return Ok(text);
        }
        let parent = module.parent();
        let binding = parent.binding_in_table(module.symbol());
        let path = words::member(&self.module(parent)?, name);
        // Base and Core are roots to us, though Main is their parent.
        let is_other = |bound: Option<Object<'j>>| bound != Some(module.object());
        let is_hidden = binding.is_none_or(|binding| {
            mutation!("signatures: a name is trusted", is_other(binding.value()), false)
        });
        if is_hidden {
            return Err(Unprintable::NotBound(path));
        }
        Ok(path)
    }

    fn union(&mut self, v: Object<'j>) -> Printed {
        let Some(union) = v.as_kind::<Union<'j>>() else {
            return self.object(v);
        };
        let [a, b] = union.members();
        self.union(a)?;
        self.out.push_str(", ");
        self.union(b)
    }

    fn unionall(&mut self, all: UnionAll<'j>) -> Printed {
        // `Tuple{Type}` and `Tuple{Type{T} where T}` are two types to Julia; of no other name is that so.
        if mutation!("signatures: Type is like any other", all.is_type_of_types(), false) {
            self.heads.push("Type".to_owned());
            self.out.push_str("Type");
            return Ok(());
        }
        let variable = all.variable();
        self.variables.push(variable);
        let body = self.object(all.body());
        self.variables.pop();
        body?;
        let name = variable_name(variable)?;
        self.bound.push(name.clone());
        self.out.push_str(" where ");
        let [lower, upper] = variable.bounds();
        if !lower.is_bottom() {
            self.bound_of_variable(lower)?;
            self.out.push_str("<:");
        }
        self.out.push_str(&name);
        if !upper.is_any() || !lower.is_bottom() {
            self.out.push_str("<:");
            self.bound_of_variable(upper)?;
        }
        Ok(())
    }

    fn bound_of_variable(&mut self, bound: Object<'j>) -> Printed {
        if !bound.is::<UnionAll<'j>>() {
            return self.object(bound);
        }
        self.out.push('(');
        self.object(bound)?;
        self.out.push(')');
        Ok(())
    }

    fn variable(&mut self, variable: TypeVar<'j>) -> Printed {
        let name = variable_name(variable)?;
        let meant = self.variables.iter().rev().find(|other| other.name() == variable.name());
        if mutation!("signatures: a variable of the same name is the same", meant != Some(&variable), false) {
            return Err(Unprintable::Variable(name));
        }
        self.out.push_str(&name);
        Ok(())
    }

    /// A value that is no type, symbol, string or module.
    fn value(&mut self, v: Object<'j>) -> Printed {
        if v.is_nothing() {
            self.out.push_str("nothing");
            return Ok(());
        }
        match v.contents() {
            Some(contents) => self.contents(contents),
            None => Err(Unprintable::Value(name_of(v.type_of()))),
        }
    }

    fn contents(&mut self, value: Contents<'j>) -> Printed {
        let ty = value.ty();
        if ty.is_nothing() {
            self.out.push_str("nothing");
            return Ok(());
        }
        if ty.is_mutable() || !ty.has_layout() || ty.is_abstract() {
            return Err(Unprintable::Value(name_of(ty)));
        }
        if let Some(bytes) = value.bytes().filter(|bytes| !bytes.is_empty()) {
            return self.bits(bytes, ty);
        }
        let fields = value.field_count();
        let is_tuple = ty.is_tuple();
        if !is_tuple {
            self.object(ty.into())?;
        }
        self.out.push('(');
        let names = if is_tuple { Vec::new() } else { ty.field_names() };
        for k in 0..fields {
            if k > 0 {
                self.out.push_str(", ");
            }
            if !is_tuple {
                let name = names.get(k as usize).map_or(&[][..], |name| name.bytes());
                let text = words::name(name).ok_or_else(|| Unprintable::Name(words::string(name)))?;
                self.out.push_str(&text);
                self.out.push('=');
            }
            self.field(value, k)?;
        }
        if is_tuple && fields == 1 {
            self.out.push(',');
        }
        self.out.push(')');
        Ok(())
    }

    fn field(&mut self, value: Contents<'j>, k: u32) -> Printed {
        let unknown = || Unprintable::Value("an unknown layout".into());
        match value.field(k).ok_or_else(unknown)? {
            Part::Reference(Some(object)) => self.object(object),
            Part::Reference(None) => Err(Unprintable::Value("nothing at all".into())),
            Part::Inline(contents) => {
                self.enter()?;
                let printed = self.contents(contents);
                self.depth -= 1;
                printed
            }
        }
    }

    /// A value of a primitive type: what has a literal of exactly its type as that, the rest as what its bits are.
    fn bits(&mut self, bytes: &[u8], ty: DataType<'j>) -> Printed {
        let hex = |bytes: &[u8]| -> String {
            let digits: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
            format!("0x{digits}")
        };
        let is_address = ty.is_pointer() && bytes.iter().any(|b| *b != 0);
        if mutation!("signatures: an address is a number", is_address, false) {
            return Err(Unprintable::Address);
        }
        let known = ty.primitive();
        let is_int64 = known == Some(Primitive::Int64);
        let literal = if mutation!("signatures: integers are all alike", is_int64, bytes.len() == 8) {
            bytes.try_into().ok().map(|b| i64::from_ne_bytes(b).to_string())
        } else {
            match known {
                Some(Primitive::Bool) => match bytes {
                    [0] => Some("false".to_owned()),
                    [1] => Some("true".to_owned()),
                    _ => None,
                },
                Some(Primitive::Float64) => {
                    bytes.try_into().ok().and_then(|b| words::float64(f64::from_ne_bytes(b)))
                }
                Some(Primitive::Float32) => {
                    bytes.try_into().ok().and_then(|b| words::float32(f32::from_ne_bytes(b)))
                }
                Some(Primitive::Unsigned) => Some(hex(bytes)),
                _ => None,
            }
        };
        if let Some(literal) = literal {
            self.out.push_str(&literal);
            return Ok(());
        }
        self.object(ty.into())?;
        // Longer literals are macro calls to the parser: words of eight bytes, the lowest first.
        let words: Vec<String> = bytes.chunks(8).map(hex).collect();
        self.out.push('(');
        self.out.push_str(&words.join(", "));
        self.out.push(')');
        Ok(())
    }
}

/// The name of a type, for a message.
fn name_of(ty: DataType<'_>) -> String {
    String::from_utf8_lossy(ty.name().symbol().bytes()).into_owned()
}

fn variable_name(variable: TypeVar<'_>) -> Result<String, Unprintable> {
    let name = variable.name().bytes();
    words::name(name).ok_or_else(|| Unprintable::Name(words::string(name)))
}

/// The name by which `typeof(M.f)` finds the type of a function again.
fn global_function<'j>(ty: DataType<'j>) -> Option<&'j [u8]> {
    let symbol = ty.name().method_table()?.name();
    let instance = ty.instance()?;
    let name = symbol.bytes();
    // These are named by their types, `M.var"#f##kw"`.
    if name.iter().any(|b| matches!(b, b'#' | b'@')) {
        return None;
    }
    let bound = ty.name().module().binding_in_table(symbol)?.constant();
    (bound == Some(instance)).then_some(name)
}
