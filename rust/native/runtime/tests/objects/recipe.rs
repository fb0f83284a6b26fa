//! Objects that are made up.

use std::collections::HashMap;

use nativecache_image::Reason;
use nativecache_julia::handles::{Array, Module, Object, Symbol, Text};
use nativecache_julia::stopped::Stopped;
use nativecache_testing::{apply, evaluate};
use proptest::prelude::*;
use proptest::sample::select;

/// How an object is made: by functions that Julia code calls. Only symbols, strings and vectors are made as those are that
/// come of a description.
#[derive(Clone, Debug)]
pub(crate) enum Recipe {
    /// What this code gives, the same each time.
    Named(&'static str),
    Symbol(String),
    Text(Vec<u8>),
    /// A value of this type with these bytes, as many as it has.
    Bits(&'static str, [u8; 24]),
    /// A `Fixture.Boxed`.
    Boxed(Box<Recipe>),
    /// A `Fixture.Mixed` of the type of what is in it.
    Mixed(String, Box<Recipe>, u8, Box<Recipe>),
    Tuple(Vec<Recipe>),
    NamedTuple(Vec<Recipe>),
    SVec(Vec<Recipe>),
    Type(Type),
    /// A type and the variable that is free in it, in a vector.
    Open(Type),
    Expr(String, Vec<Recipe>),
    /// A `Vector{Any}`; `None` where nothing is assigned.
    Array(Vec<Option<Recipe>>),
    /// A `Vector{UInt8}`.
    Bytes(Vec<u8>),
    /// What this code gives, which has no description.
    Refused(&'static str, Reason),
}

/// How a type is made.
#[derive(Clone, Debug)]
pub(crate) enum Type {
    Named(&'static str),
    /// The type with these parameters.
    Apply(&'static str, Vec<Type>),
    /// `Val` of a number or symbol.
    Value(Result<i64, String>),
    /// A tuple type, in which the last may stand for many.
    Tuple(Vec<Type>, bool),
    Union(Vec<Type>),
    /// A type with a variable, and the variable's bounds.
    Where(Box<Type>, Box<Type>, Box<Type>),
    /// The variable of the n-th `where` around it; any type, where there is none.
    Variable(usize),
}

/// What has a name, or a path that begins with one.
const NAMED: [&str; 38] = [
    "nothing",
    "missing",
    "true",
    "()",
    "Core",
    "Base",
    "Base.Iterators",
    "Fixture",
    "Fixture.Inner",
    "Fixture.Inner.Innermost",
    "sin",
    "Core.tuple",
    "Core.Intrinsics.add_int",
    "Base.Order.Forward",
    "Base.ENV",
    "Fixture.plain",
    "Fixture.keywords",
    "Fixture.adder(1)",
    "Fixture.Empty()",
    "Fixture.Square{Int,2}()",
    "Fixture.Choice(nothing, 3)",
    "Fixture.Choice(5, 3)",
    "Fixture.Choice(0x05, 3)",
    "Fixture.LIST",
    "Fixture.TABLE",
    "Fixture.HOLDER",
    "Fixture.HOLDER.items",
    "Held.held()",
    "Fixture.Inner.Innermost.CELL",
    "which(sin, (Float64,))",
    "which(Fixture.plain, (Any,))",
    "which(Fixture.parametric, (Int, Vector{Int}))",
    "which(Fixture.Square{Int,1}(), (Any,))",
    "instance(sin, Float64)",
    "instance(Fixture.plain, Int)",
    "instance(Fixture.parametric, Int, Vector{Int}, Vector{Int})",
    "instance(Fixture.adder(1), Float64)",
    "instance(Fixture.Square{Int8,1}(), Float64)",
];

const BITS: [&str; 14] = [
    "Bool",
    "Char",
    "Int8",
    "UInt16",
    "Int64",
    "UInt128",
    "Float32",
    "Float64",
    "Fixture.Odd",
    "Fixture.Point",
    "Fixture.Padded",
    "Tuple{Int8,Tuple{},Int64}",
    "NamedTuple{(:a,:b),Tuple{Int16,UInt8}}",
    "Fixture.Inner.Deep{Tuple{UInt8,UInt16}}",
];

const TYPES: [&str; 24] = [
    "Any",
    "Union{}",
    "Int64",
    "Type",
    "Tuple",
    "NTuple",
    "Array",
    "Vector",
    "Integer",
    "Function",
    "typeof(sin)",
    "typeof(Core.tuple)",
    "Type{Int}",
    "DataType",
    "NamedTuple",
    "NamedTuple{(:a, :b),Tuple{Int,Any}}",
    "Fixture.Point",
    "Fixture.Shape",
    "Fixture.Square",
    "Fixture.Squares",
    "Fixture.Inner.Deep",
    "typeof(Fixture.adder(1))",
    "typeof(Fixture.keywords)",
    "Core.kwftype(typeof(Fixture.keywords))",
];

/// What another session could not know, or could take for something else.
pub(crate) const REFUSED: [(&str, Reason); 13] = [
    ("Fixture.Cell(1)", Reason::UnknownConstant),
    ("Ref(1)", Reason::UnknownConstant),
    ("Any[Any[1]][1]", Reason::UnknownConstant),
    ("Ptr{Cvoid}(8)", Reason::IntegerAddress),
    ("Fixture.Address(Ptr{Cvoid}(8), 1)", Reason::IntegerAddress),
    ("InMain", Reason::NamesMain),
    ("which(instance, (Any,))", Reason::NamesMain),
    ("Fixture.held()", Reason::UnknownObject),
    ("OLD", Reason::UnknownObject),
    ("Fixture.Undefined()", Reason::UnknownObject),
    ("ccall(:jl_alloc_svec, Any, (Csize_t,), 2)", Reason::UnknownObject),
    ("nameless()", Reason::OpaqueModule),
    ("nameless().T", Reason::OpaqueModule),
];

/// The names of type variables.
const VARIABLES: [&str; 4] = ["T", "S", "N", "T"];

pub(crate) fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        6 => select(&TYPES[..]).prop_map(Type::Named),
        3 => (0..4_usize).prop_map(Type::Variable),
        1 => any::<i64>().prop_map(|number| Type::Value(Ok(number))),
        1 => "\\PC{0,6}".prop_map(|name| Type::Value(Err(without_nul(&name)))),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let two = || prop::collection::vec(inner.clone(), 2);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1).prop_map(|of| Type::Apply("Array", of)),
            prop::collection::vec(inner.clone(), 1).prop_map(|of| Type::Apply("Type", of)),
            two().prop_map(|of| Type::Apply("Pair", of)),
            two().prop_map(|of| Type::Apply("Fixture.Square", of)),
            prop::collection::vec(inner.clone(), 1).prop_map(|of| Type::Apply("Fixture.Inner.Deep", of)),
            (prop::collection::vec(inner.clone(), 0..4), any::<bool>())
                .prop_map(|(of, many)| Type::Tuple(of, many)),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Type::Union),
            (boxed(), boxed(), boxed()).prop_map(|(lower, upper, of)| Type::Where(lower, upper, of)),
            boxed().prop_map(|of| Type::Where(
                Box::new(Type::Named("Union{}")),
                Box::new(Type::Named("Any")),
                of
            )),
        ]
    })
}

/// Objects with a description, and a few without, somewhere in them.
pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    let leaf = prop_oneof![
        8 => select(&NAMED[..]).prop_map(Recipe::Named),
        4 => "\\PC{0,8}".prop_map(|name| Recipe::Symbol(without_nul(&name))),
        3 => prop::collection::vec(any::<u8>(), 0..12).prop_map(Recipe::Text),
        6 => (select(&BITS[..]), any::<[u8; 24]>()).prop_map(|(ty, bytes)| Recipe::Bits(ty, bytes)),
        5 => types().prop_map(Recipe::Type),
        2 => types().prop_map(Recipe::Open),
        1 => select(&REFUSED[..]).prop_map(|(code, reason)| Recipe::Refused(code, reason)),
        1 => prop::collection::vec(any::<u8>(), 0..9).prop_map(Recipe::Bytes),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let some = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            boxed().prop_map(Recipe::Boxed),
            ("[a-z]{1,3}", boxed(), any::<u8>(), boxed())
                .prop_map(|(name, value, byte, other)| Recipe::Mixed(name, value, byte, other)),
            some().prop_map(Recipe::Tuple),
            some().prop_map(Recipe::NamedTuple),
            some().prop_map(Recipe::SVec),
            ("[a-z=]{1,6}", some()).prop_map(|(head, of)| Recipe::Expr(head, of)),
            ("[a-z=]{1,6}", some()).prop_map(|(head, of)| Recipe::Expr(head, of)),
            prop::collection::vec(prop::option::weighted(0.9, inner.clone()), 0..4).prop_map(Recipe::Array),
        ]
    })
}

/// Julia has no symbol with one.
fn without_nul(name: &str) -> String {
    name.replace('\0', "")
}

impl Recipe {
    /// The reasons for which there is no description, if there are such; `in_code` says that what is mutable is described
    /// by what it holds.
    pub(crate) fn refusals(&self, in_code: bool) -> Vec<Reason> {
        let all = |of: &[Recipe], in_code| of.iter().flat_map(|recipe| recipe.refusals(in_code)).collect();
        match self {
            Recipe::Refused(_, reason) => vec![*reason],
            Recipe::Bytes(_) if !in_code => vec![Reason::UnknownConstant],
            Recipe::Array(_) if !in_code => vec![Reason::UnknownConstant],
            Recipe::Array(of) => of.iter().flatten().flat_map(|recipe| recipe.refusals(true)).collect(),
            Recipe::Boxed(of) => of.refusals(false),
            Recipe::Mixed(_, a, _, b) => [a.refusals(false), b.refusals(false)].concat(),
            Recipe::Tuple(of) | Recipe::NamedTuple(of) | Recipe::SVec(of) => all(of, false),
            Recipe::Expr(_, of) => all(of, true),
            _ => vec![],
        }
    }
}

/// Makes objects.
pub(crate) struct Kitchen<'j> {
    julia: &'j Stopped,
    /// What code has given.
    known: HashMap<String, Object<'j>>,
}

impl<'j> Kitchen<'j> {
    pub(crate) fn new(julia: &'j Stopped) -> Self {
        Kitchen { julia, known: HashMap::new() }
    }

    /// What this code gives, the same each time.
    pub(crate) fn known(&mut self, code: &str) -> Object<'j> {
        if let Some(known) = self.known.get(code) {
            return *known;
        }
        let value = evaluate(self.julia, code);
        self.known.insert(code.to_owned(), value);
        value
    }

    fn apply(&mut self, function: &str, arguments: &[Object<'j>]) -> Object<'j> {
        let function = self.known(function);
        apply(self.julia, function, arguments)
    }

    fn new_struct(&mut self, ty: Object<'j>, fields: &[Object<'j>]) -> Object<'j> {
        let fields = self.vector(fields.iter().copied().map(Some));
        self.apply("new", &[ty, fields])
    }

    fn vector(&mut self, items: impl ExactSizeIterator<Item = Option<Object<'j>>>) -> Object<'j> {
        Array::of_any(self.julia, items).into()
    }

    fn all(&mut self, of: &[Recipe]) -> Vec<Object<'j>> {
        of.iter().map(|recipe| self.make(recipe)).collect()
    }

    pub(crate) fn make(&mut self, recipe: &Recipe) -> Object<'j> {
        match recipe {
            Recipe::Named(code) => self.known(code),
            Recipe::Refused(code, _) => evaluate(self.julia, code),
            Recipe::Symbol(name) => Symbol::new(self.julia, name).into(),
            Recipe::Text(bytes) => Text::new(self.julia, bytes).into(),
            Recipe::Bits(ty, bytes) => {
                let ty = self.known(ty);
                let bytes = self.bytes(bytes);
                let value = self.apply("bits", &[ty, bytes]);
                // Bytes of a `Bool` other than 0 and 1 are none.
                if ty == self.known("Bool") {
                    self.known(if value.bits() == Some(&[1]) { "true" } else { "false" })
                } else {
                    value
                }
            }
            Recipe::Boxed(of) => {
                let (ty, value) = (self.known("Fixture.Boxed"), self.make(of));
                self.new_struct(ty, &[value])
            }
            Recipe::Mixed(name, value, byte, other) => {
                let (value, other) = (self.make(value), self.make(other));
                let mixed = self.known("Fixture.Mixed");
                let ty = self.apply("Core.apply_type", &[mixed, value.type_of().into()]);
                let bytes = self.known(&format!("(0x{byte:02x}, Int32({byte}))"));
                let (pair, number) = (self.known("Pair{Int64,Any}"), self.known(&byte.to_string()));
                let inner = self.new_struct(pair, &[number, other]);
                self.new_struct(ty, &[Symbol::new(self.julia, name).into(), value, bytes, inner])
            }
            Recipe::Tuple(of) => {
                let values = self.all(of);
                self.apply("Core.tuple", &values)
            }
            Recipe::NamedTuple(of) => {
                let values = self.all(of);
                let names: Vec<Object<'j>> =
                    ('a'..).take(values.len()).map(|c| self.known(&format!(":{c}"))).collect();
                let types: Vec<Object<'j>> = values.iter().map(|value| value.type_of().into()).collect();
                let names = self.apply("Core.tuple", &names);
                let types = self.tuple_type(&types);
                let named = self.known("NamedTuple");
                let ty = self.apply("Core.apply_type", &[named, names, types]);
                self.new_struct(ty, &values)
            }
            Recipe::SVec(of) => {
                let values = self.all(of);
                self.apply("Core.svec", &values)
            }
            Recipe::Type(ty) => self.ty(ty, &mut vec![]),
            Recipe::Open(ty) => {
                let variable = self.known("TypeVar(:Free)");
                let ty = self.ty(ty, &mut vec![variable]);
                self.apply("Core.svec", &[variable, ty, variable])
            }
            Recipe::Expr(head, of) => {
                let mut arguments = vec![Symbol::new(self.julia, head).into()];
                arguments.extend(self.all(of));
                self.apply("Core._expr", &arguments)
            }
            Recipe::Array(of) => {
                let items: Vec<_> = of.iter().map(|item| Some(self.make(item.as_ref()?))).collect();
                self.vector(items.into_iter())
            }
            Recipe::Bytes(bytes) => self.bytes(bytes),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Object<'j> {
        let text = Text::new(self.julia, bytes).object();
        self.apply("Vector{UInt8}", &[text])
    }

    fn tuple_type(&mut self, of: &[Object<'j>]) -> Object<'j> {
        let mut arguments = vec![self.known("Tuple")];
        arguments.extend(of);
        self.apply("Core.apply_type", &arguments)
    }

    /// A type in which these variables may stand, the innermost last.
    fn ty(&mut self, ty: &Type, variables: &mut Vec<Object<'j>>) -> Object<'j> {
        match ty {
            Type::Named(code) => self.known(code),
            Type::Variable(index) => {
                let index = variables.len().checked_sub(index + 1);
                index.map_or_else(|| self.known("Int64"), |index| variables[index])
            }
            Type::Value(value) => {
                let value = match value {
                    Ok(number) => evaluate(self.julia, &number.to_string()),
                    Err(name) => Symbol::new(self.julia, name).into(),
                };
                let val = self.known("Val");
                self.apply("Core.apply_type", &[val, value])
            }
            Type::Apply(name, of) => {
                let mut arguments = vec![self.known(name)];
                arguments.extend(of.iter().map(|of| self.ty(of, variables)));
                self.apply("Core.apply_type", &arguments)
            }
            Type::Tuple(of, many) => {
                let mut of: Vec<Object<'j>> = of.iter().map(|of| self.ty(of, variables)).collect();
                if let Some(last) = of.last_mut().filter(|_| *many) {
                    let vararg = self.known("Vararg");
                    *last = self.apply("Core.apply_type", &[vararg, *last]);
                }
                self.tuple_type(&of)
            }
            Type::Union(of) => {
                let mut arguments = vec![self.known("Union")];
                arguments.extend(of.iter().map(|of| self.ty(of, variables)));
                self.apply("Core.apply_type", &arguments)
            }
            Type::Where(lower, upper, of) => {
                let (lower, upper) = (self.ty(lower, variables), self.ty(upper, variables));
                let name = VARIABLES[variables.len() % VARIABLES.len()];
                let name = Symbol::new(self.julia, name).into();
                let variable = self.apply("TypeVar", &[name, lower, upper]);
                variables.push(variable);
                let of = self.ty(of, variables);
                variables.pop();
                self.apply("UnionAll", &[variable, of])
            }
        }
    }

    /// The packages of these tests.
    pub(crate) fn packages(&mut self) -> [Module<'j>; 2] {
        ["Fixture", "Held"].map(|name| self.known(name).as_kind().expect("a module"))
    }
}
