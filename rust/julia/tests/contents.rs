//! What [`Contents`] reads in an object is what Julia's `getfield` gives.

use std::cell::Cell;
use std::collections::HashMap;

use nativecache_julia::handles::{Array, Contents, Object, Part, SVec};
use nativecache_julia::stopped::Stopped;
use nativecache_testing::{apply, evaluate, evaluate_to};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};

nativecache_testing::tests![fields_are_those_of_julia];

/// How an object is made.
#[derive(Clone, Debug)]
enum Recipe {
    /// What this code gives, of `CODE`.
    Code(&'static str),
    /// A `Both` of the types of what is in it.
    Both(Box<Recipe>, Box<Recipe>),
    /// A `OneOf` of the type of what is in it and of another one.
    OneOf(Box<Recipe>, Box<Recipe>),
    Tuple(Vec<Recipe>),
}

const CODE: [&str; 15] = [
    "Int8(-3)",
    "0x0102",
    "5",
    "1.5f0",
    "'x'",
    "true",
    "nothing",
    "missing",
    ":a",
    "\"text\"",
    "Int",
    "()",
    "(a = 0x01, b = 2)",
    "0x0102030405060708090a0b0c0d0e0f10",
    "Maybe()",
];

fn recipes() -> impl Strategy<Value = Recipe> {
    select(&CODE[..]).prop_map(Recipe::Code).prop_recursive(4, 16, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            (boxed(), boxed()).prop_map(|(a, b)| Recipe::Both(a, b)),
            (boxed(), boxed()).prop_map(|(a, b)| Recipe::OneOf(a, b)),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Recipe::Tuple),
        ]
    })
}

const TYPES: &str = "
    struct Both{A,B}; a::A; b::B; end
    struct OneOf{A,B}; before::UInt8; value::Union{A,B}; after::Int16; end
    struct Maybe; value; Maybe() = new(); end
    new(@nospecialize(type), fields::Vector{Any}) =
        ccall(:jl_new_structv, Any, (Any, Ptr{Any}, UInt32), type, fields, length(fields))
    const FUNCTIONS = Core.svec(tuple, Core.apply_type, new, Both, OneOf, 0xff, Int16(-2))
    ";

struct Makers<'j> {
    julia: &'j Stopped,
    /// What the code of `CODE` gives.
    known: HashMap<&'static str, Object<'j>>,
    tuple: Object<'j>,
    apply_type: Object<'j>,
    new: Object<'j>,
    both: Object<'j>,
    one_of: Object<'j>,
    /// What stands around the union.
    before: Object<'j>,
    after: Object<'j>,
}

impl<'j> Makers<'j> {
    fn new(julia: &'j Stopped) -> Self {
        let _ =
            evaluate(julia, &format!("isdefined(Main, :Both) || include_string(Main, \"\"\"{TYPES}\"\"\")"));
        let functions: SVec<'j> = evaluate_to(julia, "FUNCTIONS");
        let function = |index| functions.get(index).expect("a function");
        let [tuple, apply_type, new, both, one_of, before, after] = [0, 1, 2, 3, 4, 5, 6].map(function);
        let known = CODE.iter().map(|code| (*code, evaluate(julia, code))).collect();
        Makers { julia, known, tuple, apply_type, new, both, one_of, before, after }
    }

    fn new_struct(&self, ty: Object<'j>, fields: &[Object<'j>]) -> Object<'j> {
        // A vector, for which alone Julia compiles the function.
        let fields = Array::of_any(self.julia, fields.iter().copied().map(Some));
        apply(self.julia, self.new, &[ty, fields.into()])
    }

    fn make(&self, recipe: &Recipe) -> Object<'j> {
        let (julia, make) = (self.julia, |recipe: &Recipe| self.make(recipe));
        let of_types = |name, a: Object<'j>, b: Object<'j>| {
            apply(julia, self.apply_type, &[name, a.type_of().into(), b.type_of().into()])
        };
        match recipe {
            Recipe::Code(code) => self.known[code],
            Recipe::Both(a, b) => {
                let (a, b) = (make(a), make(b));
                self.new_struct(of_types(self.both, a, b), &[a, b])
            }
            Recipe::OneOf(value, other) => {
                let (value, other) = (make(value), make(other));
                let ty = of_types(self.one_of, value, other);
                self.new_struct(ty, &[self.before, value, self.after])
            }
            Recipe::Tuple(of) => apply(julia, self.tuple, &of.iter().map(make).collect::<Vec<_>>()),
        }
    }
}

/// Does `contents` say of each field what Julia gives for that of `object`?
fn agree<'j>(contents: Contents<'j>, object: Object<'j>, unions: &Cell<usize>) -> bool {
    let ty = object.type_of();
    if contents.ty() != ty || contents.bytes().len() != ty.size() {
        return false;
    }
    if contents.field_count() == 0 {
        return object.bits().is_none_or(|bits| bits == contents.bytes());
    }
    (0..contents.field_count()).all(|index| match (contents.field(index), object.field(index)) {
        (Some(Part::Reference(a)), b) => a == b,
        (Some(Part::Inline(contents)), Some(object)) => agree(contents, object, unions),
        (Some(Part::Union(union)), Some(object)) => {
            unions.set(unions.get() + 1);
            union.contents().is_some_and(|contents| agree(contents, object, unions))
        }
        _ => false,
    })
}

fn fields_are_those_of_julia(julia: &Stopped) {
    let makers = Makers::new(julia);
    let unions = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(15),
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&recipes(), |recipe| {
        let object = makers.make(&recipe);
        match object.contents() {
            Some(contents) => prop_assert!(agree(contents, object, &unions)),
            // So are symbols, strings and types.
            None => prop_assert!(object.type_of().is_mutable()),
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(unions.get() > 100, "{} unions", unions.get());
}
